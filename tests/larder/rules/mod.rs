//! The rules of the operator: what they make of requests and answers.

mod keys;

use std::sync::Arc;

use larder::{
    clock::Seconds,
    message::{FieldName, FieldValue},
    rules::{Conditions, Edits, Ignore, Rewrite, RuleSpec, Rules, Settings},
};

use crate::support::{Origin, Proxy, Response, Step, request, respond};

fn path(pattern: &str) -> Conditions {
    Conditions { path: vec![pattern.to_owned()], ..Conditions::default() }
}

fn methods(pattern: &str, method: &str) -> Conditions {
    Conditions { methods: vec![method.to_owned()], ..path(pattern) }
}

fn ttl(seconds: u64) -> Settings {
    Settings { ttl: Some(Seconds(seconds)), ..Settings::default() }
}

fn name(name: &'static str) -> FieldName {
    FieldName::from_static(name)
}

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

/// Starts a Larder with these rules.
fn ruled(origin: &Origin, flags: &[&str], rules: Vec<(Conditions, Settings)>) -> Proxy {
    let spec = |(nth, (when, set))| RuleSpec { name: Arc::from(format!("rule {} of larder.toml", nth + 1)), when, set };
    let rules = Rules::new(rules.into_iter().enumerate().map(spec).collect()).unwrap();
    Proxy::tuned(origin, flags, |config| config.sites[0].rules = Arc::new(rules))
}

/// Sends a request without content and with this field, and returns its answer.
fn sent(proxy: &Proxy, method: &str, target: &str, line: &str) -> Response {
    proxy.client().ask(method, target, &[line, "Content-Length: 0"])
}

fn post(proxy: &Proxy, content: &str, lines: &[&str]) -> Response {
    let length = format!("Content-Length: {}", content.len());
    let head = request("POST", "/graphql", &[&[length.as_str(), "Content-Type: application/json"], lines].concat());
    proxy.client().send(head).send(content).response("POST")
}

/// Answers with the number of the request and these fields.
fn numbering(fields: &'static [&'static str]) -> Origin {
    Origin::answering(move |request| respond(200, fields, request.index.to_string()))
}

#[test]
fn a_rule_gives_a_lifetime_in_place_of_the_origins_and_is_named() {
    let origin = numbering(&["Cache-Control: max-age=5"]);
    let proxy = ruled(&origin, &[], vec![(path("/a"), ttl(600))]);
    assert_eq!(proxy.get("/a/x").x_cache(), "MISS");
    proxy.advance(300);
    let hit = proxy.get("/a/x");
    assert_eq!(hit.x_cache(), "HIT");
    assert_eq!(hit.cache_status(), r#"larder; hit; ttl=300; detail="rule 1 of larder.toml: ttl = \"10m\"""#);
    proxy.get("/b");
    proxy.advance(6);
    assert_ne!(proxy.get("/b").text(), "1");
}

#[test]
fn the_lifetime_of_a_rule_begins_when_the_response_comes_in() {
    let origin = numbering(&["Age: 5000", "Date: Wed, 31 Dec 2025 00:00:00 GMT"]);
    let proxy = ruled(&origin, &[], vec![(path("/"), ttl(60))]);
    proxy.get("/");
    proxy.advance(59);
    assert_eq!(proxy.get("/").x_cache(), "HIT");
    proxy.advance(2);
    assert_eq!(proxy.get("/").text(), "1");
}

#[test]
fn a_lifetime_holds_for_no_error_and_no_redirect_to_a_signed_url() {
    let origin = Origin::answering(|request| {
        let status: u16 = request.target.trim_start_matches('/').parse().unwrap();
        respond(status, &["Location: /elsewhere"], request.index.to_string())
    });
    let missing = Conditions { status: vec![404], ..Conditions::default() };
    let proxy = ruled(&origin, &["--negative-ttl", "0s"], vec![(path("/"), ttl(600)), (missing, ttl(10))]);
    for (status, word) in
        [("200", "HIT"), ("301", "HIT"), ("302", "MISS"), ("403", "MISS"), ("500", "MISS"), ("404", "HIT")]
    {
        let target = format!("/{status}");
        proxy.get(&target);
        assert_eq!(proxy.get(&target).x_cache(), word, "{status}");
    }
    assert!(proxy.get("/404").cache_status().contains(r#"rule 2 of larder.toml: ttl = \"10s\""#));
}

#[test]
fn what_the_origin_forbids_wins_over_a_lifetime_unless_a_rule_ignores_it() {
    for (field, ignored) in [
        ("Cache-Control: no-store", Ignore::NoStore),
        ("Cache-Control: private", Ignore::Private),
        ("Cache-Control: no-cache", Ignore::NoCache),
        ("Set-Cookie: a=b", Ignore::SetCookie),
        ("Vary: *", Ignore::Vary),
        ("X-Accel-Expires: 0", Ignore::NoStore),
        ("Surrogate-Control: private", Ignore::Private),
    ] {
        let origin = Origin::answering(move |request| respond(200, &[field], request.index.to_string()));
        let proxy = ruled(&origin, &[], vec![(path("/"), ttl(60))]);
        proxy.get("/");
        assert_ne!(proxy.get("/").text(), "0", "{field}");
        let proxy = ruled(&origin, &[], vec![(path("/"), Settings { ignore: Some(vec![ignored]), ..ttl(60) })]);
        let first = proxy.get("/").text();
        let second = proxy.get("/");
        assert_eq!((second.x_cache(), second.text()), ("HIT", first), "{field}");
        assert_eq!(second.field("Set-Cookie"), None);
    }
}

#[test]
fn what_bypasses_is_neither_looked_up_nor_stored_however_its_path_is_written() {
    let origin = numbering(&["Cache-Control: max-age=600"]);
    let bypass = Settings { bypass: Some(true), ..Settings::default() };
    let proxy = ruled(&origin, &[], vec![(path("/"), ttl(600)), (path("/admin"), bypass)]);
    for target in [
        "/admin",
        "/%61dmin",
        "/x/../admin",
        "//admin/y",
        "/admin;x",
        "/x%2f..%2fadmin",
        "//host/admin",
        "/x//../../admin",
    ] {
        proxy.get(target);
        let again = proxy.get(target);
        assert_eq!(again.x_cache(), "MISS", "{target}");
        assert_eq!(
            again.cache_status(),
            r#"larder; fwd=bypass; fwd-status=200; detail="rule 2 of larder.toml: bypass = true""#
        );
    }
    proxy.get("/administrator");
    assert_eq!(proxy.get("/administrator").x_cache(), "HIT");
}

#[test]
fn a_page_that_is_reached_through_a_permitted_path_is_not_stored() {
    let origin = numbering(&[]);
    let proxy =
        ruled(&origin, &["--default-ttl", "0s"], vec![(path("/static"), ttl(600)), (path("/**/*.css"), ttl(600))]);
    for target in
        ["/static/../account", "/static/%2e%2e/account", "/static%2f..%2faccount", "/account;.css", "/account%3f.css"]
    {
        proxy.get(target);
        assert_eq!(proxy.get(target).x_cache(), "MISS", "{target}");
    }
    proxy.get("/static/a.css");
    assert_eq!(proxy.get("/static/a.css").x_cache(), "HIT");
}

#[test]
fn a_post_is_answered_from_the_cache_for_the_same_content_and_a_mutation_is_carried_out_each_time() {
    let origin = numbering(&[]);
    let proxy = ruled(&origin, &[], vec![(methods("/graphql", "POST"), ttl(60))]);
    let (one, other) = (r#"{"query":"{ a }"}"#, r#"{"query":"{ b }"}"#);
    for (content, word, text) in [(one, "MISS", "0"), (one, "HIT", "0"), (other, "MISS", "1"), (other, "HIT", "1")] {
        let answer = post(&proxy, content, &[]);
        assert_eq!((answer.x_cache(), answer.text()), (word, text.to_owned()), "{content}");
    }
    let mutation = r#"{"query":"mutation { addToCart }"}"#;
    assert_eq!([post(&proxy, mutation, &[]).text(), post(&proxy, mutation, &[]).text()], ["2", "3"]);
    let broken = r#"{"query":"{ a "#;
    assert_eq!([post(&proxy, broken, &[]).text(), post(&proxy, broken, &[]).text()], ["4", "5"]);
    let long = format!(r#"{{"query":"{{ a }}","x":"{}"}}"#, "x".repeat(70_000));
    assert_eq!([post(&proxy, &long, &[]).text(), post(&proxy, &long, &[]).text()], ["6", "7"]);
}

#[test]
fn of_the_methods_that_a_rule_lists_post_alone_is_answered_from_the_cache_by_its_content() {
    let origin = numbering(&[]);
    let all = Conditions { methods: ["GET", "POST", "PUT"].map(str::to_owned).to_vec(), ..path("/a") };
    let proxy = ruled(&origin, &[], vec![(all, ttl(60))]);
    let put = || proxy.client().send(request("PUT", "/a", &["Content-Length: 1"])).send("x").response("PUT");
    assert_eq!([put().text(), put().text()], ["0", "1"]);
    proxy.advance(1);
    assert!(!proxy.client().ask("HEAD", "/a", &[]).cache_status().contains("stored"));
    assert_eq!(proxy.get("/a").text(), "3");
    assert_eq!(proxy.get("/a").x_cache(), "HIT");
    assert_eq!(proxy.client().ask("HEAD", "/a", &[]).x_cache(), "HIT");
    let post = || sent(&proxy, "POST", "/a", "Content-Type: text/plain");
    assert_eq!([post().x_cache(), post().x_cache(), proxy.get("/a").x_cache()], ["MISS", "HIT", "HIT"]);
}

#[test]
fn a_post_that_names_another_method_or_is_coded_is_carried_out_each_time() {
    let origin = numbering(&[]);
    let proxy = ruled(&origin, &[], vec![(methods("/graphql", "POST"), ttl(60))]);
    for line in [
        "X-HTTP-Method-Override: DELETE",
        "X_HTTP_Method_Override: DELETE",
        "X.HTTP.Method.Override: DELETE",
        "Content-Encoding: gzip",
    ] {
        let before = origin.request_count();
        for _ in 0..2 {
            assert_eq!(post(&proxy, "{}", &[line]).x_cache(), "MISS", "{line}");
        }
        assert_eq!(origin.request_count(), before + 2);
    }
}

#[test]
fn answers_are_changed_whether_they_come_from_the_origin_or_from_the_cache() {
    let origin = numbering(&["Cache-Control: max-age=60", "X-Powered-By: PHP", "X-Frame-Options: ALLOW"]);
    let edits = Edits {
        remove: vec![name("x-powered-by")],
        set: vec![(name("x-frame-options"), FieldValue::from_static("DENY"))],
        add: vec![(name("x-by"), FieldValue::from_static("larder"))],
    };
    let proxy = ruled(&origin, &[], vec![(path("/"), Settings { response: Some(edits), ..Settings::default() })]);
    for word in ["MISS", "HIT"] {
        let answer = proxy.get("/a");
        assert_eq!(answer.x_cache(), word);
        assert_eq!([answer.field("X-Powered-By"), answer.field("X-Frame-Options")], [None, Some("DENY")]);
        assert_eq!(answer.field("X-By"), Some("larder"));
    }
}

#[test]
fn a_rule_may_keep_from_storing_bound_a_lifetime_and_let_stale_responses_be_refreshed() {
    let origin = Origin::answering(|request| {
        let age = request.target.trim_start_matches('/').to_owned();
        let line = format!("Cache-Control: max-age={age}");
        respond(200, &[line.as_str()], request.index.to_string())
    });
    let set = |settings| vec![(path("/"), settings)];
    let proxy = ruled(&origin, &[], set(Settings { no_store: Some(true), ..Settings::default() }));
    proxy.get("/60");
    let again = proxy.get("/60");
    assert_eq!(again.x_cache(), "MISS");
    assert!(again.cache_status().contains("rule 1 of larder.toml: no-store = true"), "{}", again.cache_status());
    let bounds = Settings { min_ttl: Some(Seconds(10)), max_ttl: Some(Seconds(100)), ..Settings::default() };
    let proxy = ruled(&origin, &[], set(bounds));
    for (target, left) in [("/0", 10), ("/50", 50), ("/5000", 100)] {
        proxy.get(target);
        let hit = proxy.get(target);
        assert!(hit.cache_status().contains(&format!("hit; ttl={left};")), "{target} {}", hit.cache_status());
    }
    let window = Settings { stale_while_revalidate: Some(Seconds(30)), ..Settings::default() };
    let proxy = ruled(&origin, &[], set(window));
    proxy.get("/5");
    proxy.advance(20);
    let stale = proxy.get("/5");
    assert_eq!(stale.x_cache(), "HIT");
    assert!(stale.cache_status().contains(r#"stale-while-revalidate = \"30s\""#), "{}", stale.cache_status());
}

#[test]
fn nothing_is_different_for_a_site_without_rules() {
    let origin = numbering(&["Cache-Control: max-age=60"]);
    let proxy = ruled(&origin, &[], Vec::new());
    proxy.get("/a?b=1&a=2");
    assert_eq!(proxy.get("/a?b=1&a=2").cache_status(), r#"larder; hit; ttl=60; detail="fresh""#);
}

#[test]
fn a_body_that_is_longer_than_a_rule_allows_is_relayed_whether_its_length_is_known_or_not() {
    let origin = Origin::answering(|request| {
        let length: usize = request.target.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let body = "x".repeat(length);
        match request.target.starts_with("/chunked") {
            false => respond(200, &["Cache-Control: max-age=60"], body),
            true => vec![Step::Send(
                format!(
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
                )
                .into(),
            )],
        }
    });
    let settings = Settings { max_object: Some(1000), ..Settings::default() };
    let proxy = ruled(&origin, &[], vec![(path("/"), settings)]);
    for (target, length, word) in [
        ("/known/1000", 1000, "HIT"),
        ("/known/1001", 1001, "MISS"),
        ("/chunked/1000", 1000, "HIT"),
        ("/chunked/300000", 300_000, "MISS"),
    ] {
        assert_eq!(proxy.get(target).body.len(), length, "{target}");
        let again = proxy.get(target);
        assert_eq!((again.x_cache(), again.body.len()), (word, length), "{target}");
    }
    let detail = proxy.get("/known/1001").cache_status().to_owned();
    assert!(detail.contains(r#"rule 1 of larder.toml: max-object = \"1000B\""#), "{detail}");
}

#[test]
fn a_rewritten_path_is_forbidden_what_the_path_of_the_origin_is() {
    let origin = numbering(&["Cache-Control: max-age=60"]);
    let rewrite = Rewrite { from: "^/v1/(.*)".to_owned(), to: "/$1".to_owned() };
    let proxy = ruled(
        &origin,
        &[],
        vec![
            (Conditions::default(), Settings { rewrite: Some(rewrite), ..Settings::default() }),
            (path("/admin"), Settings { bypass: Some(true), ..Settings::default() }),
        ],
    );
    proxy.get("/v1/admin");
    assert_eq!(proxy.get("/v1/admin").x_cache(), "MISS");
}

#[test]
fn a_post_that_a_rule_has_answered_from_the_cache_invalidates_no_other_query_of_its_path() {
    let origin = numbering(&[]);
    let proxy = ruled(&origin, &[], vec![(methods("/graphql", "POST"), ttl(60))]);
    proxy.get("/graphql?list");
    post(&proxy, r#"{"query":"{ a }"}"#, &[]);
    assert_eq!(proxy.get("/graphql?list").x_cache(), "HIT");
}
