//! What of a request is in the key, and what reaches the origin.

use super::*;

#[test]
fn authorization_wins_over_a_lifetime_unless_it_is_in_the_key_or_ignored() {
    let origin = Origin::answering(|request| respond(200, &[], request.field("Authorization").unwrap_or("nobody")));
    let asked = |proxy: &Proxy, who: &str| sent(proxy, "GET", "/", &format!("Authorization: {who}"));
    let proxy = ruled(&origin, &[], vec![(path("/"), ttl(60))]);
    for _ in 0..2 {
        assert_eq!(asked(&proxy, "alice").x_cache(), "MISS");
    }
    let keyed = Settings { key_headers: Some(vec![name("authorization")]), ..ttl(60) };
    let proxy = ruled(&origin, &[], vec![(path("/"), keyed)]);
    for word in ["MISS", "HIT"] {
        for who in ["alice", "bob"] {
            let answer = asked(&proxy, who);
            assert_eq!((answer.x_cache(), answer.text()), (word, who.to_owned()));
        }
    }
    assert_eq!(proxy.get("/").text(), "nobody");
    let ignoring = Settings { ignore: Some(vec![Ignore::Authorization]), ..ttl(60) };
    let proxy = ruled(&origin, &[], vec![(path("/"), ignoring)]);
    assert_eq!((asked(&proxy, "alice").x_cache(), asked(&proxy, "bob").text()), ("MISS", "alice".to_owned()));
}

#[test]
fn an_api_key_in_a_field_is_no_less_of_an_obstacle_than_authorization() {
    let origin = Origin::answering(|request| respond(200, &[], request.field("X-Api-Key").unwrap_or("nobody")));
    let asked = |proxy: &Proxy, who: &str| sent(proxy, "GET", "/", &format!("X-Api-Key: {who}")).text();
    let proxy = ruled(&origin, &[], vec![(path("/"), ttl(60))]);
    assert_eq!((asked(&proxy, "alice"), asked(&proxy, "bob")), ("alice".to_owned(), "bob".to_owned()));
    let keyed = Settings { key_headers: Some(vec![name("x-api-key")]), ..ttl(60) };
    let proxy = ruled(&origin, &[], vec![(path("/"), keyed)]);
    assert_eq!((asked(&proxy, "alice"), asked(&proxy, "bob")), ("alice".to_owned(), "bob".to_owned()));
    assert_eq!(sent(&proxy, "GET", "/", "X-Api-Key: bob").x_cache(), "HIT");
}

#[test]
fn a_page_is_cached_for_each_value_of_the_cookies_in_the_key_and_no_other_cookie_reaches_the_origin() {
    let origin = Origin::answering(|request| respond(200, &[], request.field("Cookie").unwrap_or("none")));
    let keyed = Settings { key_cookies: words(&["lang"]), ..ttl(60) };
    let proxy = ruled(&origin, &[], vec![(path("/"), keyed)]);
    for (cookie, word, text) in [
        ("session=alice; lang=de", "MISS", "lang=de"),
        ("lang=de; session=bob", "HIT", "lang=de"),
        ("lang=en", "MISS", "lang=en"),
        ("session=bob", "MISS", "none"),
        ("session=carol", "HIT", "none"),
    ] {
        let answer = sent(&proxy, "GET", "/", &format!("Cookie: {cookie}"));
        assert_eq!((answer.x_cache(), answer.text()), (word, text.to_owned()), "{cookie}");
    }
    // what changes something keeps its cookies
    let post = sent(&proxy, "POST", "/", "Cookie: session=bob");
    assert_eq!(post.text(), "session=bob");
}

#[test]
fn ignored_parameters_are_neither_in_the_key_nor_sent_to_the_origin() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=60"], request.target.clone()));
    let settings = Settings { ignore_query: words(&["utm_*", "gclid"]), ..Settings::default() };
    let proxy = ruled(&origin, &[], vec![(path("/"), settings)]);
    for (target, word, text) in [
        ("/a?utm_source=evil&id=1&gclid=x", "MISS", "/a?id=1"),
        ("/a?id=1", "HIT", "/a?id=1"),
        ("/a?utm_x=y", "MISS", "/a"),
        ("/a", "HIT", "/a"),
        ("/a?u%74m_x=y", "MISS", "/a?u%74m_x=y"),
    ] {
        let answer = proxy.get(target);
        assert_eq!((answer.x_cache(), answer.text()), (word, text.to_owned()), "{target}");
    }
    // what changes something is sent as it is, and invalidates what is stored for the URL without them
    let post = sent(&proxy, "POST", "/a?id=1&utm_source=x", "X: y");
    assert_eq!(post.text(), "/a?id=1&utm_source=x");
    assert_eq!(proxy.get("/a?id=1").x_cache(), "MISS");
}

#[test]
fn unlisted_parameters_and_another_order_change_nobody_elses_answer() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=60"], request.target.clone()));
    let only = Settings { only_query: words(&["id", "page"]), ..Settings::default() };
    let sorted = Settings { sort_query: Some(true), ..Settings::default() };
    let proxy = ruled(&origin, &[], vec![(path("/only"), only), (path("/sorted"), sorted)]);
    for (target, word, text) in [
        ("/only?admin=1&id=1&lang=evil", "MISS", "/only?id=1"),
        ("/only?id=1", "HIT", "/only?id=1"),
        ("/only?i%64=1&x=y", "MISS", "/only?i%64=1"),
        ("/only?x=y;page=2", "MISS", "/only?x=y;page=2"),
        ("/sorted?b=1&a=2", "MISS", "/sorted?a=2&b=1"),
        ("/sorted?a=2&b=1", "HIT", "/sorted?a=2&b=1"),
        ("/sorted?b=1&a=2;b=3", "MISS", "/sorted?b=1&a=2;b=3"),
    ] {
        let answer = proxy.get(target);
        assert_eq!((answer.x_cache(), answer.text()), (word, text.to_owned()), "{target}");
    }
}

#[test]
fn responses_that_were_stored_under_other_key_settings_are_not_found() {
    let origin = numbering(&["Cache-Control: max-age=60"]);
    let with = |settings: Settings| Rules::new(vec![RuleSpec { name: "one".into(), when: path("/"), set: settings }]);
    let mut proxy = Proxy::start(&origin, &[]);
    proxy.get("/a");
    for (settings, word) in [
        (Settings { sort_query: Some(true), ..Settings::default() }, "MISS"),
        (Settings { sort_query: Some(true), ..ttl(60) }, "HIT"),
        (ttl(60), "HIT"),
        (Settings { ignore_query: words(&["x"]), ..ttl(60) }, "MISS"),
    ] {
        proxy.reconfigure(|config| config.sites[0].rules = Arc::new(with(settings).unwrap()));
        assert_eq!(proxy.get("/a").x_cache(), word);
    }
}

#[test]
fn a_path_is_rewritten_before_the_key_is_made() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=60"], request.target.clone()));
    let rewrite = Rewrite { from: "^/v1/(.*)".to_owned(), to: "/$1".to_owned() };
    let proxy =
        ruled(&origin, &[], vec![(Conditions::default(), Settings { rewrite: Some(rewrite), ..Settings::default() })]);
    assert_eq!(proxy.get("/v1/a?b").text(), "/a?b");
    assert_eq!(proxy.get("/a?b").x_cache(), "HIT");
}

#[test]
fn what_changes_a_url_makes_the_copies_under_all_of_its_keys_unusable() {
    let origin = numbering(&["Cache-Control: max-age=60"]);
    let keyed = Settings { key_headers: Some(vec![name("x-key")]), ..Settings::default() };
    let proxy = ruled(&origin, &[], vec![(path("/"), keyed), (methods("/graphql", "POST"), ttl(60))]);
    for who in ["alice", "bob"] {
        let line = format!("X-Key: {who}");
        sent(&proxy, "GET", "/a", &line);
        assert_eq!(sent(&proxy, "GET", "/a", &line).x_cache(), "HIT");
    }
    sent(&proxy, "POST", "/a", "X-Key: carol");
    for who in ["alice", "bob"] {
        assert_eq!(sent(&proxy, "GET", "/a", &format!("X-Key: {who}")).x_cache(), "MISS", "{who}");
    }
    let read = r#"{"query":"{ a }"}"#;
    post(&proxy, read, &[]);
    assert_eq!(post(&proxy, read, &[]).x_cache(), "HIT");
    post(&proxy, r#"{"query":"mutation { a }"}"#, &[]);
    assert_eq!(post(&proxy, read, &[]).x_cache(), "MISS");
}

#[test]
fn a_put_makes_the_answer_to_a_post_unusable_that_a_rule_lets_be_stored_for_its_url() {
    let origin = numbering(&[]);
    let proxy = ruled(&origin, &[], vec![(methods("/graphql", "POST"), ttl(60))]);
    let read = r#"{"query":"{ a }"}"#;
    post(&proxy, read, &[]);
    assert_eq!(post(&proxy, read, &[]).x_cache(), "HIT");
    proxy.advance(1);
    sent(&proxy, "PUT", "/graphql", "X: y");
    assert_eq!(post(&proxy, read, &[]).x_cache(), "MISS");
}

#[test]
fn a_host_that_is_not_in_the_key_does_not_reach_the_origin() {
    let origin = Origin::answering(|request| {
        let forwarded = request.field("X-Forwarded-Host").unwrap_or("-").to_owned();
        respond(200, &["Cache-Control: max-age=60"], format!("{} {forwarded}", request.field("Host").unwrap()))
    });
    let settings = Settings { ignore_host: Some(true), ..Settings::default() };
    let proxy = ruled(&origin, &[], vec![(path("/static"), settings)]);
    let ask = |host: &str, target: &str| {
        proxy.client().send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET")
    };
    assert_eq!(ask("a.test", "/b").text(), "a.test a.test");
    let own = format!("{} -", origin.url().trim_start_matches("http://"));
    assert_eq!(ask("a.test", "/static").text(), own);
    assert_eq!(ask("evil.test", "/static").x_cache(), "HIT");
}

#[test]
fn no_other_spelling_of_a_field_in_the_key_reaches_the_origin() {
    let origin = Origin::answering(|request| {
        let found = ["X-Key", "X_Key", "X.Key"].iter().find_map(|name| request.field(name)).unwrap_or("-").to_owned();
        respond(200, &["Cache-Control: max-age=60"], found)
    });
    let keyed = Settings { key_headers: Some(vec![name("x-key")]), ..ttl(60) };
    let proxy = ruled(&origin, &[], vec![(path("/"), keyed)]);
    for (target, line) in [("/a", "X_Key: evil"), ("/b", "X.Key: evil")] {
        assert_eq!(sent(&proxy, "GET", target, line).text(), "-", "{line}");
    }
}

#[test]
fn what_changes_a_url_reaches_what_other_rules_and_a_rewritten_path_have_stored() {
    let origin = numbering(&["Cache-Control: max-age=60"]);
    let key = |set: Settings| Settings { key_headers: Some(vec![name("x-key")]), ..set };
    let rewrite = Rewrite { from: "^/v1/(.*)".to_owned(), to: "/$1".to_owned() };
    let json = Conditions { header: vec![(name("accept"), vec!["*json*".to_owned()])], ..path("/j") };
    let proxy = ruled(
        &origin,
        &[],
        vec![
            (path("/v1"), key(Settings { rewrite: Some(rewrite), ..Settings::default() })),
            (json, key(Settings::default())),
        ],
    );
    for (target, line) in [("/v1/a", "X-Key: a"), ("/j", "Accept: application/json")] {
        sent(&proxy, "GET", target, line);
        assert_eq!(sent(&proxy, "GET", target, line).x_cache(), "HIT", "{target}");
        sent(&proxy, "PUT", target, "Accept: */*");
        assert_eq!(sent(&proxy, "GET", target, line).x_cache(), "MISS", "{target}");
    }
}

#[test]
fn a_post_that_is_too_long_for_the_key_keeps_its_cookies() {
    let origin = Origin::answering(|request| respond(200, &[], request.field("Cookie").unwrap_or("-")));
    let keyed = Settings { key_cookies: words(&["sid"]), ..ttl(60) };
    let proxy = ruled(&origin, &[], vec![(methods("/graphql", "POST"), keyed)]);
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(post(&proxy, &long, &["Cookie: sid=1; csrf=2"]).text(), "sid=1; csrf=2");
}
