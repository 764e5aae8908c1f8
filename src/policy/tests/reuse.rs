use super::*;
use crate::{
    fields::control::Controlled,
    policy::{
        Fwd,
        reuse::{Forward, Mode, Reuse, alone},
        validation::on_error,
    },
    purge::{Judged, Liveness, Standing},
};

fn reload() -> Options {
    Options { client_reload: true, ..usual() }
}

/// A decision without the stored response that it names.
type Decision = Reuse<()>;

fn reuse(
    request: &Request,
    stored: Option<&StoredHead>,
    variants: bool,
    now: Timestamp,
    options: &Options,
) -> Decision {
    match crate::policy::reuse::reuse(request, stored, variants, now, options) {
        Reuse::Serve(_, reason) => Reuse::Serve((), reason),
        Reuse::Refresh(_, reason) => Reuse::Refresh((), reason),
        Reuse::Reload(_, forward) => Reuse::Reload((), forward),
        Reuse::Forward(forward) => Reuse::Forward(forward),
        Reuse::Refuse(reason) => Reuse::Refuse(reason),
    }
}

fn serve(reason: Reason) -> Decision {
    Reuse::Serve((), reason)
}

fn refresh(reason: Reason) -> Decision {
    Reuse::Refresh((), reason)
}

fn ask(mode: Mode, fwd: Fwd, reason: Reason) -> Decision {
    Reuse::Forward(Forward { mode, fwd, reason })
}

fn decide(asked: &Request, head: &StoredHead, seconds: u64, options: &Options) -> Decision {
    reuse(asked, Some(head), false, at(seconds), options)
}

#[test]
fn methods_that_stored_responses_do_not_answer_pass() {
    let head = stored(&["Cache-Control: max-age=60"], &strict());
    for (method, expected) in [
        ("GET", serve(Reason::Fresh)),
        ("HEAD", serve(Reason::Fresh)),
        ("QUERY", serve(Reason::Fresh)),
        ("POST", ask(Mode::Pass, Fwd::Method, Reason::UnsafeMethod)),
        ("M-SEARCH", ask(Mode::Pass, Fwd::Method, Reason::UnsafeMethod)),
        ("OPTIONS", ask(Mode::Pass, Fwd::Method, Reason::MethodNotCached)),
        ("TRACE", ask(Mode::Pass, Fwd::Method, Reason::MethodNotCached)),
    ] {
        assert_eq!(decide(&request(method, &[]), &head, 0, &strict()), expected, "{method}");
    }
    assert_eq!(decide(&request("HEAD", &[]), &head, 60, &strict()), ask(Mode::Pass, Fwd::Stale, Reason::Stale));
    let tagged = stored(&["Cache-Control: max-age=60, stale-while-revalidate=10", "ETag: \"1\""], &usual());
    for (seconds, expected) in
        [(65, refresh(Reason::StaleWhileRevalidate)), (99, ask(Mode::Validate, Fwd::Stale, Reason::Stale))]
    {
        assert_eq!(decide(&request("HEAD", &[]), &tagged, seconds, &usual()), expected, "w45");
    }
    assert_eq!(
        reuse(&request("HEAD", &[]), None, false, T0, &usual()),
        ask(Mode::Pass, Fwd::UriMiss, Reason::NotStored)
    );
}

#[test]
fn without_a_stored_response_the_origin_is_asked() {
    let oic = get(&["Cache-Control: only-if-cached"]);
    assert_eq!(reuse(&get(&[]), None, false, T0, &usual()), ask(Mode::Fetch, Fwd::UriMiss, Reason::NotStored));
    assert_eq!(reuse(&get(&[]), None, true, T0, &usual()), ask(Mode::Fetch, Fwd::VaryMiss, Reason::VaryMiss));
    assert_eq!(reuse(&oic, None, false, T0, &usual()), Reuse::Refuse(Reason::OnlyIfCached));
}

#[test]
fn freshness_decides() {
    const TAG: &str = "ETag: \"1\"";
    let stale = ask(Mode::Fetch, Fwd::Stale, Reason::Stale);
    let validate = ask(Mode::Validate, Fwd::Stale, Reason::Stale);
    for (lines, seconds, expected) in [
        (&["Cache-Control: max-age=10"][..], 9, serve(Reason::Fresh)),
        (&["Cache-Control: max-age=10"], 10, stale),
        (&["Cache-Control: max-age=10", TAG], 10, validate),
        (&["Cache-Control: max-age=10", "Age: 5"], 5, stale),
        (&["Cache-Control: max-age=10, must-revalidate", TAG], 9, serve(Reason::Fresh)),
        (&["Cache-Control: no-cache, max-age=10", TAG], 0, ask(Mode::Validate, Fwd::Stale, Reason::NoCache)),
        (&["Cache-Control: no-cache=\"a\", max-age=10", TAG], 0, serve(Reason::Fresh)),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4", TAG], 5, refresh(Reason::StaleWhileRevalidate)),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4", TAG], 6, validate),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4, must-revalidate", TAG], 3, validate),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4, proxy-revalidate", TAG], 3, validate),
        (&["Cache-Control: max-age=2147483649"], 1 << 30, serve(Reason::Fresh)),
        (&["CDN-Cache-Control: max-age=10", "Cache-Control: no-cache, max-age=1"], 9, serve(Reason::Fresh)),
    ] {
        for options in [strict(), usual()] {
            assert_eq!(decide(&get(&[]), &stored(lines, &options), seconds, &options), expected, "{lines:?} {seconds}");
        }
    }
}

#[test]
fn s_maxage_forbids_what_the_origin_did_not_allow_and_strictly_even_that() {
    let both = &["Cache-Control: s-maxage=1, stale-while-revalidate=9"];
    let head = stored(both, &usual());
    assert_eq!(decide(&get(&[]), &head, 3, &usual()), refresh(Reason::StaleWhileRevalidate));
    assert_eq!(decide(&get(&[]), &head, 3, &strict()), ask(Mode::Fetch, Fwd::Stale, Reason::Stale));
    let alone = stored(&["Cache-Control: s-maxage=1"], &usual());
    let asked = get(&["Cache-Control: max-stale=9"]);
    assert_eq!(decide(&asked, &alone, 3, &reload()), ask(Mode::Fetch, Fwd::Stale, Reason::Stale));
}

#[test]
fn invalidated_responses_and_those_from_the_future_are_validated() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\""], &usual());
    let invalidated = StoredHead { invalidated: true, ..head.clone() };
    assert_eq!(decide(&get(&[]), &invalidated, 0, &usual()), ask(Mode::Validate, Fwd::Stale, Reason::Invalidated));
    let ahead = StoredHead { response_time: at(2), ..head.clone() };
    assert_eq!(decide(&get(&[]), &ahead, 0, &usual()), ask(Mode::Validate, Fwd::Stale, Reason::ClockWentBack));
    let hardly = StoredHead { response_time: at(1), ..head };
    assert_eq!(decide(&get(&[]), &hardly, 0, &usual()), serve(Reason::Fresh));
}

#[test]
fn request_directives_are_followed_where_the_operator_says_so() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\""], &usual());
    let ignored = serve(Reason::FreshDirectivesIgnored);
    let validated = |reason| ask(Mode::Validate, Fwd::Request, reason);
    for (line, seconds, followed, usually) in [
        ("Cache-Control: no-cache", 0, validated(Reason::RequestNoCache), ignored),
        ("Pragma: no-cache", 0, validated(Reason::RequestNoCache), ignored),
        ("Pragma: foo", 0, serve(Reason::Fresh), serve(Reason::Fresh)),
        ("Cache-Control: nothing-to-see-here", 0, serve(Reason::Fresh), serve(Reason::Fresh)),
        ("Cache-Control: max-age=0", 1, validated(Reason::RequestMaxAge), ignored),
        ("Cache-Control: max-age=5", 5, serve(Reason::Fresh), ignored),
        ("Cache-Control: max-age=5, max-stale", 6, serve(Reason::Fresh), ignored),
        ("Cache-Control: min-fresh=51", 10, validated(Reason::RequestMinFresh), ignored),
        ("Cache-Control: min-fresh=50", 10, serve(Reason::Fresh), ignored),
        // it sends nothing to the origin
        ("Cache-Control: max-stale=5", 65, serve(Reason::MaxStale), serve(Reason::MaxStale)),
        (
            "Cache-Control: max-stale=5",
            66,
            ask(Mode::Validate, Fwd::Stale, Reason::Stale),
            ask(Mode::Validate, Fwd::Stale, Reason::Stale),
        ),
        ("Cache-Control: no-store", 0, ask(Mode::Pass, Fwd::Request, Reason::RequestNoStore), serve(Reason::Fresh)),
        (
            "Cache-Control: no-store",
            60,
            ask(Mode::Pass, Fwd::Request, Reason::RequestNoStore),
            ask(Mode::Pass, Fwd::Request, Reason::RequestNoStore),
        ),
        ("Cache-Control: only-if-cached", 59, serve(Reason::Fresh), serve(Reason::Fresh)),
        ("Cache-Control: only-if-cached", 60, Reuse::Refuse(Reason::OnlyIfCached), Reuse::Refuse(Reason::OnlyIfCached)),
        (
            "If-Match: \"1\"",
            0,
            ask(Mode::Pass, Fwd::Request, Reason::Precondition),
            ask(Mode::Pass, Fwd::Request, Reason::Precondition),
        ),
        ("If-None-Match: \"1\"", 0, serve(Reason::Fresh), serve(Reason::Fresh)),
    ] {
        let asked = get(&[line]);
        assert_eq!(decide(&asked, &head, seconds, &reload()), followed, "{line} with --client-reload");
        assert_eq!(decide(&asked, &head, seconds, &strict()), followed, "{line} with --strict");
        assert_eq!(decide(&asked, &head, seconds, &usual()), usually, "{line}");
    }
    let swr = stored(&["Cache-Control: max-age=1, stale-while-revalidate=9"], &usual());
    let asked = get(&["Cache-Control: only-if-cached"]);
    assert_eq!(decide(&asked, &swr, 3, &usual()), serve(Reason::StaleWhileRevalidate));
    let post = request("POST", &["Cache-Control: only-if-cached"]);
    assert_eq!(decide(&post, &head, 0, &usual()), ask(Mode::Pass, Fwd::Method, Reason::UnsafeMethod));
}

#[test]
fn a_stored_part_answers_what_it_covers_and_is_completed_for_the_rest() {
    let lines = &["Content-Range: bytes 4-7/10", "Content-Length: 4", "Cache-Control: max-age=60", "ETag: \"1\""];
    let head = stored_as(206, lines, &usual()).unwrap();
    let complete = ask(Mode::Complete, Fwd::Partial, Reason::PartMissing);
    let fetch = ask(Mode::Fetch, Fwd::Partial, Reason::PartMissing);
    for (lines, expected) in [
        (&["Range: bytes=4-7"][..], serve(Reason::Fresh)),
        (&["Range: bytes=5-5,7-7"], serve(Reason::Fresh)),
        (&["Range: bytes=10-"], serve(Reason::Fresh)),
        (&["Range: bytes=4-8"], complete),
        (&["Range: bytes=-6"], complete),
        (&["Range: bytes=0-5"], complete),
        (&["Range: bytes=3-8"], fetch),
        (&["Range: bytes=0-1"], fetch),
        (&["Range: bytes=0-1,4-5"], complete),
        (&["Range: bytes=4-7", "If-Range: \"2\""], fetch),
        (&[], fetch),
    ] {
        assert_eq!(decide(&get(lines), &head, 0, &usual()), expected, "{lines:?}");
    }
    assert_eq!(
        decide(&get(&["Range: bytes=4-7"]), &head, 60, &usual()),
        ask(Mode::Validate, Fwd::Stale, Reason::Stale)
    );
    assert_eq!(decide(&get(&["Range: bytes=0-7"]), &head, 60, &usual()), ask(Mode::Fetch, Fwd::Stale, Reason::Stale));
    assert_eq!(decide(&request("HEAD", &[]), &head, 0, &usual()), ask(Mode::Pass, Fwd::Partial, Reason::PartMissing));
}

#[test]
fn a_request_with_a_key_is_not_answered_by_an_invented_lifetime_unless_strict() {
    let modified = &*format!("Last-Modified: {}", when(-9000));
    let pass = ask(Mode::Pass, Fwd::Request, Reason::KeyWithoutFreshness);
    let validate = ask(Mode::Validate, Fwd::Request, Reason::KeyWithoutFreshness);
    for (asked, answer, usually) in [
        ("X-Api-Key: a", &[][..], pass),
        ("X-Auth-Token: a", &["ETag: \"1\""], validate),
        ("Remote-User: a", &[modified], validate),
        ("X-Api-Key: a", &["Cache-Control: max-age=60"], serve(Reason::Fresh)),
        ("Sec-Fetch-User: ?1", &[], serve(Reason::Fresh)),
        ("User-Agent: x", &[], serve(Reason::Fresh)),
    ] {
        assert_eq!(decide(&get(&[asked]), &stored(answer, &usual()), 0, &usual()), usually, "{asked} {answer:?}");
    }
    let head = stored(&[modified], &strict());
    assert_eq!(decide(&get(&["X-Api-Key: a"]), &head, 0, &strict()), serve(Reason::Fresh));
    let ignoring = Options { ignore_cookies: true, ..usual() };
    assert_eq!(decide(&get(&["X-Api-Key: a"]), &stored(&[], &ignoring), 0, &ignoring), pass);
}

#[test]
fn a_stored_401_never_answers_a_request_that_brings_credentials() {
    let head = stored_as(401, &["Cache-Control: max-age=60, stale-if-error=600"], &strict()).unwrap();
    let fetch = ask(Mode::Fetch, Fwd::Request, Reason::StoredUnauthorized);
    for (asked, expected) in [
        (&[][..], serve(Reason::Fresh)),
        (&["User-Agent: x"], serve(Reason::Fresh)),
        (&["Authorization: Basic x"], fetch),
        (&["Cookie: a=b"], fetch),
        (&["X-Api-Key: a"], fetch),
    ] {
        for options in [strict(), usual()] {
            assert_eq!(decide(&get(asked), &head, 0, &options), expected, "{asked:?}");
            let stands_in = on_error(&get(asked), &head, None, at(61), &options).is_ok();
            assert_eq!(stands_in, expected != fetch, "{asked:?}");
        }
    }
    let other = stored_as(404, &["Cache-Control: max-age=60"], &strict()).unwrap();
    assert_eq!(decide(&get(&["Cookie: a=b"]), &other, 0, &strict()), serve(Reason::Fresh));
}

#[test]
fn who_is_authenticated_by_connection_asks_for_itself_alone() {
    let pass = |fwd, reason| ask(Mode::Pass, fwd, reason);
    for (decided, alone_with_it) in [
        (serve(Reason::Fresh), serve(Reason::Fresh)),
        (refresh(Reason::StaleWhileRevalidate), serve(Reason::StaleWhileRevalidate)),
        (ask(Mode::Fetch, Fwd::UriMiss, Reason::NotStored), pass(Fwd::UriMiss, Reason::NotStored)),
        (ask(Mode::Validate, Fwd::Stale, Reason::Stale), pass(Fwd::Stale, Reason::Stale)),
        (ask(Mode::Complete, Fwd::Partial, Reason::PartMissing), pass(Fwd::Partial, Reason::PartMissing)),
        (reload_with(Mode::Validate, Reason::RequestNoCache), reload_with(Mode::Pass, Reason::RequestNoCache)),
        (Reuse::Refuse(Reason::OnlyIfCached), Reuse::Refuse(Reason::OnlyIfCached)),
    ] {
        assert_eq!(alone(decided), alone_with_it);
    }
}

fn reload_with(mode: Mode, reason: Reason) -> Decision {
    Reuse::Reload((), Forward { mode, fwd: Fwd::Request, reason })
}

#[test]
fn a_wish_to_reload_is_followed_where_the_lifetime_is_invented() {
    const HARD: &[&str] = &["Cache-Control: no-cache", "Pragma: no-cache"];
    const TAG: &str = "ETag: \"1\"";
    let hard = reload_with(Mode::Validate, Reason::RequestNoCache);
    let program = reload_with(Mode::Validate, Reason::RequestMaxAge);
    let ignored = serve(Reason::FreshDirectivesIgnored);
    let invented = stored(&[TAG], &usual());
    for (asked, expected) in [
        (HARD, hard),
        (&["Cache-Control: max-age=0, no-cache", "Pragma: no-cache"], hard),
        (&["Cache-Control: max-age=0"], program),
        (&["Cache-Control: max-age=0", "User-Agent: pip/24"], program),
        (&["Cache-Control: max-age=0", "Upgrade-Insecure-Requests: 1"], ignored),
        (&["Cache-Control: max-age=0", "Sec-Fetch-Dest: empty"], ignored),
        (&["Cache-Control: no-cache"], ignored),
        (&["Pragma: no-cache"], hard),
        (&["Cache-Control: max-age=1"], ignored),
        (&["Cache-Control: max-age=0, only-if-cached"], ignored),
        (&["Cache-Control: max-age=0, no-store"], reload_with(Mode::Pass, Reason::RequestMaxAge)),
    ] {
        let wished = matches!(expected, Reuse::Reload(..)) || asked[0].contains("only-if-cached");
        let younger = if wished { serve(Reason::JustAsked) } else { expected };
        assert_eq!(decide(&get(asked), &invented, 1, &usual()), expected, "{asked:?}");
        assert_eq!(decide(&get(asked), &invented, 0, &usual()), younger, "{asked:?}");
        for explicit in ["Cache-Control: max-age=60", "Surrogate-Control: max-age=60", "X-Accel-Expires: 60"] {
            let head = stored(&[explicit, TAG], &usual());
            let decided = decide(&get(asked), &head, 1, &usual());
            assert_eq!(decided, ignored, "{asked:?} {explicit}");
        }
    }
    assert_eq!(decide(&request("HEAD", HARD), &invented, 1, &usual()), hard);
    let untagged = stored(&[], &usual());
    assert_eq!(decide(&request("HEAD", HARD), &untagged, 1, &usual()), reload_with(Mode::Pass, Reason::RequestNoCache));
    assert_eq!(
        decide(&get(HARD), &stored(&[], &usual()), 1, &usual()),
        reload_with(Mode::Fetch, Reason::RequestNoCache)
    );
    let validate = ask(Mode::Validate, Fwd::Request, Reason::RequestNoCache);
    assert_eq!(decide(&get(HARD), &invented, 0, &reload()), validate, "with --client-reload each time");
}

/// A stored response, and what the purge rules say about it.
struct Purged<'a>(&'a StoredHead, Standing);

impl AsRef<StoredHead> for Purged<'_> {
    fn as_ref(&self) -> &StoredHead {
        self.0
    }
}

impl Controlled for Purged<'_> {}

impl Judged for Purged<'_> {
    fn standing(&self) -> Standing {
        self.1
    }
}

#[test]
fn a_purge_hard_kills_soft_makes_stale_from_then_on_and_an_invalidation_must_be_validated() {
    let lines = ["Cache-Control: max-age=3600, stale-while-revalidate=60, stale-if-error=300", "ETag: \"e\""];
    let given = stored(&lines, &usual());
    let invented = stored(&["ETag: \"e\""], &usual());
    // 100 s after the response came
    let soft = |seconds: i64| {
        let since = Some((T0.0 + seconds * 1000) as u64);
        Standing { soft_since: since, ..Standing::of(Liveness::Stale) }
    };
    let path = Standing { if_invented: Liveness::MustValidate, ..Standing::ALIVE };
    let must = Standing::of(Liveness::MustValidate);
    let validate = |reason| ask(Mode::Validate, Fwd::Stale, reason);
    let rows = [
        (&given, Standing::ALIVE, serve(Reason::Fresh), None),
        (&given, soft(90), refresh(Reason::StaleWhileRevalidate), Some(Ok(Reason::StaleIfError))),
        (&given, soft(39), validate(Reason::Purged), Some(Ok(Reason::StaleIfError))),
        // the clock of the purge is ahead of this one
        (&given, soft(500), refresh(Reason::StaleWhileRevalidate), Some(Ok(Reason::StaleIfError))),
        (&given, must, validate(Reason::Invalidated), Some(Err(Reason::Invalidated))),
        (
            &given,
            Standing::of(Liveness::Dead),
            ask(Mode::Fetch, Fwd::Stale, Reason::Purged),
            Some(Err(Reason::Invalidated)),
        ),
        (&given, path, serve(Reason::Fresh), None),
        (&invented, path, validate(Reason::Invalidated), Some(Err(Reason::Invalidated))),
        (&invented, soft(90), validate(Reason::Purged), Some(Ok(Reason::StaleByDefault))),
    ];
    for (head, standing, decided, on_failure) in rows {
        let purged = || Purged(head, standing);
        let decision = match crate::policy::reuse::reuse(&get(&[]), Some(purged()), false, at(100), &usual()) {
            Reuse::Serve(_, reason) => Reuse::Serve((), reason),
            Reuse::Refresh(_, reason) => Reuse::Refresh((), reason),
            Reuse::Reload(_, forward) => Reuse::Reload((), forward),
            Reuse::Forward(forward) => Reuse::Forward(forward),
            Reuse::Refuse(reason) => Reuse::Refuse(reason),
        };
        assert_eq!(decision, decided, "{standing:?}");
        if let Some(expected) = on_failure {
            assert_eq!(on_error(&get(&[]), &purged(), Some(503), at(100), &usual()), expected, "{standing:?}");
        }
    }
    // stale-if-error counts from the purge
    assert_eq!(on_error(&get(&[]), &Purged(&given, soft(90)), Some(503), at(391), &usual()), Err(Reason::StaleTooLong));
}
