//! Interim responses: never in the middle of anything.

use std::sync::{Arc, mpsc};

use tokio::sync::Semaphore;

use super::rig::{Server, get, last, statuses, text_reply};
use crate::{
    client::{Options, Presented, Reply},
    message::{FieldName, FieldValue, Fields, StatusCode},
};

fn hints() -> Fields {
    [(FieldName::from_static("link"), FieldValue::from_static("</s>; rel=preload"))].into_iter().collect()
}

/// Sends 103 and tells whether it went out, then answers.
async fn hinting(presented: Presented) -> Reply {
    let sent = presented.connection.send_interim(StatusCode::from_u16(103).unwrap(), &hints());
    text_reply(200, format!("{} hinted: {sent}", presented.target))
}

#[test]
fn hints_come_before_their_own_answer_also_when_pipelined() {
    let server = Server::start(Options::default(), hinting);
    let mut client = server.connect();
    client.send((0..20).map(|n| get(&format!("/{n}"))).collect::<String>());
    for n in 0..20 {
        let hint = client.until("\r\n\r\n");
        assert_eq!(hint, "HTTP/1.1 103 Early Hints\r\nLink: </s>; rel=preload\r\n\r\n");
        assert!(client.until(&format!("/{n} hinted: true")).starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn a_hint_reaches_the_client_while_the_core_still_works() {
    let release = Arc::new(Semaphore::new(0));
    let released = release.clone();
    let server = Server::start(Options::default(), move |presented: Presented| {
        let released = released.clone();
        async move {
            let reply = hinting(presented).await;
            let _ = released.acquire().await;
            reply
        }
    });
    let mut client = server.connect();
    client.send(get("/"));
    client.until("103 Early Hints\r\nLink: </s>; rel=preload\r\n\r\n");
    release.add_permits(1);
    client.until("hinted: true");
}

#[test]
fn http_1_0_gets_no_hints() {
    let server = Server::start(Options::default(), hinting);
    let text = server.ask("GET / HTTP/1.0\r\n\r\n");
    assert!(statuses(&text) == [200] && text.ends_with("hinted: false"), "{text}");
}

#[test]
fn only_interim_statuses_that_change_no_protocol_are_sent() {
    let server = Server::start(Options::default(), |presented: Presented| async move {
        let sent = [100, 101, 102, 103, 200]
            .map(|code| presented.connection.send_interim(StatusCode::from_u16(code).unwrap(), &Fields::new()));
        text_reply(200, format!("{sent:?}"))
    });
    let text = server.ask(last("GET", "/"));
    assert_eq!(statuses(&text), [102, 103, 200], "{text}");
    assert!(text.ends_with("[false, false, true, true, false]"));
}

#[test]
fn a_late_hint_of_an_earlier_request_is_not_sent() {
    let (keep, kept) = mpsc::channel();
    let kept = Arc::new(std::sync::Mutex::new(kept));
    let server = Server::start(Options::default(), move |presented: Presented| {
        let (keep, kept) = (keep.clone(), kept.clone());
        async move {
            let connection = presented.connection.clone();
            if presented.target == "/first" {
                // not `Send`, and need not be: both requests run on one worker
                KEPT.with(|slot| *slot.borrow_mut() = Some(connection));
                let _ = keep.send(());
                return text_reply(200, "first".into());
            }
            let _ = kept.lock().map(|kept| kept.recv());
            let old = KEPT.with(|slot| slot.borrow_mut().take()).unwrap();
            old.close_after();
            let sent = old.send_interim(StatusCode::PROCESSING, &Fields::new());
            text_reply(200, format!("late: {sent}"))
        }
    });
    let mut client = server.connect();
    client.send(get("/first") + &get("/second") + &last("GET", "/first"));
    let text = client.rest().text;
    assert_eq!(statuses(&text), [200, 200, 200], "{text}");
    assert!(text.contains("late: false"));
}

thread_local! {
    static KEPT: std::cell::RefCell<Option<crate::client::Connection>> = const { std::cell::RefCell::new(None) };
}

#[test]
fn many_hints_to_a_client_that_reads_late_all_arrive_before_the_answer() {
    let (tell, told) = mpsc::channel();
    let server = Server::start(Options::default(), move |presented: Presented| {
        let tell = tell.clone();
        async move {
            let mut fields = Fields::new();
            fields.append(FieldName::from_static("link"), FieldValue::from_maybe_shared("x".repeat(4000)).unwrap());
            let send = |_: &usize| presented.connection.send_interim(StatusCode::PROCESSING, &fields);
            let _ = tell.send((0..10_000).take_while(send).count());
            text_reply(200, "answer".into())
        }
    });
    let mut client = server.connect();
    client.send(last("GET", "/"));
    let sent = told.recv().unwrap();
    assert!((10..10_000).contains(&sent), "a client that does not read is not written to without end: {sent}");
    let text = client.rest().text;
    assert_eq!(statuses(&text).iter().filter(|status| **status == 102).count(), sent);
    assert!(text.ends_with("answer"));
}
