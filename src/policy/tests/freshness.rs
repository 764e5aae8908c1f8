use super::*;
use crate::policy::freshness::{current_age, freshness_lifetime, is_dead};

/// Makes a stored head without asking whether it may be stored.
fn head(status: u16, lines: &[&str]) -> StoredHead {
    let response = response(status, lines);
    StoredHead {
        line: RequestLine::new("", Method::GET, Scheme::Http, "", ""),
        initial_age: crate::policy::freshness::initial_age(&response.fields, times(T0)),
        head: response,
        request_time: T0,
        response_time: T0,
        received: T0,
        nominated: Vec::new(),
        part: None,
        gaps: Box::default(),
        invalidated: false,
        credentials: false,
        position: Default::default(),
        tags: Box::default(),
        unknown: Box::default(),
    }
}

fn lifetime(lines: &[&str], options: &Options) -> (u64, Reason) {
    let (seconds, reason) = freshness_lifetime(&head(200, lines), options);
    (seconds.0, reason)
}

#[test]
fn the_first_explicit_lifetime_counts() {
    let (now, past, soon) = (when(0), when(-7200), when(3600));
    let date = format!("Date: {now}");
    let expires = |at: &str| format!("Expires: {at}");
    for (lines, expected) in [
        (vec!["CDN-Cache-Control: max-age=9", "Cache-Control: s-maxage=5, max-age=7"], (9, Reason::CdnCacheControl)),
        (vec!["Cache-Control: max-age=7", "Cache-Control: s-maxage=5"], (5, Reason::SMaxage)),
        (vec!["Cache-Control: max-age=7", &expires(&past)], (7, Reason::MaxAge)),
        (vec!["Cache-Control: max-age=7", "Expires: 0"], (7, Reason::MaxAge)),
        (vec!["Cache-Control: max-age=0", &expires(&soon)], (0, Reason::MaxAge)),
        (vec!["Cache-Control: max-age=x", &expires(&soon)], (0, Reason::MaxAge)),
        (vec![&date, &expires(&soon)], (3600, Reason::Expires)),
        (vec!["Date: foo", &expires(&soon)], (3600, Reason::Expires)),
        (vec![&date, &expires(&past)], (0, Reason::Expires)),
        (vec![&date, &expires(&now)], (0, Reason::Expires)),
        (vec![&date, "Expires: 0"], (0, Reason::Expires)),
        (vec![&date, &expires(&soon), &expires(&soon)], (0, Reason::Expires)),
        (vec!["CDN-Cache-Control: foo", &expires(&soon)], (0, Reason::NoFreshness)),
        (vec!["CDN-Cache-Control: max-age=9, &&", "Cache-Control: max-age=7"], (7, Reason::MaxAge)),
    ] {
        assert_eq!(lifetime(&lines, &strict()), expected, "{lines:?}");
    }
}

#[test]
fn surrogate_control_and_x_accel_expires_go_before_cache_control_unless_strict() {
    let epoch = format!("X-Accel-Expires: @{}", T0.0 / 1000 + 90);
    let at = (90, Reason::AccelExpires);
    for (lines, usually, strictly) in [
        (
            &["Surrogate-Control: max-age=5", "X-Accel-Expires: 6", "Cache-Control: max-age=7"][..],
            (5, Reason::SurrogateControl),
            (7, Reason::MaxAge),
        ),
        (&["X-Accel-Expires: 6", "Cache-Control: s-maxage=7"], (6, Reason::AccelExpires), (7, Reason::SMaxage)),
        (&[&epoch, "Expires: 0"], at, (0, Reason::Expires)),
        (&["X-Accel-Expires: @1"], (0, Reason::AccelExpires), (0, Reason::NoFreshness)),
        (&["X-Accel-Expires: x"], (0, Reason::AccelExpires), (0, Reason::NoFreshness)),
        (&["Surrogate-Control: max-age=x"], (0, Reason::SurrogateControl), (0, Reason::NoFreshness)),
        (
            &["CDN-Cache-Control: max-age=4", "Surrogate-Control: max-age=5", "X-Accel-Expires: 6"],
            (4, Reason::CdnCacheControl),
            (4, Reason::CdnCacheControl),
        ),
    ] {
        assert_eq!((lifetime(lines, &usual()), lifetime(lines, &strict())), (usually, strictly), "{lines:?}");
    }
}

#[test]
fn expires_is_measured_from_the_origins_date() {
    let both_fast = [&*format!("Date: {}", when(400)), &format!("Expires: {}", when(300))];
    assert_eq!(lifetime(&both_fast, &strict()), (0, Reason::Expires));
    let slow = [&*format!("Date: {}", when(-10)), &format!("Expires: {}", when(10))];
    assert_eq!(lifetime(&slow, &strict()), (20, Reason::Expires));
}

#[test]
fn without_explicit_freshness_it_is_a_tenth_since_last_modified_or_the_default() {
    let date = format!("Date: {}", when(0));
    let modified = |offset| format!("Last-Modified: {}", when(offset));
    for (lines, usually, strictly) in [
        (vec![], (3600, Reason::DefaultTtl), (0, Reason::NoFreshness)),
        (vec![modified(-1000)], (100, Reason::LastModified), (100, Reason::LastModified)),
        (vec![modified(-5)], (0, Reason::LastModified), (0, Reason::LastModified)),
        (vec![modified(50)], (0, Reason::LastModified), (0, Reason::LastModified)),
        (vec![modified(-36_000)], (3600, Reason::LastModified), (3600, Reason::LastModified)),
        (vec![modified(-1_000_000_000)], (3600, Reason::DefaultTtl), (3600, Reason::DefaultTtl)),
        (vec!["Last-Modified: yesterday".to_owned()], (3600, Reason::DefaultTtl), (0, Reason::NoFreshness)),
    ] {
        let lines: Vec<&str> = lines.iter().chain([&date]).map(String::as_str).collect();
        assert_eq!((lifetime(&lines, &usual()), lifetime(&lines, &strict())), (usually, strictly), "{lines:?}");
    }
    for options in [usual(), strict()] {
        let none = Options { default_ttl: Seconds(0), ..options };
        for lines in [&[][..], &[&*modified(-1000)]] {
            assert_eq!(lifetime(lines, &none), (0, Reason::NoFreshness), "{lines:?}");
        }
    }
}

#[test]
fn heuristics_are_for_some_statuses_and_never_for_answers_to_someone() {
    let modified = [&*format!("Last-Modified: {}", when(-1000))];
    for (status, usually, strictly) in [
        (200, true, true),
        (203, true, true),
        (204, true, true),
        (404, true, true),
        (410, true, true),
        (405, true, true),
        (301, true, true),
        (308, true, true),
        (300, false, true),
        (302, false, false),
        (303, false, false),
        (307, false, false),
        (414, false, true),
        (501, false, true),
        (201, false, false),
        (403, false, false),
        (502, false, false),
        (599, false, false),
    ] {
        let fresh = |options: &Options| freshness_lifetime(&head(status, &modified), options).0.0 > 0;
        assert_eq!((fresh(&usual()), fresh(&strict())), (usually, strictly), "{status}");
    }
    let long = Options { negative_ttl: Seconds(90), ..usual() };
    for status in [301, 308, 404, 405, 410] {
        let negative = |options: &Options| freshness_lifetime(&head(status, &modified), options);
        assert_eq!(negative(&usual()), (Seconds(1), Reason::NegativeTtl), "{status}");
        assert_eq!(negative(&long), (Seconds(90), Reason::NegativeTtl), "{status}");
        assert_eq!(negative(&Options { default_ttl: Seconds(9), ..long.clone() }).0, Seconds(9), "{status}");
        assert_eq!(negative(&Options { negative_ttl: Seconds(0), ..usual() }), (Seconds(0), Reason::NoFreshness));
    }
    let aged = head(404, &["Age: 500"]);
    assert_eq!(freshness_lifetime(&aged, &usual()).0, Seconds(501), "a second from when it came in");
    let public = head(599, &["Cache-Control: public", modified[0]]);
    assert_eq!(freshness_lifetime(&public, &strict()).1, Reason::LastModified);
    let personal = StoredHead { credentials: true, ..head(200, &modified) };
    assert_eq!(freshness_lifetime(&personal, &usual()), (Seconds(0), Reason::NoFreshness));
}

#[test]
fn the_age_counts_what_the_response_and_the_way_had() {
    for (lines, expected) in [
        (vec![], 0),
        (vec!["Age: 30".to_owned()], 30),
        (vec!["Age: 30, 0".to_owned()], 30),
        (vec!["Age: x".to_owned()], 0),
        (vec![format!("Date: {}", when(-7200))], 7200),
        (vec![format!("Date: {}", when(-10)), "Age: 25".to_owned()], 25),
        (vec![format!("Date: {}", when(10)), "Age: 15".to_owned()], 15),
        (vec!["Date: foo".to_owned()], 0),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(current_age(&head(200, &lines), T0).0, expected, "{lines:?}");
        assert_eq!(current_age(&head(200, &lines), at(3)).0, expected + 3, "{lines:?}");
    }
    let slow = Times { request: T0, response: at(7), received: at(7), position: Default::default() };
    assert_eq!(crate::policy::freshness::initial_age(&fields(&["Age: 5"]), slow), Seconds(12));
}

#[test]
fn a_response_is_dead_when_it_was_stale_for_thirty_days_longer_than_it_may_be_used() {
    const DAY: u64 = 24 * 3600;
    for (lines, last) in [
        (&["Cache-Control: max-age=60"][..], 60 + 30 * DAY),
        (&["Cache-Control: max-age=60, stale-if-error=86400, stale-while-revalidate=5"], 60 + 31 * DAY),
        (&["Cache-Control: no-cache"], 3600 + 30 * DAY),
        (&["Cache-Control: max-age=31536000"], 31_536_000 + 30 * DAY),
        (&["Cache-Control: max-age=60", "Age: 50"], 10 + 30 * DAY),
    ] {
        let dead = |seconds| is_dead(&head(200, lines), at(seconds), &usual());
        assert_eq!((dead(last), dead(last + 1)), (false, true), "{lines:?}");
    }
    // the clock went back, so that the age is unknown
    assert!(!is_dead(&head(200, &[]), Timestamp(0), &usual()));
}
