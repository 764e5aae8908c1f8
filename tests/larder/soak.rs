//! Many clients, an origin that misbehaves at random from a printed seed, unique answers: no answer is ever another
//! request's, and none that was cut is taken for whole.

use std::{sync::Mutex, thread};

use crate::support::{End, Origin, Proxy, RecordedRequest, Step, respond};

const CLIENTS: u64 = 12;
const REQUESTS: u64 = 250;

/// SplitMix64.
fn mixed(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The body is a function of the target and of whom it is for.
fn body(target: &str, user: &str) -> String {
    let seed = target.bytes().chain(user.bytes()).fold(7, |seed, byte| mixed(seed ^ u64::from(byte)));
    let length = [0, 1, 10, 1000, 20_000, 300_000][(seed % 6) as usize];
    let unit = format!("[{target} for {user}] ");
    let mut body = unit.repeat(length / unit.len() + 1);
    body.truncate(length.max(unit.len()));
    body
}

/// What this origin does to this request: whole answers in every framing, and every kind of fault.
fn misbehaving(seed: u64, request: &RecordedRequest) -> Vec<Step> {
    let user = request.field("X-User").unwrap_or("all");
    let shared = request.target.starts_with("/shared");
    let body = body(&request.target, if shared { "all" } else { user });
    let control = match (shared, mixed(seed ^ request.index as u64 ^ 1) % 3) {
        (true, _) => "Cache-Control: max-age=600\r\nETag: \"v\"",
        (_, 0) => "Cache-Control: private",
        (_, 1) => "Cache-Control: max-age=600\r\nVary: X-User",
        _ => "Cache-Control: no-store",
    };
    let whole = format!("HTTP/1.1 200 OK\r\n{control}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let chunked =
        format!("HTTP/1.1 200 OK\r\n{control}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len());
    let send = |text: String| Step::Send(text.into_bytes());
    let half = |text: &str| text[..text.len() / 2].to_owned();
    match mixed(seed ^ request.index as u64) % 14 {
        0..=3 => vec![send(whole)],
        4 => vec![send(chunked + "0\r\n\r\n")],
        5 => vec![send(format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", request.target)), send(whole)],
        6 => vec![send(whole), Step::Close],
        7 => vec![send(whole + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")],
        8 => vec![send(format!("HTTP/1.1 200 OK\r\n{control}\r\n\r\n{body}")), Step::Close],
        9 => vec![send(half(&whole)), Step::Close],
        10 => vec![send(chunked), Step::Close],
        11 => vec![send(half(&whole)), Step::Reset],
        12 => vec![Step::Close],
        _ => [respond(503, &["Cache-Control: no-store"], "busy"), vec![Step::Close]].concat(),
    }
}

/// What became of one request.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    whole: usize,
    hits: usize,
    broken: usize,
}

/// One client's life: a connection while it lasts, then another.
fn live(proxy: &Proxy, seed: u64, client: u64, count: &Mutex<Count>) {
    let user = format!("u{client}");
    let mut connection = proxy.client();
    for n in 0..REQUESTS {
        let choice = mixed(seed ^ (client << 32) ^ n);
        let target = match choice % 3 {
            0 => format!("/shared/{}", (choice >> 8) % 40),
            1 => format!("/own/{}", (choice >> 8) % 10),
            _ => format!("/once/{client}/{n}"),
        };
        let method = if (choice >> 20).is_multiple_of(9) { "POST" } else { "GET" };
        let user_line = format!("X-User: {user}");
        let fields: &[&str] = if method == "POST" { &[&user_line, "Content-Length: 0"] } else { &[&user_line] };
        let answer = connection.ask(method, &target, fields);
        let expected = body(&target, if target.starts_with("/shared") { "all" } else { &user });
        let mut count = count.lock().unwrap();
        match (answer.status, answer.end) {
            (200, End::Whole) => {
                assert!(answer.text() == expected, "seed {seed}: {method} {target} for {user}: {:.80}", answer.text());
                count.whole += 1;
                count.hits += usize::from(answer.x_cache() == "HIT");
            }
            (200, End::Cut | End::Broken) => {
                assert!(
                    expected.starts_with(&answer.text()),
                    "seed {seed}: {target} for {user}: {:.80}",
                    answer.text()
                );
                count.broken += 1;
            }
            (502 | 503, End::Whole) => count.broken += 1,
            _ => panic!("seed {seed}: {method} {target} for {user}: {} {:?}", answer.status, answer.end),
        }
        drop(count);
        let closing = answer.field("Connection").is_some_and(|option| option.eq_ignore_ascii_case("close"));
        if closing || answer.end != End::Whole || choice.is_multiple_of(17) {
            connection = proxy.client();
        }
    }
}

#[test]
fn no_answer_is_ever_another_requests_whatever_the_origin_does() {
    let seed = std::env::var("LARDER_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| mixed(u64::from(std::process::id())));
    println!("seed {seed}: LARDER_TEST_SEED={seed} runs it again");
    let origin = Origin::answering(move |request| misbehaving(seed, request));
    let proxy = Proxy::start(&origin, &[]);
    let count = Mutex::default();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (proxy, count) = (&proxy, &count);
            scope.spawn(move || live(proxy, seed, client, count));
        }
    });
    let Count { whole, hits, broken } = *count.lock().unwrap();
    assert_eq!(whole + broken, (CLIENTS * REQUESTS) as usize);
    assert!(whole > broken && hits > 100 && broken > 100, "seed {seed}: {whole} whole, {hits} hits, {broken} broken");
}
