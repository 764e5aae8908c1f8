//! How large a request may be (X08), and what a Range may cost (X09).

use crate::support::{Origin, Proxy, request, respond};

#[test]
fn x08_each_limit_of_a_head_has_its_status_and_ends_where_its_flag_says() {
    let origin = Origin::answering(|_| respond(200, &["Cache-Control: no-store"], "ok"));
    let flags = ["--max-head", "2KiB", "--max-fields", "10", "--max-target", "1KiB", "--max-method", "24B"];
    let proxy = Proxy::start(&origin, &flags);
    let status = |method: &str, target: &str, fields: &[&str]| {
        let mut client = proxy.client();
        let _ = client.try_send(request(method, target, fields));
        let response = client.response(method);
        assert_eq!(response.status == 200, response.field("Connection").is_none(), "a refusal ends the connection");
        response.status
    };
    let target = |length: usize| format!("/{}", "x".repeat(length - 1));
    assert_eq!(status("GET", &target(1024), &[]), 200);
    assert_eq!(status("GET", &target(1025), &[]), 414);
    assert_eq!(status("GET", &target(1 << 20), &[]), 414);
    // Host and what every request bears are two of them
    assert_eq!(status("GET", "/", &["X: y"; 8]), 200);
    assert_eq!(status("GET", "/", &["X: y"; 9]), 431);
    let line = |length: usize| format!("X: {}", "y".repeat(length - 3));
    let bare = request("GET", "/", &[]).len();
    assert_eq!(status("GET", "/", &[&line(2048 - bare - 2)]), 200);
    assert_eq!(status("GET", "/", &[&line(2048 - bare - 1)]), 431);
    assert_eq!(status("GET", "/", &[&line(1 << 20)]), 431);
    assert_eq!(status(&"M".repeat(24), "/", &[]), 200);
    assert_eq!(status(&"M".repeat(25), "/", &[]), 501);
    assert_eq!([1024, 1025, 70 << 10].map(|length| status(&"M".repeat(length), "/", &[])), [501, 400, 400]);
    assert_eq!(origin.request_count(), 4);
}

#[test]
fn x08_chunk_extensions_and_trailers_end_where_their_flags_say() {
    let origin = Origin::answering(|_| respond(200, &["Cache-Control: no-store"], "ok"));
    let flags = ["--max-chunk-extension", "10B", "--max-chunk-extensions", "25B", "--max-trailer", "40B"];
    let proxy = Proxy::start(&origin, &flags);
    let status = |body: &str| {
        let mut client = proxy.client();
        let _ = client.try_send([&request("POST", "/", &["Transfer-Encoding: chunked"]), body.as_bytes()].concat());
        client.response("POST").status
    };
    let chunk = |extension: usize| format!("1;{}\r\nx\r\n", "e".repeat(extension - 1));
    let end = "0\r\n\r\n";
    assert_eq!([status(&(chunk(10) + end)), status(&(chunk(11) + end))], [200, 400]);
    assert_eq!([status(&(chunk(10).repeat(2) + end)), status(&(chunk(10).repeat(3) + end))], [200, 400]);
    let trailer = |length: usize| format!("0\r\nT: {}\r\n\r\n", "y".repeat(length));
    assert_eq!([status(&trailer(20)), status(&trailer(60))], [200, 400]);
    assert_eq!(origin.heads().len(), 3);
}

#[test]
fn x08_the_default_limits_are_the_documented_ones() {
    let origin = Origin::answering(|_| respond(200, &["Cache-Control: no-store"], "ok"));
    let proxy = Proxy::start(&origin, &[]);
    let status = |target: &str, fields: &[&str]| {
        let mut client = proxy.client();
        let _ = client.try_send(request("GET", target, fields));
        client.response("GET").status
    };
    // beside Host and what every request bears
    assert_eq!([status("/", &["X: y"; 94]), status("/", &["X: y"; 95])], [200, 431]);
    let target = |length: usize| format!("/{}", "x".repeat(length - 1));
    assert_eq!([status(&target(8 << 10), &[]), status(&target((8 << 10) + 1), &[])], [200, 414]);
    let fields: Vec<String> = (0..33).map(|n| format!("X-{n}: {}", "y".repeat(1000))).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_eq!([status("/", &fields[..31]), status("/", &fields)], [200, 431]);
}

#[test]
fn x09_no_range_makes_an_answer_much_larger_than_the_object() {
    let object: Vec<u8> = (0..1000).map(|n| b'a' + (n % 26) as u8).collect();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600", "ETag: \"a\""], &object));
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.get("/r").body, object);
    let many = |range: &str| vec![range; 1000].join(",");
    let digits = "9".repeat(10_000);
    for (range, statuses) in [
        (many("0-"), &[200][..]),
        (many("0-0"), &[200]),
        (many("-1"), &[200]),
        ("0-499,100-599,200-699".to_owned(), &[200, 206]),
        ("-1,0-0".to_owned(), &[200, 206]),
        ("18446744073709551615-".to_owned(), &[416]),
        ("18446744073709551616-".to_owned(), &[200, 416]),
        ("0-18446744073709551615".to_owned(), &[206]),
        ("-18446744073709551615".to_owned(), &[200, 206]),
        ("-9223372036854775608,-1".to_owned(), &[200, 206]),
        ("9-1".to_owned(), &[200]),
        (String::new(), &[200]),
        ("-".to_owned(), &[200]),
        ("-0".to_owned(), &[416]),
        ("-2000".to_owned(), &[200, 206]),
        ("999-".to_owned(), &[206]),
        ("1000-".to_owned(), &[416]),
        (format!("{digits}-"), &[200, 416]),
        (format!("0-{digits}"), &[200, 206]),
        (format!("-{digits}"), &[200, 206]),
    ] {
        let response = proxy.client().ask("GET", "/r", &[&format!("Range: bytes={range}")]);
        let short = &range[..range.len().min(40)];
        assert!(statuses.contains(&response.status), "{short}: {}", response.status);
        // parts of a multipart answer have their heads
        assert!(response.body.len() <= object.len() + 512, "{short}: {}", response.body.len());
        if let Some(part) = response.field("Content-Range").filter(|_| response.status == 206) {
            let (first, last) =
                part.strip_prefix("bytes ").unwrap().strip_suffix("/1000").unwrap().split_once('-').unwrap();
            assert_eq!(response.body, object[first.parse().unwrap()..=last.parse().unwrap()], "{short}");
        } else if response.status == 200 {
            assert_eq!(response.body, object, "{short}");
        }
    }
    assert_eq!(origin.request_count(), 1, "all of it came from the cache");
}

#[test]
fn x09_a_range_of_one_byte_costs_the_origin_one_byte() {
    let origin = Origin::answering(|request| match request.field("Range") {
        Some("bytes=0-0") => respond(206, &["Content-Range: bytes 0-0/1000000", "Cache-Control: max-age=600"], "x"),
        _ => respond(200, &[], vec![b'x'; 1_000_000]),
    });
    let proxy = Proxy::start(&origin, &[]);
    for _ in 0..3 {
        let response = proxy.client().ask("GET", "/r", &["Range: bytes=0-0"]);
        assert_eq!((response.status, response.body.as_slice()), (206, &b"x"[..]));
    }
    assert!(origin.requests().iter().all(|request| request.field("Range") == Some("bytes=0-0")));
}
