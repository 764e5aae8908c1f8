//! Proxies behind proxies.

use crate::support::{
    Origin, Spawned,
    proxy::{free_port, larder, output},
    respond, until,
};

fn on_port(port: &str, origin: &str, folder: &std::path::Path) -> Spawned {
    Spawned::from(&mut larder(&["--port", port, "--origin", origin, "--cache-dir", folder.to_str().unwrap()]))
}

#[test]
fn an_origin_that_leads_back_to_larder_is_a_508_after_one_turn() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let second = Spawned::start(&format!("http://127.0.0.1:{port}"), &folder.path().join("second"), &[]);
    let first = on_port(&port, &format!("http://{}", second.address), &folder.path().join("first"));
    for _ in 0..2 {
        let response = first.get("/a");
        assert_eq!(response.status, 508, "a loop of two, and never from the cache");
        assert_eq!(response.field("Proxy-Status"), Some("larder; error=proxy_loop_detected"));
    }
    // the request that came back, and the one that it was
    until("both lines", || first.log().iter().filter(|line| line.contains(" 508 GET /a ")).count() >= 2);
}

#[test]
fn an_origin_that_is_larder_itself_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    for (host, name, base) in
        [("127.0.0.1", "127.0.0.1", ""), ("127.0.0.1", "localhost", ""), ("0.0.0.0", "127.0.0.2", "/base")]
    {
        // another test may take the port first
        let (origin, stderr) = std::iter::repeat_with(|| {
            let port = free_port().to_string();
            let origin = format!("http://{name}:{port}{base}");
            let words = ["--host", host, "--port", &port, "--cache-dir", cache.to_str().unwrap(), &origin];
            let output = output(&mut larder(&words));
            assert_eq!(output.status.code(), Some(1));
            (origin, String::from_utf8(output.stderr).unwrap())
        })
        .take(20)
        .find(|(_, stderr)| !stderr.contains(" another program listens on "))
        .unwrap();
        let expected = format!(
            "error: --origin: {origin} is the address that Larder itself listens on; name the site's own, or choose another --port\n"
        );
        assert_eq!(stderr, expected);
    }
    assert!(!cache.exists(), "nothing was made");
}

#[test]
fn two_in_a_row_both_cache() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600", "ETag: \"a\""], "hello"));
    let inner = Spawned::start(&origin.url(), &folder.path().join("inner"), &[]);
    let outer = Spawned::start(&format!("http://{}", inner.address), &folder.path().join("outer"), &[]);
    let miss = outer.get("/a");
    assert_eq!((miss.text().as_str(), miss.x_cache()), ("hello", "MISS"));
    let hit = outer.get("/a");
    assert_eq!((hit.text().as_str(), hit.x_cache()), ("hello", "HIT"));
    assert_eq!(inner.get("/b").x_cache(), "MISS");
    assert_eq!(outer.get("/b").text(), "hello");
    assert_eq!(origin.request_count(), 2, "/a once, and /b once: the outer one names the host that it was asked for");
    let seen = &origin.requests()[0];
    let via: Vec<_> = seen.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("via")).collect();
    assert_eq!(format!("{via:?}").matches("1.1 larder-").count(), 2, "{via:?}");
}
