//! Every cut, every truncation and many changes of a response: over memory, where a segment is what the test says it is.

use futures_core::future::LocalBoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::rig::{Got, options, read, request, run, soon};
use crate::{
    message::Method,
    origin::{Origin, OriginError, transport::Io},
};

impl Io for DuplexStream {
    fn has_input(&self) -> bool {
        false
    }
}

/// Answers with `parts` one after the other, then closes (or does not).
async fn in_parts(parts: Vec<Vec<u8>>, close: bool) -> Result<Got, OriginError> {
    let options = options("127.0.0.1:1".parse().unwrap());
    let dial = move || -> LocalBoxFuture<'static, _> {
        let parts = parts.clone();
        Box::pin(async move {
            let (ours, mut theirs) = tokio::io::duplex(1 << 16);
            tokio::task::spawn_local(async move {
                let _ = theirs.read(&mut [0; 4096]).await;
                for part in parts {
                    let _ = theirs.write_all(&part).await;
                    for _ in 0..4 {
                        tokio::task::yield_now().await;
                    }
                }
                if !close {
                    std::future::pending::<()>().await
                }
            });
            Ok(Box::new(ours) as Box<dyn Io>)
        })
    };
    let origin = Origin::over(&Origin::prepare(options).unwrap(), dial);
    Ok(read(soon(origin.send(request(Method::GET, "/"), |_| {})).await?).await)
}

const MESSAGES: [(&str, &str); 4] = [
    (
        "HTTP/1.1 103 E\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\nX: y\r\n\r\nhello world",
        "hello world",
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
        "hello world",
    ),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 11\r\nETag: \"x\"\r\n\r\n", ""),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
];

#[test]
fn a_response_is_the_same_however_it_is_cut() {
    run(async {
        for (message, body) in MESSAGES {
            let message = message.as_bytes();
            let mut cuts: Vec<Vec<Vec<u8>>> =
                (1..message.len()).map(|at| vec![message[..at].to_vec(), message[at..].to_vec()]).collect();
            cuts.push(message.chunks(1).map(<[u8]>::to_vec).collect());
            cuts.push(message.chunks(3).map(<[u8]>::to_vec).collect());
            for parts in cuts {
                let got = in_parts(parts, false).await.unwrap();
                assert_eq!(got.body.as_deref(), Ok(body.as_bytes()));
            }
        }
        let message = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello world";
        for at in 1..message.len() {
            in_parts(vec![message[..at].to_vec(), message[at..].to_vec()], true).await.unwrap().is(200, "hello world");
        }
    });
}

#[test]
fn a_response_cut_off_anywhere_is_an_error() {
    run(async {
        for (message, _) in MESSAGES {
            for end in 0..message.len() {
                let cut = &message.as_bytes()[..end];
                for parts in [vec![cut.to_vec()], cut.chunks(7).map(<[u8]>::to_vec).collect()] {
                    let got = in_parts(parts, true).await;
                    assert!(got.as_ref().is_err() || got.as_ref().is_ok_and(|got| got.body.is_err()), "{end}: {got:?}");
                }
            }
        }
    });
}

#[test]
fn a_response_with_bytes_changed_is_read_or_refused_and_nothing_worse() {
    run(async {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for case in 0..2_000 {
            let mut message = MESSAGES[random(MESSAGES.len())].0.as_bytes().to_vec();
            let bytes = b"\0\r\n :;,0159aAfFxX\x80\xff";
            for _ in 0..=random(3) {
                let (at, byte) = (random(message.len()), bytes[random(bytes.len())]);
                match random(3) {
                    0 => message[at] = byte,
                    1 => message.insert(at, byte),
                    _ => drop(message.remove(at)),
                }
            }
            let parts = message.chunks(1 + random(40)).map(<[u8]>::to_vec).collect();
            match in_parts(parts, true).await {
                Ok(got) => {
                    assert!(got.body.as_ref().map_or(0, Vec::len) <= message.len(), "case {case}");
                    if let (Some(length), Ok(body), 200) = (got.length, &got.body, got.status) {
                        assert_eq!(body.len() as u64, length, "case {case}");
                    }
                }
                Err(error) => {
                    assert!(matches!(error, OriginError::Closed | OriginError::Protocol(_)), "case {case}: {error}");
                }
            }
        }
    });
}
