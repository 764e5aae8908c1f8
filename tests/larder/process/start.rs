//! What Larder does and says at its start.

use std::fs;

use crate::support::{Origin, Spawned, TlsEnd, TlsOrigin, proxy::larder, respond};

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

#[test]
fn each_origin_of_several_sites_is_tried_and_those_that_do_not_answer_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (origin, file) = (Origin::always(respond(200, &[], "hello")), folder.path().join("larder.toml"));
    let site = |path: &str, origin: &str| format!("[[site]]\npath = '/{path}'\norigin = '{origin}'\n");
    let sites = [site("a", &origin.url()), site("b", "http://127.0.0.1:9"), site("c", "https://127.0.0.1:7")].concat();
    let top = format!("port = 0\ncache-dir = '{}'\norigin-insecure = true\n", folder.path().join("cache").display());
    fs::write(&file, top + &sites).unwrap();
    let spawned = Spawned::from(&mut larder(&["--config", file.to_str().unwrap()]));
    assert!(spawned.await_line("listening on ").contains(" sites=3 answers=no "));
    for (url, address) in [("http://127.0.0.1:9", "127.0.0.1:9"), ("https://127.0.0.1:7", "127.0.0.1:7")] {
        spawned.await_line(&format!("cannot reach the origin: {url}: the origin refused the connection ({address});"));
    }
    // not the first site's origin alone counts
    spawned.await_line("--origin-insecure: the origin's certificate is not checked");
}
