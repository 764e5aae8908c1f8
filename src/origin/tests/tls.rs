//! TLS, and connections that do not come about.

use std::{io::Write, net::TcpListener, sync::Arc};

use tempfile::NamedTempFile;
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::{CryptoProvider, ring},
    pki_types::PrivateKeyDer,
};

use super::rig::{Client, OK, Peer, Server, run};
use crate::origin::{Options, Origin, OriginError, Prepared};

type Session = StreamOwned<ServerConnection, std::net::TcpStream>;

/// An origin that speaks TLS and would rather speak HTTP/2, and the file that vouches for it.
fn tls_server(serve: impl Fn(&mut Session, &Peer) + Send + Sync + 'static) -> (Server, NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut ca = NamedTempFile::new().unwrap();
    ca.write_all(made.cert.pem().as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let server = Server::new(move |peer| {
        let session = ServerConnection::new(config.clone()).unwrap();
        serve(&mut StreamOwned::new(session, peer.stream.try_clone().unwrap()), &peer);
    });
    (server, ca)
}

fn head(session: &mut Session) -> bool {
    use std::io::Read;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if session.read(&mut byte).unwrap_or(0) == 0 {
            return false;
        }
        head.push(byte[0]);
    }
    true
}

fn send(session: &mut Session, bytes: &[u8]) {
    let _ = session.write_all(bytes).and_then(|()| session.flush());
}

fn close_notify(session: &mut Session) {
    session.conn.send_close_notify();
    let _ = session.flush();
}

fn options(server: &Server, ca: &NamedTempFile) -> Options {
    Options { https: true, ca: Some(ca.path().to_owned()), ..server.options() }
}

#[test]
fn http_1_1_over_tls_on_one_connection_with_the_files_root_and_the_systems() {
    assert!(CryptoProvider::get_default().is_none(), "there is no process-wide provider");
    run(async {
        let (mut server, ca) = tls_server(|session, peer| {
            for _ in 0..3 {
                head(session);
                send(
                    session,
                    b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
                );
                send(session, b"0\r\n\r\n");
            }
            let protocol = session.conn.alpn_protocol().map(<[u8]>::to_vec).unwrap_or_default();
            let name = session.conn.server_name().unwrap_or("none").to_owned();
            close_notify(session);
            peer.say(format!("{} {name}", String::from_utf8(protocol).unwrap()));
        });
        let client = Client::new(Options { host: "localhost".into(), ..options(&server, &ca) });
        for _ in 0..3 {
            client.got().await.is(200, "ok");
        }
        assert_eq!(server.connections(), 1);
        assert_eq!(server.heard().await, "http/1.1 localhost");
        client.got().await.is(200, "ok");
        assert_eq!(server.connections(), 2, "a connection that was closed with close_notify is not used");
    });
}

#[test]
fn a_body_without_a_length_is_whole_only_with_close_notify() {
    run(async {
        for (answer, notified, whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", true, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", false, false),
            ("HTTP/1.1 200 OK\r\n\r\nhello", true, true),
            ("HTTP/1.1 200 OK\r\n\r\nhello", false, false),
        ] {
            let (server, ca) = tls_server(move |session, _| {
                head(session);
                send(session, answer.as_bytes());
                if notified {
                    close_notify(session);
                }
            });
            let got = Client::new(options(&server, &ca)).got().await;
            let want = if whole { Ok(b"hello".to_vec()) } else { Err(OriginError::Truncated) };
            assert_eq!((got.status, got.body), (200, want), "{answer} {notified}");
        }
    });
}

#[test]
fn what_was_prepared_can_go_to_every_worker() {
    fn goes<T: Clone + Send + Sync + 'static>() {}
    goes::<Prepared>();
}

#[test]
fn an_address_in_brackets_or_not_is_a_name_for_tls() {
    for host in ["[::1]", "127.0.0.1", "example.com"] {
        let server = Server::answering(OK);
        assert!(Origin::prepare(Options { https: true, host: host.into(), ..server.options() }).is_ok());
    }
}

#[test]
fn an_origin_without_a_trusted_certificate_is_refused() {
    run(async {
        let (server, _) = tls_server(|session, _| {
            head(session);
        });
        let error = Client::new(Options { https: true, ..server.options() }).get().await.unwrap_err();
        assert!(matches!(&error, OriginError::Certificate(why) if why.contains("its issuer is not known")), "{error}");
        assert_eq!(error.proxy_status(), "tls_certificate_error");
    });
}

#[test]
fn plain_text_on_a_tls_port_is_no_answer() {
    run(async {
        let server = Server::new(|mut peer| peer.send(OK));
        let error = Client::new(Options { https: true, ..server.options() }).get().await.unwrap_err();
        assert!(matches!(&error, OriginError::Tls(why) if why.contains("does not speak TLS")), "{error}");
    });
}

#[test]
fn a_ca_file_that_cannot_be_used_is_told_at_once() {
    let server = Server::answering(OK);
    let with = |ca: &std::path::Path| {
        let options = Options { https: true, ca: Some(ca.to_owned()), ..server.options() };
        Origin::prepare(options).err().unwrap()
    };
    assert!(with("/nonexistent/ca.pem".as_ref()).contains("/nonexistent/ca.pem"));
    assert!(with("/dev/null".as_ref()).contains("/dev/null: it is a device"));
    let file = NamedTempFile::new().unwrap();
    assert!(with(file.path()).contains("no certificate in it"));
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(with(file.path()).contains("cannot be trusted"));
    let bad = Origin::prepare(Options { https: true, host: "a_b c".into(), ..server.options() }).err().unwrap();
    assert!(bad.contains("a_b c"), "{bad}");
}

#[test]
fn an_origin_that_is_not_there_is_told_from_a_name_that_is_not_there() {
    run(async {
        let server = Server::answering(OK);
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = Client::new(Options { port: closed.port(), ..server.options() }).get().await.unwrap_err();
        assert_eq!(refused.proxy_status(), "connection_refused");
        assert!(refused.to_string().contains(&closed.to_string()), "{refused}");
        let unknown = Client::new(Options { host: "name.invalid".into(), ..server.options() }).get().await.unwrap_err();
        assert_eq!(unknown.proxy_status(), "dns_error", "{unknown}");
    });
}
