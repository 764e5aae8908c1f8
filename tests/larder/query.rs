//! QUERY (RFC 10008): answered from the cache, with its content in the key.

use crate::support::{Gate, Origin, Proxy, Step, request, respond};

#[test]
fn a_query_is_keyed_by_its_content_and_the_contents_type() {
    let origin = Origin::answering(|request| {
        let asked = String::from_utf8_lossy(&request.body).into_owned();
        respond(
            200,
            &["Cache-Control: max-age=600"],
            format!("{asked} {}", request.field("Content-Type").unwrap_or("-")),
        )
    });
    let proxy = Proxy::start(&origin, &[]);
    let query = |content: &str, of_type: &str| {
        let head = format!(
            "QUERY /q HTTP/1.1\r\nHost: larder.test\r\nContent-Type: {of_type}\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        proxy.client().send(head).send(content).response("QUERY")
    };
    for word in ["MISS", "HIT"] {
        for (content, of_type) in
            [("a", "text/x"), ("b", "text/x"), ("a", "text/y"), ("", "text/x"), ("{\"a\":1}", "application/json")]
        {
            let answer = query(content, of_type);
            assert_eq!((answer.x_cache(), answer.text()), (word, format!("{content} {of_type}")));
        }
    }
    assert_eq!(origin.request_count(), 5);
    // a GET of the same URL is another question, and a QUERY changes nothing
    assert_eq!((proxy.get("/q").x_cache(), proxy.get("/q").x_cache()), ("MISS", "HIT"));
    query("new", "text/x");
    assert_eq!(proxy.get("/q").x_cache(), "HIT");
}

#[test]
fn a_query_is_keyed_by_all_that_says_what_its_content_means() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=600"], request.index.to_string()));
    let proxy = Proxy::start(&origin, &[]);
    let metadata = [
        &[][..],
        &["Content-Type: text/x"],
        &["Content-Type: text/y"],
        &["Content-Type: text/x", "Content-Type: text/y"],
        &["Content-Type: text/x, text/y"],
        &["Content-Type: text/x", "Content-Encoding: gzip"],
        &["Content-Type: text/x", "Content-Language: gzip"],
        &["Content-Encoding: gzip"],
    ];
    for word in ["MISS", "HIT"] {
        for (n, lines) in metadata.iter().enumerate() {
            let head = request("QUERY", "/q", &[lines, &["Content-Length: 1"][..]].concat());
            let answer = proxy.client().send(head).send("a").response("QUERY");
            assert_eq!((answer.x_cache(), answer.text()), (word, n.to_string()), "{lines:?}");
            assert!(word == "HIT" || answer.cache_status().contains("fwd=uri-miss"), "{}", answer.cache_status());
        }
    }
}

#[test]
fn queries_of_different_content_never_share_a_fetch() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| {
        let answer = respond(200, &["Cache-Control: max-age=600"], &request.body);
        [vec![Step::Wait(held.clone())], answer].concat()
    });
    let proxy = Proxy::start(&origin, &[]);
    let contents = ["one", "two", "one", "two"];
    let mut clients = contents.map(|content| {
        let mut client = proxy.client();
        client.send(request("QUERY", "/q", &["Content-Length: 3"])).send(content);
        client
    });
    origin.await_requests(2);
    proxy.await_following(2);
    gate.open();
    for (client, content) in clients.iter_mut().zip(contents) {
        assert_eq!(client.response("QUERY").text(), content);
    }
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn no_lifetime_is_invented_for_an_answer_to_query() {
    for fields in [&[][..], &["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"]] {
        let origin = Origin::answering(|request| respond(200, fields, request.index.to_string()));
        let proxy = Proxy::start(&origin, &[]);
        let head = request("QUERY", "/q", &["Content-Length: 1"]);
        for n in 0..2 {
            let answer = proxy.client().send(&head).send("a").response("QUERY");
            assert_eq!((answer.x_cache(), answer.text()), ("MISS", n.to_string()), "{fields:?}");
        }
    }
}

#[test]
fn a_query_that_comes_in_chunks_is_the_same_question() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=600"], &request.body));
    let proxy = Proxy::start(&origin, &[]);
    let chunked = request("QUERY", "/q", &["Transfer-Encoding: chunked"]);
    let with_length = request("QUERY", "/q", &["Content-Length: 6"]);
    for (head, content, word) in [
        (&chunked, "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", "MISS"),
        (&chunked, "6\r\nabcdef\r\n0\r\n\r\n", "HIT"),
        (&with_length, "abcdef", "HIT"),
    ] {
        let answer = proxy.client().send(head).send(content).response("QUERY");
        assert_eq!((answer.x_cache(), answer.text().as_str()), (word, "abcdef"), "{content:?}");
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn only_if_cached_holds_for_a_request_with_content_too() {
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "page"));
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/a");
    let long = vec![b'x'; 100_000];
    for (method, content) in [("GET", &b"id=bad"[..]), ("HEAD", b"id=bad"), ("QUERY", b"new"), ("QUERY", &long)] {
        let length = format!("Content-Length: {}", content.len());
        let mut client = proxy.client();
        client.send(request(method, "/a", &["Cache-Control: only-if-cached", &length]));
        // it may have been answered by then, and be closed
        let _ = client.try_send(content);
        assert_eq!(client.response(method).status, 504, "{method} {}", content.len());
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_query_whose_content_is_too_long_for_a_key_goes_through_whole() {
    let origin =
        Origin::answering(|request| respond(200, &["Cache-Control: max-age=600"], request.body.len().to_string()));
    let proxy = Proxy::start(&origin, &[]);
    let content = vec![b'x'; 200_000];
    for chunked in [false, true, false] {
        let mut client = proxy.client();
        if chunked {
            client.send("QUERY /q HTTP/1.1\r\nHost: larder.test\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n");
            client.send(&content).send("\r\n0\r\n\r\n");
        } else {
            client.send("QUERY /q HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 200000\r\n\r\n").send(&content);
        }
        let answer = client.response("QUERY");
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("MISS", "200000"));
        assert_eq!(answer.detail(), "the request's content is too long for the key (64 KiB)");
    }
}
