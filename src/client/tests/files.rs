//! Pieces of files, which the kernel sends.

use std::{
    fs::File,
    io::{self, Write},
    rc::Rc,
    sync::{Arc, mpsc},
    time::Duration,
};

use futures_util::stream;

use super::rig::{Server, Tell, get, last, text_reply};
use crate::client::{FilePiece, Options, Piece, Presented, Reply, ReplyBody};

/// A file with these bytes.
fn file(bytes: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Arc::new(file)
}

/// The bytes `offset..offset + length` of a file.
fn piece(file: &Arc<File>, offset: u64, length: u64, on_cut: impl Fn() + 'static) -> Piece {
    Piece::File(FilePiece { file: file.clone(), offset, length, on_cut: Rc::new(on_cut) })
}

fn reply(length: Option<u64>, pieces: Vec<Piece>) -> Reply {
    let pieces: Vec<io::Result<Piece>> = pieces.into_iter().map(Ok).collect();
    Reply {
        body: ReplyBody::Stream { length, pieces: Box::pin(stream::iter(pieces)) },
        ..text_reply(200, String::new())
    }
}

fn text(text: &'static str) -> Piece {
    bytes::Bytes::from_static(text.as_bytes()).into()
}

#[test]
fn pieces_of_files_and_bytes_come_in_their_order_with_a_length_and_chunked() {
    let numbers = file(b"0123456789");
    let server = Server::start(Options::default(), move |presented: Presented| {
        let pieces = || {
            let of = |offset, length| piece(&numbers, offset, length, || ());
            vec![of(2, 3), text("-"), text("+"), of(0, 0), of(9, 1), of(0, 10), text("!")]
        };
        let reply = match presented.target.as_str() {
            "/sized" => reply(Some(17), pieces()),
            "/cut" => reply(Some(4), pieces()),
            _ => reply(None, pieces()),
        };
        async move { reply }
    });
    let body = |target| server.ask(last("GET", target)).split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body("/sized"), "234-+90123456789!");
    assert_eq!(body("/cut"), "234-", "what exceeds the length is cut");
    let chunked = "3\r\n234\r\n1\r\n-\r\n1\r\n+\r\n1\r\n9\r\nA\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n";
    assert_eq!(body("/chunked"), chunked);
    // and the connection goes on
    let mut client = server.connect();
    client.send(get("/sized") + &get("/sized"));
    client.until("56789!");
    client.until("56789!");
}

#[test]
fn a_large_file_comes_whole_in_many_steps() {
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let (file, expected) = (file(&bytes), String::from_utf8(bytes).unwrap());
    let server = Server::start(Options::default(), move |_: Presented| {
        let pieces = (0..6).map(|n| piece(&file, n * 500_000, 500_000, || ())).collect();
        let reply = reply(Some(3_000_000), pieces);
        async move { reply }
    });
    let text = server.ask(last("GET", "/"));
    assert!(text.split_once("\r\n\r\n").unwrap().1 == expected);
}

#[test]
fn a_file_with_fewer_bytes_than_its_piece_breaks_the_answer_off_and_is_told() {
    let (tell, told) = mpsc::channel();
    let short = file(b"0123456789");
    let server = Server::start(Options::default(), move |_: Presented| {
        let tell = tell.clone();
        let on_cut = move || tell.send("cut").unwrap();
        let reply = reply(Some(21), vec![text("x"), piece(&short, 0, 20, on_cut)]);
        async move { reply }
    });
    let text = server.ask(get("/"));
    assert!(text.contains("Content-Length: 21\r\n") && text.ends_with("\r\n\r\nx0123456789"), "{text}");
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok("cut"));
    assert_eq!(server.counters.broken.count(), 1);
}

#[test]
fn a_file_that_the_kernel_cannot_send_is_read_instead() {
    // one that the kernel makes while it is read
    let unsendable = Arc::new(File::open("/proc/self/environ").unwrap());
    let server = Server::start(Options::default(), move |_: Presented| {
        let reply = reply(Some(4), vec![piece(&unsendable, 0, 4, || ())]);
        async move { reply }
    });
    let expected = &std::fs::read("/proc/self/environ").unwrap()[..4];
    let body = server.ask(last("GET", "/")).split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body.as_bytes(), expected);
}

#[test]
fn a_client_that_takes_nothing_of_a_file_is_cut_off() {
    let sparse = tempfile::tempfile().unwrap();
    sparse.set_len(64 << 20).unwrap();
    let sparse = Arc::new(sparse);
    let options = Options { write_timeout: Duration::from_millis(300), ..Options::default() };
    let (tell, told) = mpsc::channel();
    let server = Server::start(options, move |_: Presented| {
        let dropped = Tell(tell.clone(), "dropped");
        let reply = reply(Some(64 << 20), vec![piece(&sparse, 0, 64 << 20, move || _ = &dropped)]);
        async move { reply }
    });
    let mut client = server.connect();
    client.send(get("/"));
    client.until("\r\n\r\n");
    assert!(told.recv_timeout(Duration::from_secs(10)).is_ok(), "its answer is dropped");
    assert!(client.rest().broken.is_some());
    assert_eq!(server.counters.write_timeouts.count(), 1);
}
