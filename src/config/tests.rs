use std::time::Duration;

use super::*;
use crate::{
    cli::Arguments,
    clock::Seconds,
    proxy::HostMode,
    units::{self, show_size},
};

fn task(words: &[&str]) -> Result<Task, Vec<ConfigError>> {
    let arguments = Arguments::read([&["larder"], words].concat()).unwrap();
    Task::new(&arguments, &Surroundings { home: Some("/home/a".into()), cores: 6, ..Surroundings::default() })
}

fn config(words: &[&str]) -> Config {
    match task(&[&["--origin", "http://a.example"], words].concat()).unwrap() {
        Task::Serve(config) => *config,
        other => panic!("{other:?}"),
    }
}

fn error(words: &[&str]) -> String {
    let errors = task(&[&["--origin", "http://a.example"], words].concat()).unwrap_err();
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(errors.len() == 1 && errors[0].lines().count() == 1, "{errors:?}");
    errors.concat()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = config(&[]);
    assert_eq!(config.listen, Listen { host: "127.0.0.1".into(), port: 3000 });
    assert_eq!((config.client.workers, config.client.shutdown_timeout), (6, Duration::from_secs(30)));
    assert_eq!(
        (config.store.memory, config.store.disk, config.store.max_object),
        (256 << 20, 10 << 30, (10 << 30) / 4)
    );
    assert!(config.store.folder.starts_with("/home/a/.cache/larder"));
    let policy = &config.sites[0].policy;
    assert_eq!(
        (policy.default_ttl, policy.strict, policy.client_reload, policy.ignore_cookies),
        (Seconds(3600), false, false, false)
    );
    let origin = &config.sites[0].origin_client;
    assert_eq!(
        [origin.connect_timeout, origin.first_byte_timeout, origin.between_bytes_timeout].map(|d| d.as_secs()),
        [5, 60, 60]
    );
    let client = &config.client;
    assert_eq!(
        [client.head_timeout, client.keep_alive, client.body_timeout, client.write_timeout].map(|d| d.as_secs()),
        [10, 75, 30, 60]
    );
    assert_eq!((client.max_head, client.max_target, client.max_fields), (32 << 10, 8 << 10, 96));
    assert_eq!((client.max_age.as_secs(), client.max_requests, client.min_rate), (3600, 10_000, 500));
    assert_eq!((client.drain_limit, client.drain_timeout.as_secs()), (64 << 10, 5));
    assert_eq!(origin.settle, Duration::from_millis(2));
    assert_eq!((origin.idle_timeout.as_secs(), origin.max_connections, origin.max_streams), (30, 512, 4096));
    assert_eq!((client.max_connections, client.max_connections_per_address), (10_000, 1024));
    assert!(config.allow_hosts.is_empty());
}

#[test]
fn the_largest_object_follows_the_disk() {
    assert_eq!(config(&["--disk", "1G"]).store.max_object, 256 << 20);
    assert_eq!(config(&["--disk", "1G", "--max-object", "1G"]).store.max_object, 1 << 30);
    assert_eq!(
        error(&["--disk", "1G", "--max-object", "2G"]),
        "invalid --max-object \"2G\": expected at most 1 GiB (--disk); lower it, or raise --disk"
    );
}

#[test]
fn fewer_connections_than_one_address_may_have_is_no_error() {
    assert_eq!(config(&["--max-connections", "100"]).client.max_connections_per_address, 100);
}

#[test]
fn limits_that_can_be_turned_off_take_zero() {
    let config = config(&["--origin-keep-alive", "0s", "--min-rate", "0B", "--drain-limit", "0B"]);
    assert_eq!((config.sites[0].origin_client.idle_timeout, config.client.min_rate), (Duration::ZERO, 0));
    assert_eq!(config.client.drain_limit, 0);
}

#[test]
fn listening_addresses_may_stand_with_and_without_brackets() {
    for typed in ["::1", "[::1]"] {
        assert_eq!(config(&["--host", typed]).listen.host, "::1");
    }
    assert_eq!(config(&["--host", "Localhost", "--port", "0"]).listen, Listen { host: "localhost".into(), port: 0 });
}

#[test]
fn allowed_hosts_are_in_the_form_that_targets_have() {
    let config = config(&["--allow-host", "Example.COM.,b:8080", "--allow-host", "[::1]"]);
    assert_eq!(config.allow_hosts, ["example.com", "b:8080", "[::1]"]);
}

#[test]
fn w20_the_host_that_the_origin_hears_follows_the_origin_or_the_flag() {
    let mode = |words: &[&str]| config(words).sites[0].host_mode.clone();
    assert_eq!(mode(&[]), HostMode::Origin);
    assert_eq!(mode(&["--host-header", "client"]), HostMode::Client);
    assert_eq!(mode(&["--host-header", "Auto"]), HostMode::Origin);
    assert_eq!(mode(&["--host-header", "App.Example:8080"]), HostMode::Named("app.example:8080".to_owned()));
    let Task::Serve(beside) = task(&["--origin", "http://127.0.0.1:8000"]).unwrap() else { panic!() };
    assert_eq!((&beside.sites[0].host_mode, beside.sites[0].forward_client), (&HostMode::Client, false));
}

#[test]
fn w21_nobody_is_trusted_by_default() {
    let trusted =
        |words: &[&str], address: &str| config(words).client.trusted_proxies.contains(address.parse().unwrap());
    assert!(!trusted(&[], "127.0.0.1"));
    let two = ["--trusted-proxy", "10.0.0.0/8, ::1", "--trusted-proxy", "127.0.0.1"];
    assert!(trusted(&two, "10.9.9.9") && trusted(&two, "::1") && trusted(&two, "127.0.0.1"));
    assert!(!trusted(&two, "192.0.2.1"));
}

#[test]
fn an_invalid_host_header_or_trusted_proxy_says_what_was_expected() {
    let proxy = "expected an address or a network, for example 127.0.0.1 or 10.0.0.0/8";
    let host = "expected auto, client, origin or a host name, for example app.example.com";
    for (words, expected) in [
        (["--trusted-proxy", "10.0.0.0/40"], format!("invalid --trusted-proxy \"10.0.0.0/40\": {proxy}")),
        (["--trusted-proxy", "unix:"], format!("invalid --trusted-proxy \"unix:\": {proxy}")),
        (["--trusted-proxy", ""], format!("invalid --trusted-proxy \"\": {proxy}")),
        (["--host-header", "x y"], format!("invalid --host-header \"x y\": {host}")),
        (["--host-header", ""], format!("invalid --host-header \"\": {host}")),
        (["--host-header", "http://a"], format!("invalid --host-header \"http://a\": {host}")),
    ] {
        assert_eq!(error(&words), expected);
    }
}

#[test]
fn what_is_not_valid_names_the_flag_what_is_wrong_and_what_would_be_right() {
    for (words, expected) in [
        (&["--port", "http"][..], "invalid --port \"http\": expected 0 to 65535"),
        (&["--port", "70000"], "invalid --port \"70000\": expected 0 to 65535"),
        (&["--port", "+80"], "invalid --port \"+80\": expected 0 to 65535"),
        (&["--workers", "0"], "invalid --workers \"0\": expected 1 to 1024"),
        (
            &["--host", "a b"],
            "invalid --host \"a b\": expected an address of this machine, for example 127.0.0.1, 0.0.0.0 or ::1",
        ),
        (&["--memory", "256"], "invalid --memory \"256\": missing unit (use B, K, M, G or T)"),
        (
            &["--memory", "63MiB"],
            "invalid --memory \"63MiB\": expected at least 64 MiB, or 0B to keep all responses on disk",
        ),
        (&["--disk", "1M"], "invalid --disk \"1M\": expected at least 16 MiB"),
        (&["--disk", "10X"], "invalid --disk \"10X\": unknown unit X (use B, K, M, G or T)"),
        (&["--disk", "much"], "invalid --disk \"much\": expected a size such as 512K, 1.5G or 10GiB"),
        (&["--default-ttl", "1M"], "invalid --default-ttl \"1M\": unknown unit M (use ms, s, m, h, d or w)"),
        (&["--default-ttl=-1s"], "invalid --default-ttl \"-1s\": expected a time such as 30s, 1h30m, 2d or 1w"),
        (
            &["--default-ttl", "1500ms"],
            "invalid --default-ttl \"1500ms\": expected whole seconds, for example 1s or 0s",
        ),
        (&["--connect-timeout", "0s"], "invalid --connect-timeout \"0s\": expected more than 0s, for example 30s"),
        (&["--drain-timeout", "0s"], "invalid --drain-timeout \"0s\": expected more than 0s, for example 30s"),
        (
            &["--max-connection-age", "0s"],
            "invalid --max-connection-age \"0s\": expected more than 0s, for example 30s",
        ),
        (&["--max-connection-requests", "0"], "invalid --max-connection-requests \"0\": expected 1 to 1000000000"),
        (&["--origin-connections", "0"], "invalid --origin-connections \"0\": expected 1 to 1000000"),
        (&["--origin-streams", "many"], "invalid --origin-streams \"many\": expected 0 to 1000000"),
        (&["--max-fields", "257"], "invalid --max-fields \"257\": expected 1 to 256"),
        (&["--max-head", "1M"], "invalid --max-head \"1M\": expected a size from 1 KiB to 128 KiB"),
        (
            &["--max-head", "4K"],
            "invalid --max-target \"8KiB\": expected at most 4 KiB (--max-head); lower it, or raise --max-head",
        ),
        (
            &["--allow-host", "a/b"],
            "invalid --allow-host \"a/b\": expected a host name, for example example.com, *.example.com or example.com:8080",
        ),
        (
            &["--origin-ca", "/no/such.pem"],
            "invalid --origin-ca \"/no/such.pem\": cannot be read: No such file or directory (os error 2); expected a file of PEM certificates",
        ),
    ] {
        assert_eq!(error(words), expected);
    }
}

#[test]
fn an_origin_at_a_link_local_address_is_refused_unless_it_is_allowed() {
    for address in ["169.254.169.254", "169.254.0.1:8080", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:169.254.1.1]:80"] {
        let url = format!("http://{address}/base");
        let refused = task(&["--origin", &url]).unwrap_err().remove(0);
        assert_eq!(refused.setting, "--origin");
        assert!(refused.problem.ends_with("allow this one with --allow-link-local-origin"), "{}", refused.problem);
        let allowed = task(&["--origin", &url, "--allow-link-local-origin"]).unwrap();
        assert!(matches!(allowed, Task::Serve(config) if config.sites[0].origin_client.allow_link_local), "{address}");
        // an earlier run may have allowed the address and filled the cache
        assert!(matches!(task(&["--origin", &url, "--clear-cache"]), Ok(Task::Clear(_))));
    }
    assert!(!config(&[]).sites[0].origin_client.allow_link_local);
}

#[test]
fn an_origin_is_required_for_serving_only() {
    let missing = task(&["--strict"]).unwrap_err().remove(0);
    assert_eq!(missing.setting, "--origin");
    assert_eq!(missing.to_string(), "missing --origin: the site to cache, for example --origin http://example.com");
    assert!(
        matches!(task(&["--clear-cache"]).unwrap(), Task::Clear(Folders::Below(below)) if below.as_os_str() == "/home/a/.cache/larder")
    );
    assert!(matches!(
        task(&["stats", "--json"]).unwrap(),
        Task::Stats { folders: Folders::Below(_), json: true, all: false, watch: false, since: None }
    ));
    assert_eq!(task(&["--origin", "dummyjson.com", "--clear-cache"]).unwrap_err()[0].setting, "--origin");
}

#[test]
fn clearing_an_origin_means_the_folder_that_serving_it_uses() {
    let served = config(&[]).store.folder;
    assert!(matches!(
        task(&["--clear-cache", "--origin", "HTTP://A.example:80/"]).unwrap(),
        Task::Clear(Folders::One(folder)) if folder == served
    ));
    assert!(matches!(
        task(&["--clear-cache", "--origin", "http://a.example", "--cache-dir", "/c"]).unwrap(),
        Task::Clear(Folders::One(folder)) if folder.as_os_str() == "/c"
    ));
}

#[test]
fn without_a_place_for_caches_the_user_is_told_to_name_one() {
    let arguments = Arguments::read(["larder", "--origin", "http://a"]).unwrap();
    let error = Task::new(&arguments, &Surroundings::default()).unwrap_err().remove(0);
    assert_eq!(
        error.to_string(),
        "missing --cache-dir: neither XDG_CACHE_HOME nor HOME is set; name a folder, for example --cache-dir /var/cache/larder"
    );
}

proptest::proptest! {
    #[test]
    fn no_text_at_all_breaks_a_parser_or_its_one_line_of_error(text in "(https?://)?(\\PC|[\\[\\]:/?#@.0-9a-c\\n]){0,30}") {
        for error in [Origin::parse(&text).err(), units::size(&text).err(), units::duration(&text).err()].into_iter().flatten() {
            assert_eq!(error.lines().count(), 1, "{error:?}");
        }
    }

    #[test]
    fn a_url_in_its_normal_form_stays_as_it_is(text in "https?://[a-zA-Z0-9.:\\[\\]-]{1,20}(/[a-z/%.]{0,8})?") {
        if let Ok(origin) = Origin::parse(&text) {
            assert_eq!(Origin::parse(&origin.url), Ok(origin));
        }
    }

    #[test]
    fn a_size_that_was_read_is_shown_as_one_that_reads_the_same(n in 0u64..1024, half in "(\\.5)?", unit in "[kmgtKMGT]") {
        let bytes = units::size(&format!("{n}{half}{unit}")).unwrap();
        assert_eq!(units::size(&show_size(bytes)), Ok(bytes));
    }
}
