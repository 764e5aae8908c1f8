//! What rules match and set, and a comparison with a naive matcher.

mod naive;

use std::sync::Arc;

use super::*;
use crate::{
    clock::Seconds,
    message::{FieldName, FieldValue, Fields, Method, ResponseHead, StatusCode},
};

fn rule(nth: usize, when: Conditions, set: Settings) -> RuleSpec {
    RuleSpec { name: Arc::from(format!("rule {nth} of larder.toml")), when, set }
}

fn path(pattern: &str) -> Conditions {
    Conditions { path: vec![pattern.to_owned()], ..Conditions::default() }
}

fn bypass() -> Settings {
    Settings { bypass: Some(true), ..Settings::default() }
}

fn ttl(seconds: u64) -> Settings {
    Settings { ttl: Some(Seconds(seconds)), ..Settings::default() }
}

fn get<'a>(target: &'a str, fields: &'a Fields) -> Asked<'a> {
    Asked { method: &Method::GET, path_and_query: target, fields }
}

fn merged(rules: &Rules, target: &str) -> Merged {
    rules.merged(&rules.asked(get(target, &Fields::new())))
}

fn answer(status: u16, content_type: &'static str) -> ResponseHead {
    let fields = Fields::from_iter([(FieldName::from_static("content-type"), FieldValue::from_static(content_type))]);
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), fields }
}

#[test]
fn all_matching_rules_apply_and_the_later_one_wins() {
    let rules = Rules::new(vec![
        rule(1, Conditions::default(), Settings { stale_if_error: Some(Seconds(5)), ..ttl(60) }),
        rule(2, path("/a"), ttl(600)),
        rule(3, path("/b"), bypass()),
    ])
    .unwrap();
    let a = merged(&rules, "/a/x?y");
    assert_eq!((a.set.ttl, a.set.stale_if_error, a.set.bypass), (Some(Seconds(600)), Some(Seconds(5)), None));
    assert_eq!(a.says(Setting::Ttl).unwrap(), "rule 2 of larder.toml: ttl = \"10m\"");
    assert_eq!(a.says(Setting::StaleIfError).unwrap(), "rule 1 of larder.toml: stale-if-error = \"5s\"");
    assert_eq!(a.says(Setting::Bypass), None);
    assert_eq!(merged(&rules, "/b").set.bypass, Some(true));
}

#[test]
fn regular_expressions_are_so_few_and_so_small_that_a_long_path_costs_little() {
    let of_site = |expressions: Vec<String>| {
        let when = |path_regex| Conditions { path_regex, ..Conditions::default() };
        let rules = expressions.chunks(50).enumerate();
        Rules::new(rules.map(|(nth, chunk)| rule(nth, when(chunk.to_vec()), bypass())).collect())
    };
    let numbered = |count: usize| (0..count).map(|nth| format!("^/v{nth}/")).collect();
    let faults = of_site(numbered(101)).unwrap_err();
    assert!(
        faults.len() == 1 && faults[0].problem.starts_with("there are more than 100 regular expressions"),
        "{faults:?}"
    );
    assert_eq!((faults[0].rule, faults[0].word), (2, "path-regex"));
    assert_eq!(merged(&of_site(numbered(100)).unwrap(), "/v99/x").set.bypass, Some(true));
    for (expression, is_valid) in [("a[ab/]{250}c", true), ("a[ab/]{1000}c", false), ("(a|b)*a(a|b){1000}c", false)] {
        assert_eq!(of_site(vec![expression.to_owned()]).is_ok(), is_valid, "{expression}");
    }
    let large = of_site(vec!["a[ab/]{1000}c".to_owned()]).unwrap_err();
    assert_eq!(large[0].problem, "\"a[ab/]{1000}c\": it is too large; expected a simpler expression");
}

#[test]
fn a_semicolon_may_part_parameters_or_not_so_what_forbids_holds_either_way_and_what_permits_both_ways() {
    let json = || Conditions { query: vec![("format".to_owned(), vec!["json".to_owned()])], ..Conditions::default() };
    let rules = Rules::new(vec![rule(1, json(), bypass()), rule(2, json(), ttl(60))]).unwrap();
    for (target, is_forbidden, is_permitted) in [
        ("/?format=json", true, true),
        ("/?a=1&format=json", true, true),
        ("/?a=1;format=json", true, false),
        ("/?format=json;a=1", true, false),
        ("/?format=json&a=1;b=2", true, true),
        ("/?format=json&a=1;format=xml", true, false),
        ("/?format=xml;format=json", true, false),
        ("/?a=1;%66ormat=js%6fn", true, false),
        ("/?a=1%3bformat=json", false, false),
        ("/?a=format;json", false, false),
    ] {
        let set = merged(&rules, target).set;
        assert_eq!((set.bypass.is_some(), set.ttl.is_some()), (is_forbidden, is_permitted), "{target}");
    }
}

#[test]
fn what_forbids_holds_for_every_reading_of_a_path_and_what_permits_for_all_together() {
    let rules = Rules::new(vec![rule(1, path("/admin"), bypass()), rule(2, path("/static"), ttl(60))]).unwrap();
    for target in [
        "/admin",
        "/%61dmin",
        "//admin/x",
        "/x/../admin",
        "/static/../admin",
        "/static/%2e%2e/admin/y",
        "/static%2f..%2fadmin",
        "/static\\..\\admin",
        "/admin;x",
        "/admin;x/y",
        "/admin%3bx",
        "/admin%3f.css",
        "/admin%00.css",
        "/./admin",
        "/static/..;/admin",
        "/ADMIN",
        "/x/../Admin/Users",
        "/%41dmin",
    ] {
        let merged = merged(&rules, target);
        assert_eq!((merged.set.bypass, merged.set.ttl), (Some(true), None), "{target}");
    }
    for target in [
        "/static/../account",
        "/static/./x",
        "/static%2faccount",
        "/static/a%2fb",
        "/static/a%5cb",
        "/static\\account",
        "//static/../account",
        "/x/../static/y",
        "/st%61tic",
        "/static/..;/account",
        "/account/..%2fstatic/x",
        "/Static/x",
    ] {
        assert_eq!(merged(&rules, target).set, Settings::default(), "{target}");
    }
    for target in ["/static", "/static/x", "/static/%61", "/static//x", "/static/x?/../y", "/static/a;b=c"] {
        assert_eq!(merged(&rules, target).set, ttl(60), "{target}");
    }
    assert_eq!(merged(&rules, "/administrator").set, Settings::default());
    let rules = Rules::new(vec![rule(1, path("/[Z-a]dmin"), bypass()), rule(2, path("/Cart/*"), bypass())]).unwrap();
    for target in ["/Zdmin", "/cart/X", "/CART/x"] {
        assert_eq!(merged(&rules, target).set, bypass(), "{target}");
    }
}

#[test]
fn patterns_that_are_too_large_together_are_told_as_such() {
    let many = |nth: usize| (0..20).map(|of| format!("/a{nth}-{of}/*")).collect();
    let when = |nth| Conditions { path: many(nth), ..Conditions::default() };
    let faults = Rules::new((0..1000).map(|nth| rule(nth, when(nth), bypass())).collect()).unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| (fault.word, fault.problem.as_str())).collect();
    assert_eq!(told, [("path", "the patterns of all rules together are too large; expected fewer or shorter ones")]);
}

#[test]
fn a_page_under_the_name_of_a_style_sheet_gets_no_lifetime_of_one() {
    let rules = Rules::new(vec![rule(1, path("/**/*.css"), ttl(60))]).unwrap();
    assert_eq!(merged(&rules, "/x/a.css").set, ttl(60));
    for target in ["/account;.css", "/account%3b.css", "/account%00.css", "/account%23.css", "/account%3fx.css"] {
        assert_eq!(merged(&rules, target).set, Settings::default(), "{target}");
    }
}

#[test]
fn each_condition_must_hold_and_one_of_each_list() {
    let when = Conditions {
        path: vec!["/a".to_owned(), "/b".to_owned()],
        path_regex: vec![r"\d$".to_owned()],
        methods: vec!["GET".to_owned()],
        header: vec![(FieldName::from_static("accept"), vec!["*json*".to_owned()])],
        query: vec![("format".to_owned(), vec!["json".to_owned(), "js".to_owned()])],
        ..Conditions::default()
    };
    let rules = Rules::new(vec![rule(1, when, bypass())]).unwrap();
    let json = Fields::from_iter([
        (FieldName::from_static("accept"), FieldValue::from_static("text/html")),
        (FieldName::from_static("accept"), FieldValue::from_static("application/JSON")),
    ]);
    let holds = |method: Method, target: &str, fields: &Fields| {
        let asked = Asked { method: &method, path_and_query: target, fields };
        rules.merged(&rules.asked(asked)).set.bypass == Some(true)
    };
    for target in ["/a/1?format=json", "/b/1?x&format=js", "/a/1?format=xml&format=json", "/a/1?form%61t=j%73"] {
        assert!(holds(Method::GET, target, &json) && holds(Method::HEAD, target, &json), "{target}");
        assert!(!holds(Method::POST, target, &json) && !holds(Method::GET, target, &Fields::new()), "{target}");
    }
    for target in ["/c/1?format=json", "/a/x?format=json", "/a/1?format=xml", "/a/1"] {
        assert!(!holds(Method::GET, target, &json), "{target}");
    }
}

#[test]
fn a_lifetime_holds_for_errors_only_where_the_rule_names_their_status() {
    let missing = Conditions { status: vec![404], ..Conditions::default() };
    let images = Conditions { content_type: vec!["image/*".to_owned()], ..Conditions::default() };
    let rules = Rules::new(vec![
        rule(1, Conditions::default(), Settings { max_ttl: Some(Seconds(9000)), ..ttl(60) }),
        rule(2, missing, ttl(10)),
        rule(3, images, ttl(3600)),
    ])
    .unwrap();
    let asked = rules.asked(get("/", &Fields::new()));
    for (status, content_type, expected) in [
        (200, "text/html", Some(60)),
        (206, "text/html", Some(60)),
        (301, "text/html", Some(60)),
        (302, "text/html", None),
        (403, "text/html", None),
        (404, "text/html", Some(10)),
        (200, "IMAGE/png; x=y", Some(3600)),
        (403, "image/png", None),
    ] {
        let set = rules.merged(&rules.answered(&asked, &answer(status, content_type))).set;
        assert_eq!((set.ttl, set.max_ttl), (expected.map(Seconds), Some(Seconds(9000))), "{status} {content_type}");
    }
}

#[test]
fn a_post_is_keyed_by_its_content_where_a_rule_gives_it_a_lifetime() {
    let post = Conditions { methods: vec!["POST".to_owned()], ..path("/graphql") };
    let rules = Rules::new(vec![rule(1, post.clone(), ttl(60)), rule(2, path("/x"), ttl(60))]).unwrap();
    let of = |target: &str| {
        let asked = Asked { method: &Method::POST, path_and_query: target, fields: &Fields::new() };
        rules.merged(&rules.asked(asked)).keys_content
    };
    assert!(of("/graphql") && !of("/x") && !of("/x/../graphql"));
    let rules = Rules::new(vec![rule(1, post, bypass())]).unwrap();
    let asked = Asked { method: &Method::POST, path_and_query: "/graphql", fields: &Fields::new() };
    assert!(!rules.merged(&rules.asked(asked)).keys_content);
}

#[test]
fn every_fault_of_the_rules_is_told() {
    let about_answer = Conditions { status: vec![404, 99], ..Conditions::default() };
    let name = FieldName::from_static;
    let reserved = Edits { remove: vec![name("age"), name("server")], ..Edits::default() };
    let many = Conditions { path: vec!["/a".to_owned(); 65], ..Conditions::default() };
    let faults = Rules::new(vec![
        rule(1, about_answer, bypass()),
        rule(2, path("/a{b"), ttl(1)),
        rule(3, Conditions { path_regex: vec!["(".to_owned()], ..Conditions::default() }, ttl(1)),
        rule(4, Conditions { methods: vec!["get".to_owned()], ..Conditions::default() }, ttl(1)),
        rule(5, Conditions::default(), Settings::default()),
        rule(6, Conditions::default(), Settings { response: Some(reserved), ..Settings::default() }),
        rule(7, many, ttl(1)),
        rule(8, path("/"), Settings { min_ttl: Some(Seconds(2)), max_ttl: Some(Seconds(1)), ..Settings::default() }),
        rule(9, path("/"), Settings { key_headers: Some(vec![name("cookie")]), ..Settings::default() }),
        rule(10, path("/"), Settings { ignore_query: Some(vec!["{".to_owned()]), ..Settings::default() }),
    ])
    .unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| format!("{} {}: {}", fault.rule, fault.word, fault.problem)).collect();
    assert_eq!(
        told,
        [
            "0 status: 99: expected a status from 200 to 599, for example 404",
            "0 bypass: a rule with `status` is about the answer: `bypass` is decided before the origin is asked; put it \
             into a rule without `status`",
            "1 path: \"/a{b\": unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
            "2 path-regex: \"(\": unclosed group",
            "3 methods: \"get\": expected a method in capitals, for example \"GET\"",
            "4 : it sets nothing; expected a setting, for example ttl = \"10m\" or bypass = true",
            "5 response: age: Larder writes this field itself; expected another one",
            "6 : it has 65 patterns; expected at most 64, split it into two rules",
            "7 min-ttl: it is longer than max-ttl; expected at most that",
            "8 key-headers: cookie: name the cookies in key-cookies",
            "9 ignore-query: \"{\": unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
        ]
    );
}
