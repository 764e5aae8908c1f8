use super::*;
use crate::message::Scheme;
use crate::policy::invalidation::{invalidates, resolve};

fn paths(method: &str, status: u16, lines: &[&str]) -> Vec<String> {
    let targets = invalidates(&request(method, &[]), &response(status, lines));
    assert!(targets.iter().all(|target| target.authority == "h.example"));
    targets.into_iter().map(|target| target.path_and_query).collect()
}

#[test]
fn only_successful_answers_to_unsafe_methods_invalidate() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        for (status, expected) in [(200, true), (204, true), (303, true), (404, false), (500, false)] {
            assert_eq!(!paths(method, status, &[]).is_empty(), expected, "{method} {status}");
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH"] {
        assert!(paths(method, 200, &["Location: /x"]).is_empty(), "{method}");
    }
}

#[test]
fn location_and_content_location_of_the_same_authority_are_invalidated_too() {
    let lines = ["Location: /x?y", "Content-Location: http://H.EXAMPLE:80/z#f"];
    assert_eq!(paths("PUT", 201, &lines), ["/a/b?q=1", "/x?y", "/z"]);
    let others = ["Location: http://o.example/x", "Content-Location: ftp://h.example/x"];
    assert_eq!(paths("PUT", 201, &others), ["/a/b?q=1"]);
}

#[test]
fn w47_copy_and_move_invalidate_their_destination() {
    for (destination, expected) in [
        ("Destination: http://h.example/new?z", vec!["/a/b?q=1", "/new?z"]),
        ("Destination: /new", vec!["/a/b?q=1", "/new"]),
        ("Destination: http://other.example/new", vec!["/a/b?q=1"]),
        ("X: /new", vec!["/a/b?q=1"]),
    ] {
        for (method, expected) in [("MOVE", expected.clone()), ("COPY", expected), ("PUT", vec!["/a/b?q=1"])] {
            let targets = invalidates(&request(method, &[destination]), &response(201, &[]));
            let paths: Vec<_> = targets.into_iter().map(|target| target.path_and_query).collect();
            assert_eq!(paths, expected, "{method} {destination}");
        }
    }
}

#[test]
fn references_are_resolved_as_rfc_3986_says() {
    let base = Target { scheme: Scheme::Http, authority: "a".to_owned(), path_and_query: "/b/c/d;p?q".to_owned() };
    for (reference, expected) in [
        // the examples of RFC 3986 §5.4
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("//a", "/"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"),
        ("g#s", "/b/c/g"),
        (";x", "/b/c/;x"),
        ("", "/b/c/d;p?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("./g/.", "/b/c/g/"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("http://a", "/"),
        ("http://a?x", "/?x"),
        ("HTTPS://A:443/x/../y", "/y"),
        ("//A:80/x", "/x"),
    ] {
        let resolved = resolve(&base, reference.as_bytes()).map(|target| target.path_and_query);
        assert_eq!(resolved.as_deref(), Some(expected), "{reference}");
    }
    for elsewhere in
        ["g:h", "//g", "http://ab/", "http://a@a/", "http://a:8080/", "http:g", "mailto:a@a", "a b", "x\u{7f}"]
    {
        assert_eq!(resolve(&base, elsewhere.as_bytes()), None, "{elsewhere}");
    }
    let with_port = Target { scheme: Scheme::Http, authority: "a:8080".to_owned(), path_and_query: "/".to_owned() };
    assert_eq!(resolve(&with_port, b"http://a:8080/x").unwrap().path_and_query, "/x");
    assert_eq!(resolve(&with_port, b"http://a/x"), None);
}
