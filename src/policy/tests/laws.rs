//! Laws that hold whatever clients and origins send.

use proptest::prelude::*;

use super::*;
use crate::policy::{parts, reuse::*, selection::*, validation::*, vary::*};

const NAMES: [&str; 26] = [
    "cache-control",
    "cdn-cache-control",
    "expires",
    "date",
    "age",
    "vary",
    "etag",
    "last-modified",
    "range",
    "if-range",
    "content-range",
    "content-length",
    "if-none-match",
    "if-modified-since",
    "accept-language",
    "accept-encoding",
    "location",
    "content-location",
    "content-language",
    "connection",
    "pragma",
    "surrogate-control",
    "x-accel-expires",
    "edge-control",
    "content-type",
    "access-control-allow-origin",
];

/// Makes values of pieces that have a meaning in some field, and of any bytes that a field may hold.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "max-age=",
            "s-maxage=",
            "no-cache",
            "private",
            "public",
            "=",
            "\"",
            "\\",
            ",",
            ";q=",
            "0",
            "1",
            "99999999999999999999",
            " ",
            "*",
            "bytes=",
            "bytes ",
            "-",
            "/",
            "W/",
            "\"a\"",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "gzip",
            "de",
            "..",
            "//h.example",
            "http://",
            "?",
            "#",
            "stale-while-revalidate=9",
            "must-revalidate",
            "@",
            "off",
            "application/dash+xml",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(prop_oneof![Just(9u8), 32..=126u8, 128..=255u8], 0..6),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn any_fields() -> impl Strategy<Value = Fields> {
    let line = (prop::sample::select(NAMES.to_vec()), value());
    prop::collection::vec(line, 0..8).prop_map(|lines| {
        let field = |(name, value): (&'static str, Vec<u8>)| {
            Some((FieldName::from_static(name), FieldValue::from_bytes(&value).ok()?))
        };
        lines.into_iter().filter_map(field).collect()
    })
}

fn any_options() -> impl Strategy<Value = Options> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0..10_000u64).prop_map(
        |(strict, client_reload, ignore_cookies, ttl)| Options {
            strict,
            client_reload,
            ignore_cookies,
            default_ttl: Seconds(ttl),
            ..usual()
        },
    )
}

/// Makes a request, and the response that is stored for it, if any.
fn asked(method: &str, fields: Fields) -> Request {
    Request { fields, ..request(method, &[]) }
}

fn kept(asked: &Request, status: u16, fields: Fields, options: &Options) -> Option<StoredHead> {
    let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), fields };
    storing(asked, &head, times(T0), options).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_peers_send_makes_a_decision_panic(
        first in any_fields(), second in any_fields(), answer in any_fields(), news in any_fields(),
        status in prop::sample::select(vec![200u16, 206, 404, 503]), options in any_options(), seconds in 0..100_000u64,
    ) {
        crate::fields::hop_by_hop::strip(&mut answer.clone());
        let _ = crate::fields::hop_by_hop::strip_request(&mut first.clone());
        let (first, second) = (asked("GET", first), asked("GET", second));
        let news = ResponseHead { status: StatusCode::NOT_MODIFIED, fields: news };
        let _ = crate::policy::invalidation::invalidates(&asked("POST", second.fields.clone()), &response(200, &[]));
        let _ = crate::policy::invalidation::resolve(&first.target, second.fields.first(&http::header::RANGE).map_or(b"", |v| v.as_bytes()));
        if let Some(head) = kept(&first, status, answer, &options) {
            let _ = reuse(&second, Some(&head), false, at(seconds), &options);
            let _ = (select(&second, &head, Some(seconds)), matches(&head.nominated, &second, &options));
            let gaps = parts::gaps(&second, &head, &options);
            let _ = (conditions(&head), parts::closes(&head, (seconds, seconds), &head), parts::completed(&second, &head, &head));
            gaps.into_iter().for_each(|gap| assert!(parts::conditions(&head, gap).len() <= 2));
            let _ = on_error(&second, &head, None, at(seconds), &options);
            let _ = freshen(&second, &head, &news, times(at(seconds)), &options);
            let _ = freshen_by_head(&second, &head, seconds, &ResponseHead { status: StatusCode::OK, ..news }, times(at(seconds)), &options);
        }
    }

    #[test]
    fn no_store_and_private_are_never_stored(
        mut answer in any_fields(), request in any_fields(), options in any_options(),
        word in prop::sample::select(vec!["no-store", "NO-Store", "private", "x=\"1\", pRIVATE , y", "no-store=\"", "private="]),
    ) {
        answer.retain(|name, _| name.as_str() != "cdn-cache-control");
        answer.append(http::header::CACHE_CONTROL, FieldValue::from_static(word));
        prop_assert_eq!(kept(&asked("GET", request), 200, answer, &options), None);
    }

    #[test]
    fn what_is_served_whole_because_it_is_fresh_was_fresh_at_every_younger_age(
        answer in any_fields(), options in any_options(), younger in 0..5_000u64, more in 0..5_000u64,
    ) {
        if let Some(head) = kept(&get(&[]), 200, answer, &options) {
            let fresh = |seconds| reuse(&get(&[]), Some(&head), false, at(seconds), &options) == Reuse::Serve(&head, Reason::Fresh);
            prop_assert!(fresh(younger) || !fresh(younger + more));
        }
    }

    #[test]
    fn a_request_matches_the_response_that_was_stored_for_it(
        answer in any_fields(), request in any_fields(), options in any_options(),
    ) {
        let request = asked("GET", request);
        if let Ok(nominated) = nominate(&answer, &request, &options) {
            prop_assert!(matches(&nominated, &request, &options));
        }
    }

    #[test]
    fn selected_bytes_exist_and_are_sent_once(request in any_fields(), length in 0..50u64) {
        let head = stored(&["Cache-Control: max-age=60", "ETag: \"a\""], &strict());
        let parts = match select(&asked("GET", request), &head, Some(length)) {
            Selection::Part(first, last) => vec![(first, last)],
            Selection::Parts(parts) => parts,
            _ => vec![],
        };
        prop_assert!(parts.iter().all(|(first, last)| first <= last && *last < length));
        prop_assert!(parts.iter().map(|(first, last)| last - first + 1).sum::<u64>() <= length);
    }

    #[test]
    fn dates_survive_being_written_and_read(seconds in -62_000_000_000i64..253_402_300_800) {
        let at = Timestamp::from_seconds(seconds);
        prop_assert_eq!(date::parse(date::format(at).as_bytes(), T0), Some(at));
    }
}
