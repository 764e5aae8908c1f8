//! A name server on an address of its own: it counts what it is asked, and answers when the test lets it.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
};

const TYPE_A: u16 = 1;

/// Answers every question for an IPv4 address with one, and all others with nothing.
pub struct NameServer {
    /// The port is 53: resolvers ask no other.
    pub at: Ipv4Addr,
    questions: Arc<AtomicUsize>,
    address: Arc<Mutex<Option<Ipv4Addr>>>,
}

impl NameServer {
    /// `None` for an address: it says nothing at all. Fails where this user may not listen on port 53.
    pub fn start(address: Option<Ipv4Addr>) -> io::Result<NameServer> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let at = Ipv4Addr::new(127, 0, 53, NEXT.fetch_add(1, Ordering::SeqCst));
        let socket = UdpSocket::bind((at, 53))?;
        let server = NameServer { at, questions: Arc::default(), address: Arc::new(Mutex::new(address)) };
        let (questions, address) = (server.questions.clone(), Arc::downgrade(&server.address));
        socket.set_read_timeout(Some(std::time::Duration::from_millis(20)))?;
        std::thread::spawn(move || {
            let mut question = [0; 512];
            // until the test is over
            while let Some(address) = address.upgrade() {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                questions.fetch_add(1, Ordering::SeqCst);
                if let Some(address) = *address.lock().unwrap() {
                    let _ = socket.send_to(&answer(&question[..length], address), from);
                }
            }
        });
        Ok(server)
    }

    /// How often it was asked for an address, of either kind.
    pub fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    pub fn answers(&self, address: Option<Ipv4Addr>) {
        *self.address.lock().unwrap() = address;
    }
}

/// The answer to a question (RFC 1035 §4): its own bytes, and one record where it asks for IPv4.
fn answer(question: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let name = question[12..].iter().position(|&byte| byte == 0).unwrap() + 13;
    let wanted = u16::from_be_bytes([question[name], question[name + 1]]);
    let mut answer = question[..name + 4].to_vec();
    let records = u8::from(wanted == TYPE_A);
    // a response, recursion available, one question, the records, nothing else
    answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, records, 0, 0, 0, 0]);
    if records == 1 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}
