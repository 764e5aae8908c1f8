//! What rules set, in the decisions of the policy.

use super::*;
use crate::{
    policy::{
        Ignored,
        freshness::freshness_lifetime,
        reuse::{Reuse, reuse},
        validation::on_error,
    },
    purge::tag_hash,
};

fn steered(steering: Steering) -> Options {
    Options { steering, ..usual() }
}

fn ttl() -> Steering {
    Steering { ttl: Some(Seconds(60)), ..Steering::default() }
}

#[test]
fn a_lifetime_of_a_rule_stands_before_all_others_and_counts_from_the_arrival() {
    for (lines, lifetime) in [
        (&[][..], 60),
        (&["Cache-Control: max-age=5, s-maxage=7"], 60),
        (&["CDN-Cache-Control: max-age=5"], 60),
        (&["Surrogate-Control: max-age=5"], 60),
        (&["X-Accel-Expires: 5"], 60),
        (&["Expires: 0"], 60),
        (&["Age: 100"], 160),
    ] {
        let options = steered(ttl());
        let head = stored(lines, &options);
        assert_eq!(freshness_lifetime(&head, &options), (Seconds(lifetime), Reason::TtlByRule), "{lines:?}");
    }
}

#[test]
fn bounds_of_a_rule_hold_for_every_lifetime_and_give_none_to_what_has_none() {
    let bounds = Steering { min_ttl: Some(Seconds(10)), max_ttl: Some(Seconds(100)), ..Steering::default() };
    let options = steered(bounds);
    for (lines, lifetime, by) in [
        (&["Cache-Control: max-age=5"][..], 10, Reason::MinTtlByRule),
        (&["Cache-Control: max-age=50"], 50, Reason::MaxAge),
        (&["Cache-Control: max-age=500"], 100, Reason::MaxTtlByRule),
        (&[], 100, Reason::MaxTtlByRule),
        (&["ETag: \"1\"", "Pragma: no-cache"], 0, Reason::PragmaNoCache),
    ] {
        assert_eq!(freshness_lifetime(&stored(lines, &options), &options), (Seconds(lifetime), by), "{lines:?}");
    }
}

#[test]
fn what_keeps_a_response_out_does_so_despite_a_lifetime_and_not_if_a_rule_ignores_it() {
    let ignored = |ignored| Steering { ignored, ..ttl() };
    let none = Ignored::default();
    for (asked, answer, reason, ignoring) in [
        (&[][..], &["Cache-Control: no-store"][..], Reason::NoStore, Ignored { no_store: true, ..none }),
        (&[], &["CDN-Cache-Control: no-store"], Reason::CdnNoStore, Ignored { no_store: true, ..none }),
        (&[], &["Surrogate-Control: no-store"], Reason::SurrogateNoStore, Ignored { no_store: true, ..none }),
        (&[], &["Edge-Control: no-store"], Reason::EdgeNoStore, Ignored { no_store: true, ..none }),
        (&[], &["X-Accel-Expires: off"], Reason::AccelOff, Ignored { no_store: true, ..none }),
        (&[], &["Cache-Control: private"], Reason::Private, Ignored { private: true, ..none }),
        (&[], &["Surrogate-Control: private"], Reason::SurrogatePrivate, Ignored { private: true, ..none }),
        (&[], &["Cache-Control: no-cache"], Reason::NoCache, Ignored { no_cache: true, ..none }),
        (&[], &["Set-Cookie: a=b"], Reason::SetCookie, Ignored { set_cookie: true, ..none }),
        (&[], &["Vary: *"], Reason::VaryStar, Ignored { vary: true, ..none }),
        (&["Authorization: x"], &[], Reason::Authorization, Ignored { authorization: true, ..none }),
        (&["X-Api-Key: x"], &[], Reason::KeyWithoutFreshness, Ignored { authorization: true, ..none }),
    ] {
        let verdict = |steering| storing(&get(asked), &response(200, answer), times(T0), &steered(steering));
        assert_eq!(verdict(ttl()).err(), Some(reason), "{answer:?}");
        let kept = verdict(ignored(ignoring)).unwrap();
        assert!(kept.head.fields.iter().all(|(name, _)| name != "set-cookie"), "{answer:?}");
    }
}

#[test]
fn what_is_in_the_key_is_no_obstacle() {
    let name = |name: &'static str| FieldName::from_static(name);
    let keyed = Steering { key_headers: vec![name("authorization"), name("x-api-key")], ..Steering::default() };
    for (asked, steering) in [
        ("Authorization: x", keyed.clone()),
        ("X-Api-Key: x", keyed.clone()),
        ("Cookie: a=b", Steering { keys_cookies: true, ..Steering::default() }),
    ] {
        let verdict = |options: &Options| storing(&get(&[asked]), &response(200, &[]), times(T0), options);
        assert!(verdict(&usual()).is_err(), "{asked}");
        let options = steered(steering);
        let head = verdict(&options).unwrap();
        assert!(!head.credentials, "{asked}");
        assert!(matches!(reuse(&get(&[asked]), Some(&head), false, at(1), &options), Reuse::Serve(..)), "{asked}");
    }
    assert!(storing(&get(&["X-Token: x"]), &response(200, &[]), times(T0), &steered(keyed)).is_err());
}

#[test]
fn a_rule_may_forbid_to_store_or_to_look_up() {
    let fresh = "Cache-Control: max-age=60";
    let no_store = steered(Steering { no_store: true, ..Steering::default() });
    assert_eq!(stored_as(200, &[fresh], &no_store).err(), Some(Reason::NoStoreByRule));
    let head = stored(&[fresh], &usual());
    assert!(matches!(reuse(&get(&[]), Some(&head), false, at(1), &no_store), Reuse::Serve(..)));
    let bypass = steered(Steering { bypass: true, ..Steering::default() });
    assert_eq!(stored_as(200, &[fresh], &bypass).err(), Some(Reason::BypassByRule));
    match reuse(&get(&[]), Some(&head), false, at(1), &bypass) {
        Reuse::Forward(forward) => assert_eq!(forward.reason, Reason::BypassByRule),
        other => panic!("{other:?}"),
    }
}

#[test]
fn stale_use_is_as_a_rule_says_where_the_origin_says_nothing_or_where_the_rule_forces_it() {
    let window = |force_stale| {
        let steering = Steering { stale_while_revalidate: Some(Seconds(30)), force_stale, ..Steering::default() };
        Options { stale_if_error: Seconds(50), ..steered(steering) }
    };
    for (lines, force, refreshed, stands_in) in [
        ("Cache-Control: max-age=10", false, Some(Reason::RefreshedByRule), Some(Reason::StaleByDefault)),
        ("Cache-Control: max-age=10, stale-while-revalidate=5, stale-if-error=5", false, None, None),
        (
            "Cache-Control: max-age=10, stale-while-revalidate=5, stale-if-error=5",
            true,
            Some(Reason::RefreshedByRule),
            Some(Reason::StaleByDefault),
        ),
        ("Cache-Control: max-age=10, must-revalidate", true, None, None),
    ] {
        let options = window(force);
        let head = stored(&[lines], &options);
        let decided = match reuse(&get(&[]), Some(&head), false, at(35), &options) {
            Reuse::Refresh(_, reason) => Some(reason),
            _ => None,
        };
        assert_eq!(decided, refreshed, "{lines} {force}");
        assert_eq!(on_error(&get(&[]), &head, None, at(35), &options).ok(), stands_in, "{lines} {force}");
    }
}

#[test]
fn tags_come_from_the_rule_and_from_the_field_that_it_names() {
    let tag_header = Some(FieldName::from_static("x-tags"));
    let options = steered(Steering { tags: vec!["all".to_owned()], tag_header, ..Steering::default() });
    let head = stored(&["X-Tags: a b", "Surrogate-Key: b c"], &options);
    let mut expected = ["all", "a", "b", "c"].map(tag_hash);
    expected.sort_unstable();
    assert_eq!(head.tags[..], expected);
    assert_eq!(stored(&["Surrogate-Key: a"], &usual()).tags[..], [tag_hash("a")]);
    assert!(stored(&["X-Tags: a"], &usual()).tags.is_empty());
    let many = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(stored(&[&format!("xkey: {many}")], &usual()).tags.len(), 64);
}
