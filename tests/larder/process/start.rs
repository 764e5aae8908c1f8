//! What Larder does and says at its start.

use crate::support::{Origin, Spawned, TlsEnd, TlsOrigin, respond};

#[test]
fn the_origin_is_tried_by_a_connection_alone_and_the_first_line_says_whether_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &[], "hello"));
    let there = Spawned::start(&origin.url(), &folder.path().join("there"), &[]);
    assert!(there.await_line("listening on ").contains(" answers=yes "));
    assert_eq!(origin.request_count(), 0, "a request may cost money");

    let missing = Spawned::start("http://127.0.0.1:9", &folder.path().join("missing"), &[]);
    assert!(missing.await_line("listening on ").contains(" answers=no "));
    let refused = "the origin refused the connection (127.0.0.1:9)";
    missing.await_line(&format!("WARN  cannot reach the origin: {refused}; only cached responses can be served"));
}

#[test]
fn an_https_origin_is_tried_up_to_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let origin = TlsOrigin::start(|_| (String::new(), TlsEnd::Open));
    let ca = origin.ca().to_str().unwrap().to_owned();
    let trusted = Spawned::start(&origin.url(), &folder.path().join("trusted"), &["--origin-ca", &ca]);
    assert!(trusted.await_line("listening on ").contains(" answers=yes "));
    let unknown = Spawned::start(&origin.url(), &folder.path().join("unknown"), &[]);
    assert!(unknown.await_line("listening on ").contains(" answers=no "));
    unknown.await_line("cannot reach the origin: the origin's certificate is not trusted (");
}
