//! Tags of the origin and of rules, and the groups of RFC 9875.

use super::support::{Origin, Proxy, Spawned, proxy::larder, proxy::output, respond, until};

const FRESH: &str = "Cache-Control: max-age=600";

/// Answers with all fields that list tags, and invalidates groups at POST.
fn origin() -> Origin {
    Origin::answering(|request| match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/fails") => respond(500, &["Cache-Group-Invalidation: \"g\""], ""),
        ("POST", "/none") => respond(204, &["Cache-Group-Invalidation: g"], ""),
        ("POST", _) => respond(204, &["Cache-Group-Invalidation: \"other\", \"g\""], ""),
        (_, "/group") => respond(200, &[FRESH, "Cache-Groups: \"g\", \"h\""], "hello"),
        (_, "/query") => respond(200, &[FRESH, "Cache-Group-Invalidation: \"g\""], "hello"),
        (_, "/plain") => respond(200, &[FRESH], "hello"),
        (_, "/no-store") => respond(200, &["Cache-Control: no-store", "Surrogate-Key: a"], "hello"),
        _ => {
            let tags = ["Surrogate-Key: a b", "Cache-Tag: c,d", "xkey: e", "Cache-Groups: \"f\"", FRESH];
            respond(200, &tags, "hello")
        }
    })
}

#[test]
fn clients_get_no_tags_unless_a_setting_asks_for_them() {
    let origin = origin();
    const NAMES: [&str; 4] = ["Surrogate-Key", "Cache-Tag", "xkey", "Cache-Groups"];
    let proxy = Proxy::start(&origin, &[]);
    for word in ["MISS", "HIT"] {
        let answer = proxy.get("/tagged");
        assert_eq!(answer.x_cache(), word);
        assert!(NAMES.iter().all(|name| answer.field(name).is_none()), "{answer:?}");
    }
    assert_eq!(proxy.get("/no-store").field("Surrogate-Key"), None);
    let proxy = Proxy::start(&origin, &["--rule", "/ forward-tags"]);
    for word in ["MISS", "HIT"] {
        let answer = proxy.get("/tagged");
        assert_eq!(answer.x_cache(), word);
        assert!(NAMES.iter().all(|name| answer.field(name).is_some()), "{answer:?}");
    }
}

#[test]
fn what_has_a_tag_of_the_origin_or_of_a_rule_is_purged_by_it() {
    let (folder, origin) = (tempfile::tempdir().unwrap(), origin());
    let cache = folder.path().join("cache");
    let flags = ["-q", "--rule", "/plain tags=ruled"];
    let mut larder_ = Spawned::start(&origin.url(), &cache, &flags);
    for (tag, target) in
        [("a", "/1"), ("b", "/1"), ("c", "/1"), ("d", "/1"), ("e", "/1"), ("f", "/1"), ("ruled", "/plain"), ("a", "/1")]
    {
        for target in ["/1", "/plain"] {
            until("it to be stored", || larder_.get(target).x_cache() == "HIT");
        }
        if tag == "ruled" {
            // tags are in the record
            assert_eq!(larder_.stop().code(), Some(0));
            larder_ = Spawned::start(&origin.url(), &cache, &flags);
        }
        let said = output(&mut larder(&["purge", "--tag", tag, "--count", "--cache-dir", cache.to_str().unwrap()]));
        assert_eq!(String::from_utf8(said.stdout).unwrap(), "removed 1 stored response, 5 B\n", "{tag}");
        assert_eq!(larder_.get(target).x_cache(), "MISS", "{tag}");
    }
}

#[test]
fn an_unsafe_request_invalidates_the_groups_that_its_answer_names_within_its_origin_alone() {
    let origin = origin();
    let proxy = Proxy::start(&origin, &[]);
    let ask = |method: &str, host: &str, target: &str| {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        proxy.client().send(request).response(method).x_cache().to_owned()
    };
    let both = || ["one.test", "two.test"].map(|host| ask("GET", host, "/group"));
    both();
    assert_eq!(both(), ["HIT", "HIT"]);
    for (method, target) in [("POST", "/fails"), ("POST", "/none"), ("GET", "/query")] {
        ask(method, "one.test", target);
        assert_eq!(both(), ["HIT", "HIT"], "{method} {target}");
    }
    ask("POST", "one.test", "/form");
    assert_eq!(both(), ["MISS", "HIT"]);
    assert_eq!(both(), ["HIT", "HIT"]);
    // where the origin does not hear the host, all hosts are one
    let proxy = Proxy::start(&origin, &["--host-header", "origin"]);
    let ask = |method: &str, host: &str, target: &str| {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        proxy.client().send(request).response(method).x_cache().to_owned()
    };
    ask("GET", "one.test", "/group");
    ask("POST", "two.test", "/form");
    assert_eq!(ask("GET", "one.test", "/group"), "MISS");
}
