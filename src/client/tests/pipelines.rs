//! Random conversations on one connection: every answer is the one to its own request, in order, whatever came before.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::rig::{Server, blind, echo, statuses};
use crate::{
    client::{Options, Presented},
    message::{Fields, StatusCode},
};

/// One request of a conversation.
#[derive(Debug, Clone)]
enum Kind {
    Get,
    Head,
    Old,
    Sized(usize),
    Chunked(Vec<usize>),
    /// The core does not look at its body.
    Unread(usize),
    UnreadChunked(usize),
    /// The core sends an interim response first.
    Hinted,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Get),
        Just(Kind::Head),
        Just(Kind::Old),
        (0usize..3000).prop_map(Kind::Sized),
        proptest::collection::vec(1usize..2000, 0..4).prop_map(Kind::Chunked),
        (0usize..3000).prop_map(Kind::Unread),
        (1usize..3000).prop_map(Kind::UnreadChunked),
        Just(Kind::Hinted),
    ]
}

fn chunks(sizes: &[usize]) -> String {
    let chunks: String = sizes.iter().map(|size| format!("{size:x}\r\n{}\r\n", "c".repeat(*size))).collect();
    chunks + "0\r\n\r\n"
}

/// The request, and the body of its answer.
fn exchange(n: usize, kind: &Kind) -> (String, String) {
    let chunked = "Transfer-Encoding: chunked";
    let ask = |method: &str, path: &str, fields: &str, body: &str| {
        format!("{method} /{n}{path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}")
    };
    match kind {
        Kind::Get => (ask("GET", "", "A: b", ""), format!("GET /{n} []")),
        Kind::Head => (ask("HEAD", "", "A: b", ""), String::new()),
        Kind::Old => (format!("GET /{n} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), format!("GET /{n} []")),
        Kind::Sized(size) => {
            let body = "s".repeat(*size);
            (ask("POST", "", &format!("Content-Length: {size}"), &body), format!("POST /{n} [{body}]"))
        }
        Kind::Chunked(sizes) => {
            let body = "c".repeat(sizes.iter().sum());
            (ask("POST", "", chunked, &chunks(sizes)), format!("POST /{n} [{body}]"))
        }
        Kind::Unread(size) => {
            let request = ask("GET", "/unread", &format!("Content-Length: {size}"), &"u".repeat(*size));
            (request, format!("GET /{n}/unread unread"))
        }
        Kind::UnreadChunked(size) => {
            (ask("GET", "/unread", chunked, &chunks(&[*size])), format!("GET /{n}/unread unread"))
        }
        Kind::Hinted => (ask("GET", "/hinted", "A: b", ""), format!("GET /{n}/hinted []")),
    }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        Server::start(Options::default(), |presented: Presented| async {
            if presented.target.ends_with("/unread") {
                return blind(presented).await;
            }
            if presented.target.ends_with("/hinted") {
                assert!(presented.connection.send_interim(StatusCode::PROCESSING, &Fields::new()));
            }
            echo(presented).await
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn each_request_gets_its_own_answer(kinds in proptest::collection::vec(kind(), 1..30), cuts in any::<[u16; 6]>()) {
        let exchanges: Vec<_> = kinds.iter().enumerate().map(|(n, kind)| exchange(n, kind)).collect();
        let end = "GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let sent: String = exchanges.iter().map(|(request, _)| request.as_str()).chain([end]).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| usize::from(*cut) % sent.len()).chain([0, sent.len()]).collect();
        cuts.sort_unstable();
        let mut client = server().connect();
        client.socket.set_nodelay(true).unwrap();
        for pair in cuts.windows(2) {
            client.send(&sent[pair[0]..pair[1]]);
        }
        let mut text = client.rest().text;
        for (kind, (_, body)) in kinds.iter().zip(&exchanges) {
            if matches!(kind, Kind::Hinted) {
                prop_assert!(text.starts_with("HTTP/1.1 102 Processing\r\n\r\n"), "{text}");
                text.drain(..27);
            }
            let head = text.find("\r\n\r\n").map_or(text.len(), |at| at + 4);
            prop_assert_eq!(statuses(&text[..head]), [200]);
            prop_assert!(text[head..].starts_with(body.as_str()), "{kind:?}: {text}");
            text.drain(..head + body.len());
        }
        prop_assert!(text.ends_with("GET /end []"), "{text}");
    }
}
