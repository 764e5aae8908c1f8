//! Several sites behind one Larder: chosen by host and by path.

use larder::{
    clock::Seconds,
    config::{Config, Site},
    proxy::HostMode,
    rules::{Conditions, Ignore, RuleSpec, Rules, Settings},
};

use crate::support::{Origin, Proxy, config, respond};

/// Answers with the target that it was asked for, and with where it leads.
fn telling(name: &'static str) -> Origin {
    Origin::answering(move |request| {
        let lines = ["Cache-Control: max-age=60", "Location: /elsewhere", "Set-Cookie: a=b; Path=/x"];
        respond(200, &lines, format!("{name} {}", request.target))
    })
}

/// The settings of a site in front of this origin.
fn site(origin: &Origin, base: &str, hosts: &[&str], path: &str) -> Site {
    let mut site = config_of(&format!("{}{base}", origin.url()));
    (site.hosts, site.path) = (hosts.iter().map(|host| (*host).to_owned()).collect(), path.to_owned());
    site
}

fn config_of(url: &str) -> Site {
    config(url, std::path::Path::new("unused"), &[]).sites.remove(0)
}

fn ask(proxy: &Proxy, host: &str, target: &str) -> (u16, String) {
    let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = proxy.client().send(head).response("GET");
    let text = if answer.status == 200 { answer.text() } else { String::new() };
    (answer.status, text)
}

#[test]
fn a_request_goes_to_the_site_with_the_closest_host_and_the_longest_path() {
    let origins = ["exact", "below", "npm", "all"].map(telling);
    let proxy = Proxy::tuned(&origins[0], &[], |config: &mut Config| {
        config.sites = vec![
            site(&origins[3], "", &[], ""),
            site(&origins[2], "/registry", &[], "/npm"),
            site(&origins[1], "", &["*.shop.test"], ""),
            site(&origins[0], "", &["www.shop.test"], ""),
        ];
    });
    for (host, target, answer) in [
        ("www.shop.test", "/npm/a", "exact /npm/a"),
        ("img.shop.test", "/a", "below /a"),
        ("a.b.shop.test", "/a", "below /a"),
        ("shop.test", "/a", "all /a"),
        ("other.test", "/npm/a?b", "npm /registry/a?b"),
        ("other.test", "/npm", "npm /registry/"),
        ("other.test", "/npmx", "all /npmx"),
    ] {
        assert_eq!(ask(&proxy, host, target), (200, answer.to_owned()), "{host} {target}");
        assert_eq!(ask(&proxy, host, target), (200, answer.to_owned()), "{host} {target}");
    }
}

#[test]
fn a_host_that_no_site_has_is_refused_and_a_path_that_no_site_has_is_not_found() {
    let origin = telling("one");
    let proxy = Proxy::tuned(&origin, &[], |config| config.sites = vec![site(&origin, "", &["shop.test"], "/a")]);
    assert_eq!(ask(&proxy, "shop.test", "/a/x"), (200, "one /x".to_owned()));
    assert_eq!(ask(&proxy, "shop.test", "/b").0, 404);
    assert_eq!(ask(&proxy, "other.test", "/a/x").0, 421);
    for leaving in ["/a/../b", "/a/%2e%2e/b", "/a/x/..%2f..%2fb"] {
        assert_eq!(ask(&proxy, "shop.test", leaving).0, 400, "{leaving}");
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn what_leads_to_the_origin_leads_below_the_path_of_the_site() {
    let origin = telling("npm");
    let proxy = Proxy::tuned(&origin, &[], |config| config.sites = vec![site(&origin, "", &[], "/npm")]);
    let answer = proxy.get("/npm/a");
    assert_eq!(answer.field("Location"), Some("/npm/elsewhere"));
    let answer =
        proxy.client().ask("POST", "/npm/a", &["Content-Length: 0", "Destination: /npm/b", "Referer: http://x/"]);
    assert_eq!(answer.field("Set-Cookie"), Some("a=b; Path=/npm/x"));
    assert_eq!(origin.requests()[1].field("Destination"), Some("/b"));
    let outside = proxy.client().ask("MOVE", "/npm/a", &["Destination: /other/b"]);
    assert_eq!(outside.status, 400);
}

#[test]
fn each_site_has_rules_of_its_own_and_their_responses_stand_apart() {
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=60"], "one"));
    let rule = |seconds| {
        let set = Settings { ttl: Some(Seconds(seconds)), ..Settings::default() };
        Rules::new(vec![RuleSpec { name: "one".into(), when: Conditions::default(), set }]).unwrap().into()
    };
    let proxy = Proxy::tuned(&origin, &[], |config| {
        config.sites = vec![
            Site { rules: rule(10), ..site(&origin, "", &[], "/a") },
            Site { rules: rule(1000), ..site(&origin, "", &[], "/b") },
        ];
    });
    for (after, words) in [(0, ["MISS", "MISS"]), (500, ["MISS", "HIT"])] {
        proxy.advance(after);
        let answers = ["/a/x", "/b/x"].map(|target| proxy.get(target));
        assert_eq!(answers.each_ref().map(|answer| answer.x_cache()), words, "{after}");
    }
}

#[test]
fn an_origin_that_is_down_is_the_failure_of_its_own_site() {
    let origin = telling("one");
    let proxy = Proxy::tuned(&origin, &[], |config| {
        let down = Site { path: "/down".to_owned(), ..config_of("http://127.0.0.1:1") };
        config.sites = vec![site(&origin, "", &[], ""), down];
    });
    assert_eq!(proxy.get("/down/x").status, 502);
    assert_eq!(proxy.get("/x").text(), "one /x");
}

#[test]
fn the_same_path_of_two_sites_with_one_origin_is_two_resources() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=60"], request.target.clone()));
    let proxy = Proxy::tuned(&origin, &["--host-header", "origin"], |config| {
        let with = |hosts: &[&str], path: &str| Site {
            host_mode: config.sites[0].host_mode.clone(),
            ..site(&origin, "", hosts, path)
        };
        config.sites = vec![with(&["a.test"], "/npm"), with(&["b.test"], "")];
    });
    assert_eq!(ask(&proxy, "a.test", "/npm/k"), (200, "/k".to_owned()));
    assert_eq!(ask(&proxy, "b.test", "/npm/k"), (200, "/npm/k".to_owned()));
}

#[test]
fn the_hosts_of_the_sites_are_larders_own_names() {
    let origin = Origin::answering(|request| respond(200, &[], request.field("Origin").unwrap_or("-")));
    let proxy = Proxy::tuned(&origin, &["--host-header", "origin"], |config| {
        let host_mode = config.sites[0].host_mode.clone();
        config.sites = vec![Site { host_mode, ..site(&origin, "", &["a.test"], "") }];
    });
    let head = "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\nOrigin: http://a.test\r\n\r\n";
    let answer = proxy.client().send(head).response("GET");
    assert_eq!((answer.status, answer.text()), (200, origin.url()));
}

#[test]
fn what_the_rules_of_a_site_let_be_stored_is_not_found_by_another_site_of_the_same_origin() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: private"], request.index.to_string()));
    let permitting = Settings { ignore: Some(vec![Ignore::Private]), ttl: Some(Seconds(60)), ..Settings::default() };
    let proxy = Proxy::tuned(&origin, &[], |config: &mut Config| {
        config.sites =
            vec![site(&origin, "", &["a.test"], ""), site(&origin, "", &["b.test"], ""), site(&origin, "", &[], "")];
        let rule = RuleSpec { name: "rule 1".into(), when: Conditions::default(), set: permitting };
        config.sites[0].rules = Rules::new(vec![rule]).unwrap().into();
        // the origin gets its own name, so that the client's is no part of the key
        config.sites.iter_mut().for_each(|site| site.host_mode = HostMode::Origin);
    });
    for (host, text) in
        [("a.test", "0"), ("a.test", "0"), ("b.test", "1"), ("c.test", "2"), ("b.test", "3"), ("a.test", "0")]
    {
        assert_eq!(ask(&proxy, host, "/a"), (200, text.to_owned()), "{host}");
    }
}
