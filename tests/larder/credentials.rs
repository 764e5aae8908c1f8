//! Fields that tell the origin who asks, and are called neither Authorization nor Cookie.

use crate::support::{Origin, Proxy, respond};

const NAMES: [&str; 12] = [
    "X-Api-Key",
    "Api-Key",
    "X-Auth-Token",
    "Private-Token",
    "X-Vault-Token",
    "Ocp-Apim-Subscription-Key",
    "X-Goog-Api-Key",
    "X-Access-Token",
    "X-Csrf-Token",
    "X-Session-Id",
    "X-Remote-User",
    "X-Webauth-User",
];

/// Greets whom the field in the target names, with these fields.
fn greeting(fields: &'static [&'static str]) -> Origin {
    Origin::answering(move |request| {
        let name = request.target.split('?').nth(1).unwrap_or_default();
        respond(200, fields, request.field(name).unwrap_or("nobody"))
    })
}

#[test]
fn what_a_key_opened_is_nobody_elses_where_the_origin_gave_no_lifetime() {
    for fields in [&[][..], &["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"], &["Cache-Control: public"]] {
        let origin = greeting(fields);
        let proxy = Proxy::start(&origin, &[]);
        for name in NAMES {
            let target = format!("/?{name}");
            let ask = |who: &str| proxy.client().ask("GET", &target, &[&format!("{name}: {who}")]);
            let alice = ask("alice");
            assert_eq!((alice.text().as_str(), alice.x_cache()), ("alice", "MISS"), "{name} {fields:?}");
            assert_eq!(
                alice.detail(),
                "a key, token or user in the request, and no lifetime in the response",
                "{name} {fields:?}"
            );
            assert_eq!((ask("bob").text().as_str(), proxy.get(&target).text().as_str()), ("bob", "nobody"), "{name}");
        }
    }
}

#[test]
fn a_page_with_an_invented_lifetime_is_not_for_a_request_with_a_key_and_stays_for_the_others() {
    let origin = greeting(&[]);
    let proxy = Proxy::start(&origin, &[]);
    for name in NAMES {
        let target = format!("/?{name}");
        assert_eq!(proxy.get(&target).text(), "nobody");
        let alice = proxy.client().ask("GET", &target, &[&format!("{name}: alice")]);
        assert_eq!((alice.text().as_str(), alice.x_cache()), ("alice", "MISS"), "{name}");
        assert!(alice.cache_status().contains("fwd=request"), "{}", alice.cache_status());
        assert_eq!((proxy.get(&target).x_cache(), proxy.get(&target).text().as_str()), ("HIT", "nobody"), "{name}");
    }
}

#[test]
fn a_lifetime_of_the_origins_is_for_requests_with_a_key_too_and_so_is_every_one_with_strict() {
    for (flags, fields) in [
        (&[][..], &["Cache-Control: max-age=60"][..]),
        (&["--strict"], &["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"]),
    ] {
        let origin = greeting(fields);
        let proxy = Proxy::start(&origin, flags);
        let ask = || proxy.client().ask("GET", "/?X-Api-Key", &["X-Api-Key: alice"]);
        assert_eq!((ask().x_cache(), ask().x_cache()), ("MISS", "HIT"), "{flags:?}");
    }
}

#[test]
fn the_request_of_an_ordinary_browser_is_answered_from_the_cache() {
    let chromium = [
        "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
        "sec-ch-ua-mobile: ?0",
        "sec-ch-ua-platform: \"Linux\"",
        "Upgrade-Insecure-Requests: 1",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Sec-Fetch-Site: none",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-User: ?1",
        "Sec-Fetch-Dest: document",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8",
        "Priority: u=0, i",
        "DNT: 1",
        "Sec-GPC: 1",
        "Referer: http://larder.test/",
        "X-Forwarded-User: somebody",
    ];
    let origin = greeting(&[]);
    let proxy = Proxy::start(&origin, &[]);
    let ask = || proxy.client().ask("GET", "/", &chromium);
    assert_eq!((ask().x_cache(), ask().x_cache(), proxy.get("/").x_cache()), ("MISS", "HIT", "HIT"));
}
