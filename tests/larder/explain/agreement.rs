//! Random requests, answers, rules and clocks: the dry run and what then happens agree in each byte of Cache-Status.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use larder::explanation::{Explanation, Outcome, Wanted};

use super::{explain, wanted};
use crate::{
    parts_at_random::Random,
    support::{Client, Origin, Proxy, RecordedRequest, Response, Step},
};

/// Requests in the suite. LARDER_EXPLAIN_CASES names another number.
const CASES: usize = 300;

/// Requests before the next Larder with other settings.
const OF_ONE: usize = 100;

const PATHS: [&str; 6] = ["/a", "/b?x=1", "/b?x=1&utm_source=m", "/c/d", "/e", "/f"];
const METHODS: [&str; 19] = [
    "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST", "POST",
    "QUERY", "QUERY", "OPTIONS",
];

/// Contents of a request.
const CONTENTS: [&str; 5] = ["a=1", "a=1", "a=1", "a=2", "mutation { delete }"];

/// Fields of a request, each of which comes now and then.
const ASKED: [&str; 19] = [
    "Cookie: a=1; lang=de",
    "Authorization: Basic eDp5",
    "X-Api-Key: 1",
    "Accept-Language: de",
    "Accept-Language: en",
    "Accept-Encoding: gzip",
    "Cache-Control: no-cache",
    "Cache-Control: no-store",
    "Cache-Control: max-age=0",
    "Cache-Control: max-age=20",
    "Cache-Control: min-fresh=20",
    "Cache-Control: max-stale=60",
    "Cache-Control: only-if-cached",
    "Pragma: no-cache",
    "If-None-Match: \"1\"",
    "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT",
    "If-Match: \"1\"",
    "Range: bytes=2-5",
    "Range: bytes=0-0,-1",
];

/// Fields of an answer, each of which comes now and then.
const ANSWERED: [&str; 27] = [
    "Cache-Control: max-age=60",
    "Cache-Control: max-age=60",
    "Cache-Control: s-maxage=30, max-age=5",
    "Cache-Control: public, max-age=600",
    "Cache-Control: no-cache",
    "Cache-Control: no-store",
    "Cache-Control: private, max-age=60",
    "Cache-Control: max-age=0",
    "Cache-Control: max-age=10, stale-while-revalidate=100",
    "Cache-Control: max-age=10, stale-if-error=1000",
    "Cache-Control: max-age=10, must-revalidate",
    "Cache-Control: no-store, private",
    "CDN-Cache-Control: max-age=40",
    "Surrogate-Control: max-age=40",
    "X-Accel-Expires: 20",
    "X-Accel-Expires: 0",
    "Expires: Thu, 01 Jan 2026 00:10:00 GMT",
    "Expires: 0",
    "Pragma: no-cache",
    "Set-Cookie: s=1",
    "Vary: Accept-Language",
    "Vary: Accept-Encoding, Cookie",
    "Vary: *",
    "Age: 15",
    "Content-Encoding: gzip",
    "Content-Type: text/event-stream",
    "Location: /elsewhere",
];

const STATUSES: [u16; 16] = [200, 200, 200, 200, 200, 200, 200, 203, 204, 301, 302, 404, 403, 500, 503, 410];

/// Settings of one Larder.
const SETTINGS: [&[&str]; 15] = [
    &[],
    &["--rule", "/a ttl=10s"],
    &["--rule", "/b bypass"],
    &["--rule", "/a ignore=private,no-store,set-cookie,no-cache"],
    &["--ignore-query", "utm_*"],
    &["--rule", "/ key-headers=authorization,x-api-key ttl=30s"],
    &["--rule", "status=404,500 ttl=1m", "--rule", "/c no-store"],
    &["--rule", "/ min-ttl=20s max-ttl=50s ignore=vary"],
    &["--rule", "/ stale-while-revalidate=1m force-stale=true"],
    &["--rule", "/ key-cookies=lang default-ttl=15s", "--ignore-cookies"],
    &["--strict"],
    &["--client-reload", "--negative-ttl", "1m"],
    &["--default-ttl", "0s"],
    &["--stale-if-error", "0s", "--memory", "0B"],
    &["--rule", "/a methods=POST ttl=60s", "--rule", "/b methods=POST default-ttl=15s"],
];

/// How the origin answers a path for now.
#[derive(Debug, Clone, Default)]
struct Behaviour {
    status: u16,
    fields: Vec<&'static str>,
    has_validators: bool,
    takes_ranges: bool,
    ends_connections: bool,
}

impl Behaviour {
    fn random(random: &mut Random) -> Behaviour {
        let mut fields: Vec<&'static str> = Vec::new();
        for _ in 0..random.below(4) {
            fields.push(ANSWERED[random.below(ANSWERED.len())]);
        }
        Behaviour {
            status: STATUSES[random.below(STATUSES.len())],
            fields,
            has_validators: random.below(2) == 0,
            takes_ranges: random.below(2) == 0,
            ends_connections: random.below(15) == 0,
        }
    }

    fn answer(&self, request: &RecordedRequest) -> Vec<Step> {
        const BODY: &[u8] = b"0123456789";
        if self.ends_connections {
            return vec![Step::Close];
        }
        let mut fields: String = self.fields.iter().map(|field| format!("{field}\r\n")).collect();
        let is_ok = self.status == 200;
        if self.has_validators {
            fields.push_str("ETag: \"1\"\r\nLast-Modified: Wed, 31 Dec 2025 00:00:00 GMT\r\n");
            let matches = request.field("If-None-Match") == Some("\"1\"");
            let unmodified = request.field("If-None-Match").is_none() && request.field("If-Modified-Since").is_some();
            let is_read = matches!(&*request.method, "GET" | "HEAD");
            if is_ok && is_read && (matches || unmodified) {
                return vec![Step::Send(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n").into_bytes())];
            }
        }
        let range = request.field("Range").filter(|_| is_ok && self.takes_ranges && request.method == "GET");
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let range = range.and_then(|(first, last)| Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?)));
        let holds = request.field("If-Range").is_none_or(|tag| tag == "\"1\"" && self.has_validators);
        let (status, body) = match range.filter(|(first, last)| first <= last && *last < BODY.len() && holds) {
            Some((first, last)) => {
                fields.push_str(&format!("Content-Range: bytes {first}-{last}/{}\r\n", BODY.len()));
                (206, &BODY[first..=last])
            }
            None => (self.status, BODY),
        };
        let body = if status == 204 { &[][..] } else { body };
        let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut bytes = format!("HTTP/1.1 {status} Status\r\n{length}{fields}\r\n").into_bytes();
        if request.method != "HEAD" {
            bytes.extend_from_slice(body);
        }
        vec![Step::Send(bytes)]
    }
}

/// What was asked, for the message of a difference.
struct Case<'a> {
    settings: &'a [&'a str],
    wanted: &'a Wanted,
    said: &'a Explanation,
    answer: &'a Response,
    behaviour: Behaviour,
}

impl Case<'_> {
    fn check(&self, holds: bool, what: &str) {
        let Case { settings, wanted, said, answer, behaviour } = self;
        let happened = answer.cache_status();
        assert!(
            holds,
            "{what}\n  settings {settings:?}\n  request {wanted:?}\n  origin {behaviour:?}\n  said {said:#?}\n  happened {} \
             {happened}",
            answer.status
        );
    }
}

#[test]
fn a_dry_run_and_what_then_happens_agree() {
    let cases = std::env::var("LARDER_EXPLAIN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let mut random = Random::seeded();
    let (mut kinds, mut done) = (HashMap::<String, usize>::new(), 0);
    while done < cases {
        let settings = SETTINGS[random.below(SETTINGS.len())];
        let behaviours: Arc<Mutex<HashMap<String, Behaviour>>> = Arc::default();
        let of_origin = behaviours.clone();
        let path_of = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
        let origin = Origin::answering(move |request| {
            let known = of_origin.lock().unwrap().get(&path_of(&request.target)).cloned();
            known.unwrap_or_default().answer(request)
        });
        // a machine that is busy must not look like an origin that fails
        let patience = ["-q", "--connect-timeout", "300s", "--first-byte-timeout", "300s"];
        let flags = [settings, &patience].concat();
        let proxy = Proxy::start(&origin, &flags);
        for _ in 0..OF_ONE.min(cases - done) {
            let kind = one(&mut random, &proxy, &origin, settings, &behaviours);
            *kinds.entry(kind).or_default() += 1;
            done += 1;
            if done % 1000 == 0 {
                println!("{done} cases, no difference");
            }
        }
    }
    println!("{done} cases: {kinds:?}");
    let has = |word: &str| kinds.keys().any(|kind| kind.starts_with(word));
    assert!(["Hit", "Miss", "Never"].iter().all(|word| has(word)), "{kinds:?}");
    let of_many = ["Miss of QUERY with content", "Miss of POST with content", "Never of GET with content"];
    assert!(cases < 5_000 || of_many.iter().all(|word| has(word)), "{kinds:?}");
}

/// One request, explained and then asked. Returns what became of it.
fn one(
    random: &mut Random,
    proxy: &Proxy,
    origin: &Origin,
    settings: &[&str],
    behaviours: &Mutex<HashMap<String, Behaviour>>,
) -> String {
    let (target, mut method) = (PATHS[random.below(PATHS.len())], METHODS[random.below(METHODS.len())]);
    if settings.iter().any(|setting| setting.contains("methods=POST")) && random.below(2) == 0 {
        method = "POST";
    }
    let path = target.split('?').next().unwrap().to_owned();
    let pause = [1, 1, 400, 3_000, 12_000, 40_000, 300_000][random.below(7)];
    // changes of one path within a second are put together, behind the answers
    let pause = if method == "POST" { pause + 2_000 } else { pause };
    proxy.clock.advance(Duration::from_millis(pause));
    if random.below(4) == 0 || !behaviours.lock().unwrap().contains_key(&path) {
        behaviours.lock().unwrap().insert(path.clone(), Behaviour::random(random));
    }
    let mut fields: Vec<&str> = Vec::new();
    for _ in 0..[0, 0, 0, 0, 1, 1, 1, 2, 3][random.below(9)] {
        fields.push(ASKED[random.below(ASKED.len())]);
    }
    let has_content = match method {
        "POST" | "QUERY" => random.below(4) > 0,
        _ => random.below(20) == 0,
    };
    let data = has_content.then(|| CONTENTS[random.below(CONTENTS.len())]);
    let asks = random.below(2) == 0 && method != "POST";
    let wanted = Wanted { ask: asks, data: data.map(str::to_owned), ..wanted(method, target, &fields) };
    let said = explain(proxy, &wanted);
    assert_eq!(said, explain(proxy, &wanted), "explaining changes nothing");
    let before = origin.request_count();
    let mut lines = format!("{method} {target} HTTP/1.1\r\nHost: larder.test\r\n");
    fields.iter().for_each(|field| lines.push_str(&format!("{field}\r\n")));
    data.iter().for_each(|data| lines.push_str(&format!("Content-Length: {}\r\n", data.len())));
    let sent = format!("{lines}\r\n{}", data.unwrap_or_default());
    let answer = Client::connect(proxy.address).send(sent).response(method);
    let behaviour = behaviours.lock().unwrap()[&path].clone();
    let case = Case { settings, wanted: &wanted, said: &said, answer: &answer, behaviour };
    let (happened, is_stored) = (answer.cache_status(), answer.cache_status().contains("; stored"));
    match &said.cache_status {
        Some(status) => case.check(status == happened, "Cache-Status differs"),
        None => {
            case.check(!wanted.ask, "the origin was asked, and its answer is known");
            case.check(happened.contains("; fwd="), "the origin is asked");
            case.check(origin.request_count() > before, "the origin hears of it");
        }
    }
    case.check(said.outcome != Outcome::Never || !is_stored, "what is never cached is not stored");
    if let Some(stores) = said.stores {
        case.check(stores == is_stored, "what is stored");
    }
    case.check(said.outcome.is_hit() == (answer.x_cache() == "HIT") || said.cache_status.is_none(), "a hit");
    if !said.asks_origin && said.outcome == Outcome::Hit {
        case.check(origin.request_count() == before, "the origin is not asked");
    }
    proxy.await_landed();
    if is_stored {
        await_stored(proxy, &Wanted { ask: false, ..wanted.clone() });
    }
    let kind = if data.is_some() { format!(" of {method} with content") } else { String::new() };
    format!("{:?}{kind}{}", said.outcome, if asks { "+ask" } else { "" })
}

/// Waits until a response is found that came in now, as far as the request finds one: it is put behind the answer.
fn await_stored(proxy: &Proxy, wanted: &Wanted) {
    let began = larder::clock::instant();
    let is_there = || explain(proxy, wanted).stored.is_some_and(|stored| stored.received == proxy.clock.now().0);
    while !is_there() && began.elapsed() < Duration::from_millis(500) {
        std::thread::yield_now();
    }
}
