//! HEAD of what is stored.

use crate::support::{Origin, Proxy, Step, respond, until};

/// GET gives "body"; a HEAD with the validator is answered 304, one without 200.
fn origin_with_heads(control: &'static str, validator: &'static str) -> Origin {
    Origin::answering(move |request| match (request.method.as_str(), request.field("If-None-Match")) {
        (_, Some(_)) => respond(304, &["Cache-Control: max-age=600", validator], ""),
        ("HEAD", None) => vec![Step::Send(
            format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{control}\r\n{validator}\r\n\r\n").into_bytes(),
        )],
        _ => respond(200, &[control, validator], "body"),
    })
}

#[test]
fn w45_head_of_a_stale_response_validates_it() {
    let origin = origin_with_heads("Cache-Control: max-age=10", "ETag: \"v\"");
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    let head = proxy.client().ask("HEAD", "/", &[]);
    assert_eq!((head.status, head.x_cache(), head.detail()), (200, "HIT", "validated"));
    assert_eq!(head.field("Content-Length"), Some("4"));
    let asked = &origin.requests()[1];
    assert_eq!((asked.method.as_str(), asked.field("If-None-Match")), ("HEAD", Some("\"v\"")));
    assert_eq!((proxy.get("/").detail(), origin.request_count()), ("fresh", 2));
}

#[test]
fn w45_head_is_answered_within_stale_while_revalidate_and_a_head_goes_behind() {
    let control = "Cache-Control: max-age=10, stale-while-revalidate=60";
    for (validator, condition) in [("ETag: \"v\"", Some("\"v\"")), ("X-None: 1", None)] {
        let origin = origin_with_heads(control, validator);
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        let head = proxy.client().ask("HEAD", "/", &[]);
        assert_eq!((head.status, head.x_cache(), head.detail()), (200, "HIT", "stale-while-revalidate"));
        let behind = &origin.await_requests(2)[1];
        assert_eq!((behind.method.as_str(), behind.field("If-None-Match")), ("HEAD", condition));
        if condition.is_some() {
            until("the validation to be stored", || proxy.get("/").detail() == "fresh");
        }
        assert!(origin.requests()[1..].iter().all(|request| condition.is_none() || request.method == "HEAD"));
    }
}
