//! Ranges of what is not stored: collapsed, in other units, of bodies that break off.

use std::thread;

use crate::support::{End, Gate, Origin, Proxy, RecordedRequest, Step, request, respond, until};

const FRESH: &str = "Cache-Control: max-age=600";
const TAG: &str = "ETag: \"v\"";

fn body() -> String {
    (0..400).map(|n| format!("{n:04}")).collect()
}

/// A 206 of `body` for ranges of the form `first-last` and `first-`; otherwise the whole.
fn answer(request: &RecordedRequest) -> Vec<Step> {
    let body = body();
    let Some((first, last)) = request.field("Range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return respond(200, &[FRESH, TAG], body);
    };
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(body.len() - 1).min(body.len() - 1);
    respond(206, &[FRESH, TAG, &format!("Content-Range: bytes {first}-{last}/{}", body.len())], &body[first..=last])
}

/// What these clients get for these ranges. The origin answers when all have asked.
fn together(ranges: &[&str], answer: fn(&RecordedRequest) -> Vec<Step>) -> (Vec<String>, usize) {
    let gate = Gate::closed();
    let opened = gate.clone();
    let origin = Origin::answering(move |request| [vec![Step::Wait(opened.clone())], answer(request)].concat());
    let proxy = Proxy::start(&origin, &[]);
    let texts = thread::scope(|scope| {
        let mut asking = Vec::new();
        for (n, range) in ranges.iter().enumerate() {
            let mut client = proxy.client();
            let line = format!("Range: {range}");
            let lines = [&*line];
            client.send(request("GET", "/a", if range.is_empty() { &[] } else { &lines }));
            if n == 0 {
                origin.await_requests(1);
            }
            asking.push(scope.spawn(move || {
                let answer = client.response("GET");
                assert_eq!(answer.end, End::Whole);
                answer.text()
            }));
        }
        proxy.await_following(ranges.len() - 1);
        gate.open();
        asking.into_iter().map(|client| client.join().unwrap()).collect()
    });
    (texts, origin.request_count())
}

#[test]
fn w30_eight_clients_that_ask_for_all_bytes_as_a_range_are_one_request() {
    let (texts, requests) = together(&["bytes=0-"; 8], answer);
    assert!(texts.iter().all(|text| *text == body()));
    assert_eq!(requests, 1);
}

#[test]
fn w30_a_range_beside_the_whole_that_is_on_its_way_is_served_from_it() {
    let (texts, requests) = together(&["", "bytes=0-3", "bytes=0-"], answer);
    assert_eq!((texts[1].as_str(), texts[2].as_str(), requests), ("0000", &*body(), 1));
}

#[test]
fn w30_a_range_that_the_other_does_not_cover_is_asked_for_alone() {
    let (texts, requests) = together(&["bytes=0-3", "bytes=8-11", "bytes=0-1"], answer);
    assert_eq!((texts[0].as_str(), texts[1].as_str(), texts[2].as_str()), ("0000", "0002", "00"));
    assert_eq!(requests, 2);
}

#[test]
fn w30_a_range_whose_first_byte_is_not_due_is_asked_for_alone() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.field("Range") {
        Some(_) => answer(request),
        None => {
            let body = body();
            let head = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\n{TAG}\r\nContent-Length: {}\r\n\r\n", body.len());
            let (begin, rest) = body.split_at(100);
            vec![Step::Send((head + begin).into()), Step::Wait(held.clone()), Step::Send(rest.into())]
        }
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut whole = proxy.client();
    whole.send(request("GET", "/", &[]));
    assert_eq!(whole.head().status, 200);
    whole.bytes(100);
    // far more time has gone by than 100 bytes need for the next
    proxy.advance(60);
    // the index at the end of a video
    let end = proxy.client().ask("GET", "/", &["Range: bytes=1596-1599"]);
    assert_eq!((end.status, end.text().as_str(), origin.request_count()), (206, "0399", 2));
    // the part that was asked for alone is kept
    until("the part to be stored", || proxy.client().ask("GET", "/", &["Range: bytes=1598-1599"]).x_cache() == "HIT");
    let asked = origin.request_count();
    let begin = proxy.client().ask("GET", "/", &["Range: bytes=0-3"]);
    assert_eq!((begin.status, begin.text().as_str(), origin.request_count()), (206, "0000", asked));
    gate.open();
    assert_eq!(whole.bytes(1500).len(), 1500);
}

#[test]
fn w32_many_ranges_in_ascending_order_are_answered_and_others_get_the_whole() {
    let origin = Origin::answering(answer);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    let list = |ranges: Vec<usize>| ranges.iter().map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
    for (ranges, status) in [
        ((0..256).map(|n| n * 3).collect::<Vec<_>>(), 206),
        ((0..257).map(|n| n * 3).collect(), 200),
        ((0..20).rev().map(|n| n * 3).collect(), 200),
        (vec![5; 20], 200),
    ] {
        let answer = proxy.client().ask("GET", "/", &[&format!("Range: bytes={}", list(ranges.clone()))]);
        assert_eq!((answer.status, answer.x_cache()), (status, "HIT"), "{} ranges", ranges.len());
    }
}

#[test]
fn w33_the_content_range_of_a_200_stays_with_the_whole_alone() {
    let origin = Origin::always(respond(200, &[FRESH, "Content-Range: items 0-24/319"], "0123456789"));
    let proxy = Proxy::start(&origin, &[]);
    for _ in 0..2 {
        assert_eq!(proxy.get("/").values("Content-Range"), ["items 0-24/319"]);
    }
    let part = proxy.client().ask("GET", "/", &["Range: bytes=0-3"]);
    assert_eq!((part.status, part.values("Content-Range")), (206, vec!["bytes 0-3/10"]));
}

#[test]
fn w34_a_range_in_another_unit_goes_to_the_origin_and_is_not_stored() {
    let origin = Origin::answering(|request| match request.field("Range") {
        Some(range) => respond(200, &[FRESH], format!("page {range}")),
        None => respond(200, &[FRESH], "all"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let page = |range: &str| proxy.client().ask("GET", "/", &[&format!("Range: {range}")]).text();
    assert_eq!(page("items=0-1"), "page items=0-1");
    assert_eq!(page("items=2-3"), "page items=2-3");
    assert_eq!(proxy.get("/").text(), "all");
    assert_eq!((page("items=0-1").as_str(), proxy.get("/").x_cache()), ("page items=0-1", "HIT"));
}

#[test]
fn w34_a_body_that_breaks_off_goes_on_within_the_same_answer_once() {
    for (tag, breaks, whole) in [(TAG, 1, true), ("ETag: W/\"v\"", 1, false), (TAG, 2, false)] {
        let origin = Origin::answering(move |request| {
            let body = body();
            let (status, from) = match request.field("Range") {
                Some(range) => (206, range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()),
                None => (200, 0),
            };
            let rest = &body[from..];
            let range = format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            let range = if status == 206 { range.as_str() } else { "" };
            let length = rest.len();
            let head = format!("HTTP/1.1 {status} X\r\n{FRESH}\r\n{tag}\r\n{range}Content-Length: {length}\r\n\r\n");
            let sent = if request.index < breaks { &rest[..rest.len() / 2] } else { rest };
            vec![Step::Send((head + sent).into()), Step::Close]
        });
        let proxy = Proxy::start(&origin, &[]);
        let answer = proxy.get("/");
        assert_eq!(answer.end == End::Whole && answer.text() == body(), whole, "{tag} {breaks}");
        assert_eq!(proxy.get("/").x_cache() == "HIT", whole);
        if whole {
            let resumed = &origin.requests()[1];
            assert_eq!((resumed.field("Range"), resumed.field("If-Range")), (Some("bytes=800-"), Some("\"v\"")));
            assert_eq!(origin.request_count(), 2);
        }
    }
}

#[test]
fn w30_a_range_whose_first_byte_is_due_within_a_second_waits_for_the_whole() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |_| {
        let body = body();
        let head = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\n{TAG}\r\nContent-Length: {}\r\n\r\n", body.len());
        let (begin, rest) = body.split_at(1000);
        vec![Step::Send((head + begin).into()), Step::Wait(held.clone()), Step::Send(rest.into())]
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut whole = proxy.client();
    whole.send(request("GET", "/", &[]));
    assert_eq!(whole.head().status, 200);
    whole.bytes(1000);
    // at this pace the first byte comes 596 ms later
    proxy.advance(1);
    let mut end = proxy.client();
    end.send(request("GET", "/", &["Range: bytes=1596-1599"]));
    assert_eq!(end.head().status, 206);
    gate.open();
    assert_eq!((end.bytes(4).as_slice(), origin.request_count()), (b"0399".as_slice(), 1));
    assert_eq!(whole.bytes(600).len(), 600);
}
