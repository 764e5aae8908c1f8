//! What may be sent again, and what never.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use futures_core::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use super::rig::{OK, Server, options, pieces, read, request, run, soon, zeros};
use crate::{
    message::Method,
    origin::{Origin, OriginError, transport::Io},
};

/// Answers the first request of each connection, reads the second one's head, and closes. Says what it read.
fn racy(reset: bool) -> Server {
    Server::new(move |mut peer| {
        let length = |head: &str| head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
        let head = peer.head().unwrap();
        let body = peer.take(length(&head).unwrap_or(0)).unwrap();
        peer.say(format!("{} {} {}", peer.nth, head.split(' ').next().unwrap(), body.len()));
        peer.send(OK);
        if let Some(head) = peer.head() {
            peer.say(format!("{} lost {}", peer.nth, head.split(' ').next().unwrap()));
            if reset {
                peer.reset()
            }
        }
    })
}

#[test]
fn an_idempotent_request_lost_with_a_pooled_connection_is_sent_once_more() {
    run(async {
        for reset in [false, true] {
            for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "DELETE"] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let mut server = racy(reset);
                let client = server.client();
                client.got().await.is(200, "ok");
                let got = client.send(request(method.clone(), "/")).await.unwrap();
                assert_eq!(got.status, 200);
                assert_eq!(server.heard().await, "0 GET 0");
                assert_eq!(server.heard().await, format!("0 lost {method}"));
                assert_eq!(server.heard().await, format!("1 {method} 0"));
                assert_eq!(server.connections(), 2);
            }
        }
    });
}

#[test]
fn an_upload_is_sent_once_more_as_long_as_it_is_remembered() {
    run(async {
        let mut server = racy(false);
        let client = server.client();
        client.got().await.is(200, "ok");
        let body = pieces(&["hello", "body"]);
        client.upload(Method::PUT, Some(9), body).await.unwrap().is(200, "ok");
        for said in ["0 GET 0", "0 lost PUT", "1 PUT 9"] {
            assert_eq!(server.heard().await, said);
        }

        // this much of it is not
        let server = Server::new(|mut peer| {
            peer.head();
            peer.send(OK);
            peer.head();
            peer.take(100_000);
        });
        let client = server.client();
        client.got().await.is(200, "ok");
        let (body, _) = zeros(16 << 20);
        let lost = client.upload(Method::PUT, Some(16 << 20), body).await.unwrap_err();
        assert_eq!(lost, OriginError::Closed);
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn other_methods_are_never_sent_twice() {
    run(async {
        for reset in [false, true] {
            for method in ["POST", "PATCH", "LOCK", "get"] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let mut server = racy(reset);
                let client = server.client();
                client.got().await.is(200, "ok");
                let lost = client.upload(method.clone(), Some(5), pieces(&["hello"])).await.unwrap_err();
                assert_eq!(lost, OriginError::Closed);
                assert_eq!(server.heard().await, "0 GET 0");
                assert_eq!(server.heard().await, format!("0 lost {method}"));
                client.got().await.is(200, "ok");
                assert_eq!(server.heard().await, "1 GET 0", "the next thing said is the next request");
            }
        }
    });
}

#[test]
fn a_request_is_not_sent_again_once_a_byte_of_an_answer_came() {
    run(async {
        let server = Server::new(|mut peer| {
            peer.head();
            peer.send(OK);
            peer.head();
            peer.send("H");
        });
        let client = server.client();
        client.got().await.is(200, "ok");
        assert_eq!(client.get().await.unwrap_err(), OriginError::Closed);
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn the_second_try_is_the_last_and_never_on_a_pooled_connection() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.say(format!("asked {}", peer.nth));
            if peer.nth < 2 {
                peer.wait();
                peer.send(OK);
                if peer.head().is_some() {
                    peer.say(format!("lost {}", peer.nth));
                }
            }
        });
        let client = server.client();
        let (one, two, ()) = tokio::join!(client.got(), client.got(), async {
            for _ in 0..2 {
                assert!(server.heard().await.starts_with("asked"));
                server.go_on();
            }
        });
        one.is(200, "ok");
        two.is(200, "ok");
        assert_eq!(client.get().await.unwrap_err(), OriginError::Closed);
        assert!(server.heard().await.starts_with("lost"));
        assert_eq!(server.heard().await, "asked 2");
        assert_eq!(server.connections(), 3);
    });
}

#[test]
fn a_pooled_connection_that_the_origin_closed_is_not_used() {
    run(async {
        for reset in [false, true] {
            let mut server = Server::new(move |mut peer| {
                peer.head();
                peer.send(OK);
                peer.wait();
                let voice = peer.voice();
                if reset {
                    peer.reset()
                } else {
                    drop(peer)
                }
                voice.send("closed".into()).unwrap();
            });
            let client = server.client();
            for nth in 1..4 {
                // a POST: it would be an error if it were sent on the dead connection
                client.send(request(Method::POST, "/")).await.unwrap().is(200, "ok");
                assert_eq!(server.connections(), nth);
                server.go_on();
                assert_eq!(server.heard().await, "closed");
            }
        }
    });
}

/// Takes nothing from its second request.
struct Broken {
    inner: DuplexStream,
    broken: Rc<Cell<bool>>,
}

impl AsyncRead for Broken {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() && buf.filled().len() > before {
            self.broken.set(true);
        }
        polled
    }
}

impl AsyncWrite for Broken {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken.get() {
            // what the kernel says where the reset came between the last look and the write
            let _ = Pin::new(&mut self.inner).poll_shutdown(cx);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Io for Broken {
    fn has_input(&self) -> bool {
        false
    }
}

#[test]
fn a_request_of_which_nothing_was_written_may_be_sent_again_whatever_its_method() {
    run(async {
        let options = options("127.0.0.1:1".parse().unwrap());
        let dialled = Rc::new(Cell::new(0));
        let count = dialled.clone();
        let dial = move || -> LocalBoxFuture<'static, _> {
            count.set(count.get() + 1);
            Box::pin(async {
                let (inner, mut theirs) = tokio::io::duplex(4096);
                tokio::task::spawn_local(async move {
                    let mut bytes = [0; 4096];
                    while theirs.read(&mut bytes).await.is_ok_and(|n| n > 0) {
                        let _ = theirs.write_all(OK.as_bytes()).await;
                    }
                });
                Ok(Box::new(Broken { inner, broken: Rc::default() }) as Box<dyn Io>)
            })
        };
        let origin = Origin::over(&Origin::prepare(options).unwrap(), dial);
        for dials in 1..4 {
            let sent = origin.send(request(Method::POST, "/"), |_| {});
            read(soon(sent).await.unwrap()).await.is(200, "ok");
            assert_eq!(dialled.get(), dials);
        }
    });
}
