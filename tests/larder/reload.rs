//! New settings are taken over while Larder runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use larder::{
    clock::Seconds,
    config::Config,
    message::{FieldName, FieldValue},
    rules::{Conditions, Edits, RuleSpec, Rules, Settings},
};

use crate::support::{Gate, Origin, Proxy, Step, config, respond};

fn rules(settings: Vec<Settings>) -> Arc<Rules> {
    let spec = |(nth, set)| RuleSpec {
        name: format!("rule {} of larder.toml", nth + 1).into(),
        when: Conditions::default(),
        set,
    };
    Arc::new(Rules::new(settings.into_iter().enumerate().map(spec).collect()).unwrap())
}

fn ttl(seconds: u64) -> Settings {
    Settings { ttl: Some(Seconds(seconds)), ..Settings::default() }
}

#[test]
fn new_rules_are_in_force_for_the_next_request_and_what_changed_is_told() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: no-cache"], request.index.to_string()));
    let mut proxy = Proxy::start(&origin, &["--origin-settle", "0s"]);
    let mut client = proxy.client();
    client.get("/a");
    assert_eq!(client.get("/a").x_cache(), "MISS");
    let ignoring = Settings { bypass: Some(true), ..Settings::default() };
    assert_eq!(proxy.reload(|config| config.sites[0].rules = rules(vec![ignoring])).unwrap(), "1 rule added");
    assert!(client.get("/a").cache_status().contains("rule 1 of larder.toml: bypass = true"));
    let keyed = Settings { sort_query: Some(true), ..ttl(60) };
    let told = proxy.reload(|config| config.sites[0].rules = rules(vec![keyed, ttl(60)])).unwrap();
    assert_eq!(
        told,
        "1 rule added, 1 changed; key settings of 1 rule changed: what it had stored is not found any more"
    );
    assert_eq!(proxy.reload(|_| {}).unwrap(), "nothing has changed");
    client.get("/a");
    assert_eq!((origin.request_count(), origin.connection_count()), (4, 1), "the connection to the origin stays");
}

#[test]
fn a_change_that_needs_a_restart_is_refused_by_its_name_and_nothing_changes() {
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=60"], "a"));
    let mut proxy = Proxy::start(&origin, &[]);
    let refused = proxy.reload(|config: &mut Config| {
        config.store.memory *= 2;
        config.client.workers += 1;
        config.listen.port = 1;
        config.sites[0].rules = rules(vec![Settings { bypass: Some(true), ..Settings::default() }]);
    });
    assert_eq!(refused.unwrap_err(), "port, memory, workers: a change needs a restart of Larder; nothing has changed");
    for (name, change) in [
        ("cache-dir", (|config| config.store.folder.push("x")) as fn(&mut Config)),
        ("verbose", |config| config.log.verbose += 1),
        ("quiet", |config| config.log.quiet += 1),
        ("cache-dir (the default one depends on origin)", |config| {
            config.store.folder.push("x");
            config.sites[0].origin.url.push('x');
        }),
    ] {
        let refused = proxy.reload(change).unwrap_err();
        assert_eq!(refused, format!("{name}: a change needs a restart of Larder; nothing has changed"));
    }
    proxy.get("/");
    assert_eq!(proxy.get("/").x_cache(), "HIT");
}

#[test]
fn a_request_keeps_the_settings_that_it_began_with() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |_| [vec![Step::Wait(held.clone())], respond(200, &[], "a")].concat());
    let mut proxy = Proxy::start(&origin, &[]);
    proxy.reload(|config| config.sites[0].rules = rules(vec![ttl(60)])).unwrap();
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    origin.await_requests(1);
    let bypass = Settings { bypass: Some(true), ..Settings::default() };
    proxy.reload(|config| config.sites[0].rules = rules(vec![bypass])).unwrap();
    gate.open();
    assert!(client.response("GET").cache_status().contains("stored"));
}

#[test]
fn a_site_moves_to_another_origin_and_back() {
    let [one, other] = ["one", "other"].map(|name| Origin::always(respond(200, &["Cache-Control: no-store"], name)));
    let mut proxy = Proxy::start(&one, &[]);
    assert_eq!(proxy.get("/").text(), "one");
    let moved = config(&other.url(), std::path::Path::new("unused"), &[]).sites;
    assert_eq!(proxy.reload(|config| config.sites = moved).unwrap(), "1 site changed");
    assert_eq!(proxy.get("/").text(), "other");
    let back = config(&one.url(), std::path::Path::new("unused"), &[]).sites;
    proxy.reload(|config| config.sites = back).unwrap();
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn what_changes_the_keys_of_the_sites_of_one_origin_is_told() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=60"], request.index.to_string()));
    let mut proxy = Proxy::start(&origin, &[]);
    proxy.reload(|config| config.sites[0].hosts = vec!["larder.test".to_owned()]).unwrap();
    proxy.get("/a");
    assert_eq!(proxy.get("/a").x_cache(), "HIT");
    let second = |config: &mut Config| {
        config.sites.push(config.sites[0].clone());
        config.sites[1].hosts = vec!["b.test".to_owned()];
    };
    let told = "keys of 1 site changed, since the sites of one origin are told apart by their hosts: what was stored is not \
                found any more, and is evicted in time";
    assert_eq!(proxy.reload(second).unwrap(), format!("1 site added; {told}"));
    assert_eq!(proxy.get("/a").x_cache(), "MISS");
    let third = |config: &mut Config| config.sites[1].hosts.push("c.test".to_owned());
    assert_eq!(proxy.reload(third).unwrap(), format!("1 site added, 1 removed; {told}"));
    assert_eq!(proxy.reload(|config| config.sites.truncate(1)).unwrap(), format!("1 site removed; {told}"));
    assert_eq!(proxy.get("/a").x_cache(), "HIT");
}

#[test]
fn no_request_is_lost_by_fifty_reloads_under_load_and_none_is_answered_by_half_of_the_new_rules() {
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "a"));
    let mut proxy = Proxy::start(&origin, &[]);
    let numbered = |nth: usize| {
        let set = |name: &'static str| Settings {
            response: Some(Edits {
                set: vec![(FieldName::from_static(name), FieldValue::from_str(&nth.to_string()).unwrap())],
                ..Edits::default()
            }),
            ..Settings::default()
        };
        rules(vec![set("x-one"), set("x-other")])
    };
    proxy.reload(|config| config.sites[0].rules = numbered(0)).unwrap();
    let (ended, address) = (Arc::new(AtomicBool::new(false)), proxy.address);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let ended = ended.clone();
            thread::spawn(move || {
                let (mut client, mut asked, mut last) = (crate::support::Client::connect(address), 0, 0);
                while !ended.load(Relaxed) || asked < 500 {
                    let answer = client.get("/a");
                    let [one, other] = ["X-One", "X-Other"].map(|name| answer.field(name).map(str::to_owned));
                    assert_eq!((answer.status, &one), (200, &other));
                    let number: usize = one.unwrap().parse().unwrap();
                    assert!(number >= last, "{number} {last}");
                    (asked, last) = (asked + 1, number);
                }
                (asked, last)
            })
        })
        .collect();
    for nth in 1..=50 {
        proxy.reload(|config| config.sites[0].rules = numbered(nth)).unwrap();
        assert_eq!(proxy.get("/a").field("X-One"), Some(nth.to_string().as_str()));
    }
    ended.store(true, Relaxed);
    for client in clients {
        let (asked, last) = client.join().unwrap();
        assert!(asked >= 500 && last <= 50, "{asked} {last}");
    }
}
