//! 1xx responses: forwarded where that is safe, and never the answer.

use crate::support::{Gate, Origin, Proxy, Step};

fn hinting(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| {
        vec![
            Step::Send(
                format!("HTTP/1.1 103 Early Hints\r\nLink: <{}.css>; rel=preload\r\n\r\n", request.target).into_bytes(),
            ),
            Step::Wait(gate.clone()),
            Step::Send(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", request.target.len(), request.target)
                    .into_bytes(),
            ),
        ]
    })
}

#[test]
fn early_hints_reach_the_client_before_the_answer_is_there() {
    let gate = Gate::closed();
    let origin = hinting(&gate);
    let proxy = Proxy::start(&origin, &[]);
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.raw_head().starts_with(b"HTTP/1.1 103 "));
    gate.open();
    let response = client.response("GET");
    assert_eq!((response.status, response.text().as_str()), (200, "/a"));
}

#[test]
fn hints_carry_the_origins_fields() {
    let gate = Gate::closed();
    gate.open();
    let origin = hinting(&gate);
    let proxy = Proxy::start(&origin, &[]);
    let response = proxy.client().ask("GET", "/a", &[]);
    let [(103, fields)] = &response.interim[..] else { panic!("{:?}", response.interim) };
    assert_eq!(fields, &[("Link".to_owned(), "</a.css>; rel=preload".to_owned())]);
}

#[test]
fn pipelined_requests_get_their_answers_in_order_whatever_hints_come() {
    let gate = Gate::closed();
    gate.open();
    let origin = hinting(&gate);
    let proxy = Proxy::start(&origin, &[]);
    let mut client = proxy.client();
    let requests: String = (0..40).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..40 {
        let response = client.response("GET");
        assert_eq!((response.status, response.text()), (200, format!("/{n}")));
        for (status, fields) in &response.interim {
            assert_eq!((*status, fields[0].1.as_str()), (103, format!("</{n}.css>; rel=preload").as_str()));
        }
    }
}

#[test]
fn an_http_1_0_client_gets_no_interim_response() {
    let gate = Gate::closed();
    gate.open();
    let origin = hinting(&gate);
    let proxy = Proxy::start(&origin, &[]);
    let response = proxy.client().send("GET /a HTTP/1.0\r\nHost: h\r\n\r\n").response("GET");
    assert_eq!((response.interim.len(), response.text().as_str()), (0, "/a"));
}
