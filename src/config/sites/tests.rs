//! Files and flags together: what they make, and what is wrong with them.

use crate::{
    clock::Seconds,
    config::{Config, Surroundings, Task},
    rules::Setting,
};

/// Reads a file of this text with these flags. The errors name the file without its folder.
fn task(text: &str, words: &[&str]) -> Result<Task, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("larder.toml");
    std::fs::write(&path, text).unwrap();
    let always = ["larder", "--config", path.to_str().unwrap()];
    let arguments = crate::cli::Arguments::read([&always, words].concat()).unwrap();
    let surroundings = Surroundings { home: Some("/home/a".into()), cores: 6, ..Surroundings::default() };
    let place = format!("{}/", folder.path().display());
    let plain = |text: String| text.replace(&place, "");
    match Task::new(&arguments, &surroundings) {
        Ok(Task::Show(lines)) => Ok(Task::Show(lines.into_iter().map(plain).collect())),
        task => task.map_err(|errors| errors.iter().map(|error| plain(error.to_string())).collect()),
    }
}

fn config(text: &str, words: &[&str]) -> Config {
    match task(text, words) {
        Ok(Task::Serve(config)) => *config,
        other => panic!("{text}: {other:#?}"),
    }
}

fn errors(text: &str, words: &[&str]) -> Vec<String> {
    task(text, words).map(|_| ()).unwrap_err()
}

fn show(text: &str, words: &[&str]) -> Vec<String> {
    match task(text, &[words, &["config", "show"]].concat()) {
        Ok(Task::Show(lines)) => lines,
        other => panic!("{text}: {other:#?}"),
    }
}

/// The names of the rules of a site, in their order.
fn names(config: &Config, site: usize) -> Vec<&str> {
    config.sites[site].rules.specs().iter().map(|spec| &*spec.name).collect()
}

const API: &str = r#"
origin = "https://api.example.com"
default-ttl = "1h"
ignore-query = ["utm_*"]
[[rule]]
path = "/admin"                  # and everything below it
bypass = true
[[rule]]
path = "/graphql"
methods = ["POST"]               # its body is part of the key
ttl = "60s"                      # in place of what the origin says
[[rule]]
status = 404
ttl = "10s"
"#;

/// The example of config.md without what later versions bring: TLS, several origins, the fleet, the admin address.
const PRODUCTION: &str = r#"
origin = "http://10.0.0.5:8080"
hosts = ["shop.example.com"]     # any other: 421
disk = "50G"
ignore-query = ["utm_*", "gclid", "fbclid"]
stale-if-error = "1d"
stale-while-revalidate = "60s"
[response]
remove = ["X-Powered-By"]
set = { Strict-Transport-Security = "max-age=31536000" }
[[rule]]
path = "/admin"
bypass = true
"#;

/// The example of config.md with host and port in place of a list of addresses.
const MIRROR: &str = r#"
host = "0.0.0.0"
port = 8080
cache-dir = "/srv/mirror"
disk = "500G"
max-object = "20G"
stale-if-error = "7d"
[[site]]
path = "/npm"                    # taken off before the origin is asked
origin = "https://npm.example.org"
[[site]]
path = "/pypi"
origin = "https://pypi.example.org"
[[site]]
path = "/pypi-files"
origin = "https://files.example.org"
[[site]]
path = "/crates"
origin = "https://crates.example.org/crates"
[[rule]]                         # indexes
ttl = "60s"
ignore = ["set-cookie"]
[[rule]]                         # what never changes
path = "/**/*.{tgz,whl,crate,tar.gz}"
ttl = "365d"
[[rule]]
status = 404
ttl = "10s"
"#;

#[test]
fn the_examples_are_what_they_say() {
    let api = config(API, &[]);
    assert_eq!(
        names(&api, 0),
        ["larder.toml", "rule 1 of larder.toml", "rule 2 of larder.toml", "rule 3 of larder.toml"]
    );
    assert_eq!(api.sites[0].origin.url, "https://api.example.com");
    assert_eq!(api.summary(), "ok: 1 site, 3 rules, 1 origin");
    let below = config("origin = 'http://a.example'\nhosts = ['*.Shop.example', 'a:8080']", &[]);
    assert_eq!(below.allow_hosts, ["*.shop.example", "a:8080"]);
    let production = config(PRODUCTION, &[]);
    assert_eq!((&*production.allow_hosts[0], production.store.disk), ("shop.example.com", 50 << 30));
    let set: Vec<Setting> = production.sites[0].rules.specs()[0].set.set().collect();
    assert_eq!(set, [Setting::StaleWhileRevalidate, Setting::IgnoreQuery, Setting::Response]);
    let mirror = config(MIRROR, &[]);
    assert_eq!((&*mirror.listen.host, mirror.listen.port), ("0.0.0.0", 8080));
    assert_eq!(mirror.summary(), "ok: 4 sites, 3 rules, 4 origins");
    assert_eq!((&*mirror.sites[3].path, &*mirror.sites[3].origin.base), ("/crates", "/crates"));
    assert_eq!(names(&mirror, 2), ["rule 1 of larder.toml", "rule 2 of larder.toml", "rule 3 of larder.toml"]);
    assert_eq!(mirror.sites[0].policy.stale_if_error, Seconds(7 * 86_400));
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let both = config("origin = 'http://a.example'\nport = 81\nworkers = 3", &["--port", "82"]);
    assert_eq!((both.listen.port, both.client.workers, both.store.memory), (82, 3, 256 << 20));
    let flags = ["--ignore-query", "a,b", "--key-header", "X-Key", "--sort-query", "--rule", "/x bypass"];
    let both = config(API, &flags);
    let all = [
        "--ignore-query",
        "--key-header",
        "--sort-query",
        "rule 1 of larder.toml",
        "rule 2 of larder.toml",
        "rule 3 of larder.toml",
        "--rule",
    ];
    assert_eq!(names(&both, 0), all);
    assert_eq!(both.sites[0].rules.specs()[0].set.ignore_query, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(both.rules, 4);
    let two = config("origin = 'http://a.example'", &["--rule", "/a bypass", "--rule", "/b ttl=1m"]);
    assert_eq!(names(&two, 0), ["--rule 1", "--rule 2"]);
}

#[test]
fn the_rules_of_a_site_come_after_those_for_all_and_its_preset_before_its_settings() {
    let text = "ttl = '1m'\n[[rule]]\npath = '/a'\nbypass = true\n[[site]]\nhosts = ['a.example', '*.b.example']\n\
                origin = 'http://a.example'\npreset = 'npm'\nttl = '2m'\n[[site.rule]]\npath = '/c'\nttl = '3m'\n";
    let config = config(text, &[]);
    assert_eq!(
        names(&config, 0),
        [
            "larder.toml",
            "rule 1 of larder.toml",
            "rule 1 of preset npm",
            "rule 2 of preset npm",
            "site 1 of larder.toml",
            "rule 1 of site 1 of larder.toml",
        ]
    );
    assert_eq!(config.sites[0].hosts, ["a.example", "*.b.example"]);
    assert!(config.store.folder.to_string_lossy().starts_with("/home/a/.cache/larder/larder.toml-"));
}

#[test]
fn a_value_of_the_file_is_checked_as_that_of_a_flag_and_every_error_is_told() {
    let text = "origin = 'http://a.example'\ndisk = '10X'\nmemory = '1M'\nport = 70000\nconnect-timeout = '0s'\nhead-timeout = '1M'\n\
                hosts = ['a/b']\nmax-head = '4K'\n";
    assert_eq!(
        errors(text, &["--min-rate", "fast"]),
        [
            "invalid --max-target \"8KiB\": expected at most 4 KiB (larder.toml:8: max-head); lower it, or raise \
             larder.toml:8: max-head",
            "invalid --min-rate \"fast\": expected a size such as 512K, 1.5G or 10GiB",
            "larder.toml:2: disk \"10X\": unknown unit X (use B, K, M, G or T)",
            "larder.toml:3: memory \"1M\": expected at least 64 MiB, or 0B to keep all responses on disk",
            "larder.toml:4: port \"70000\": expected 0 to 65535",
            "larder.toml:5: connect-timeout \"0s\": expected more than 0s, for example 30s",
            "larder.toml:6: head-timeout \"1M\": unknown unit M (use ms, s, m, h, d or w)",
            "larder.toml:7: hosts \"a/b\": expected a host name, for example example.com, *.example.com or example.com:8080",
        ]
    );
}

#[test]
fn what_is_wrong_with_rules_and_sites_is_told_with_its_line() {
    let origin = "origin = 'http://a.example'\n";
    for (text, words, expected) in [
        (
            "[[rule]]\nstatus = 404\nbypass = true",
            &[][..],
            &[
                "larder.toml:4: bypass: a rule with `status` is about the answer: `bypass` is decided before the origin is \
               asked; put it into a rule without `status`",
            ][..],
        ),
        (
            "[[rule]]\npath = '/a{b'\nttl = '1s'",
            &[],
            &["larder.toml:3: path \"/a{b\": unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"],
        ),
        (
            "[[rule]]\npath = '/a'",
            &[],
            &[
                "larder.toml:2: rule 1 of larder.toml: it sets nothing; expected a setting, for example ttl = \"10m\" or \
               bypass = true",
            ],
        ),
        (
            "[[rule]]\npath = '*.css'\nmethods = 'get'\nttl = '1s'",
            &[],
            &[
                "larder.toml:3: path \"*.css\": expected \"/\" in front, for example \"/**/*.css\"",
                "larder.toml:4: methods \"get\": expected a method in capitals, for example \"GET\"",
            ],
        ),
        (
            "[response]\nremove = 'Age'",
            &[],
            &["larder.toml:2: response: age: Larder writes this field itself; expected another one"],
        ),
        (
            "ttl = '1s'",
            &["--strict"],
            &["larder.toml:2: ttl: it replaces the origin's TTL, which --strict does not allow"],
        ),
        (
            "strict = true\n[[rule]]\nttl = '1s'",
            &[],
            &["larder.toml:4: ttl: it replaces the origin's TTL, which larder.toml:2: strict does not allow"],
        ),
        (
            "preset = 'docker'",
            &["--strict"],
            &["larder.toml:2: ttl: it replaces the origin's TTL, which --strict does not allow"],
        ),
        (
            "",
            &["--rule", "/a{b bypass", "--rule", "ttl=60", "--ignore-query", "{"],
            &[
                "invalid --rule \"ttl=60\": ttl \"60\": missing unit (use ms, s, m, h, d or w)",
                "invalid --ignore-query \"{\": unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
                "invalid --rule \"/a{b bypass\": path \"/a{b\": unclosed alternate group; missing '}' (maybe escape '{' with \
                 '[{]'?)",
            ],
        ),
        (
            "[[site]]\norigin = 'http://b'",
            &[],
            &["larder.toml:1: origin: the sites of the file have origins of their own; leave this one out"],
        ),
    ] {
        assert_eq!(errors(&format!("{origin}{text}"), words), expected, "{text}");
    }
    for (text, expected) in [
        (
            "port = 1",
            &["larder.toml: missing origin: the site to cache, for example origin = \"http://example.com\""][..],
        ),
        (
            "[[site]]\norigin = 'http://a'\n[[site]]\norigin = 'http://b'\npath = '/x'\n[[site]]\norigin = 'http://c'\npath = '/'",
            &[
                "larder.toml:6: site 3 of larder.toml: it is the same as the one at line 1; expected a host or a path of its own",
            ],
        ),
        (
            "[[site]]\norigin = 'http://a'\nhosts = ['a', 'b']\n[[site]]\norigin = 'http://b'\nhosts = ['B', 'c']",
            &[
                "larder.toml:4: site 2 of larder.toml: it is the same as the one at line 1; expected a host or a path of its own",
            ],
        ),
        (
            "[[site]]\norigin = 'a'\n[[site]]\npath = '/x'\norigin = 'http://169.254.169.254'",
            &[
                "larder.toml:2: origin \"a\": missing scheme; write http://a or https://a",
                "larder.toml:5: origin \"http://169.254.169.254\": link-local and cloud metadata addresses can give away \
                 credentials; choose another address, or allow this one with --allow-link-local-origin",
            ],
        ),
        (
            "[[rule]]\npath = '/a{b'\nbypass = true\n[[site]]\norigin = 'http://a'\n[[site]]\npath = '/x'\norigin = 'http://b'",
            &["larder.toml:2: path \"/a{b\": unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"],
        ),
    ] {
        assert_eq!(errors(text, &[]), expected, "{text}");
    }
}

#[test]
fn a_long_value_is_cut_in_an_error() {
    let origin = "origin = 'http://a.example'\ncache-dir = '/x'\n";
    let long = "x".repeat(20_000);
    for text in [
        format!("[[rule]]\npath = '/{long}{{'\nbypass = true"),
        format!("[[rule]]\npath = '/[z-a]{long}'\nbypass = true"),
        format!("[[rule]]\npath-regex = '({long}'\nbypass = true"),
        format!("[[rule]]\npath-regex = '(\\w{{500}}){{500}}{long}'\nbypass = true"),
        format!("[[rule]]\nheader = {{ a = '{{{long}' }}\nbypass = true"),
        format!("ignore-query = '{{{long}'"),
        format!("disk = '{long}'"),
        format!("hosts = '{long}/'"),
        format!("[[rule]]\n{long} = 1"),
        format!("[[rule]]\nrewrite = {{ from = '({long}', to = '/' }}"),
    ] {
        let errors = errors(&format!("{origin}{text}"), &[]);
        let is_short = errors.iter().all(|error| error.len() < 500 && error.starts_with("larder.toml:"));
        assert!(
            is_short && errors.len() == 1,
            "{:.60}: {:?}",
            text,
            errors.iter().map(|e| format!("{e:.700}")).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_setting_that_may_poison_the_cache_is_a_warning() {
    let text = "origin = 'http://a.example'\nignore-query = 'a'\nforward-ignored-query = true";
    let warnings = config(text, &[]).warnings;
    assert!(warnings.len() == 1 && warnings[0].starts_with("larder.toml: forward-ignored-query sends"), "{warnings:?}");
    assert_eq!(config(API, &[]).warnings, [""; 0]);
}

#[test]
fn checking_needs_the_origin_and_reads_the_file_that_is_named() {
    assert!(matches!(task(API, &["check"]), Ok(Task::Check { connect: false, .. })));
    assert_eq!(errors(API, &["check", "/no/such.toml"]).len(), 1);
    assert!(errors(API, &["check", "/no/such.toml"])[0].starts_with("invalid FILE \"/no/such.toml\": cannot be read"));
}

#[test]
fn what_is_set_is_shown_with_its_source_and_reads_as_the_same() {
    let lines = show(API, &["--port", "81", "--ignore-query", "q"]);
    for line in [
        "port = 81                                # --port",
        "host = \"127.0.0.1\"                       # default",
        "origin = \"https://api.example.com\"       # larder.toml:2",
        "default-ttl = \"1h\"                       # larder.toml:3",
        "max-object = \"2560MiB\"                   # default",
        "workers = 6                              # default",
        "hosts = []                               # default",
        "strict = false                           # default",
        "verbose = 0                              # default",
        "[[rule]]                                 # --ignore-query",
        "[[rule]]                                 # rule 2 of larder.toml",
        "path = [\"/graphql\"]",
        "methods = [\"POST\"]",
        "ttl = \"1m\"",
    ] {
        assert!(lines.iter().any(|shown| shown == line), "{line}\n{}", lines.join("\n"));
    }
    for (text, words) in [(API, &["--port", "81", "--rule", "/x ttl=1m"][..]), (PRODUCTION, &[]), (MIRROR, &[])] {
        let (before, shown) = (config(text, words), show(text, words).join("\n"));
        let after = config(&shown, &[]);
        for (one, other) in before.sites.iter().zip(&after.sites) {
            let plain = |site: &crate::config::Site| {
                let rules = site.rules.specs().iter().map(|spec| (spec.when.clone(), spec.set.clone()));
                (site.hosts.clone(), site.path.clone(), site.origin.clone(), rules.collect::<Vec<_>>())
            };
            assert_eq!(plain(one), plain(other), "{shown}");
        }
        assert_eq!(format!("{:?}", before.store), format!("{:?}", after.store), "{shown}");
        assert_eq!((before.listen, before.allow_hosts), (after.listen, after.allow_hosts), "{shown}");
    }
}

#[test]
fn a_preset_is_shown_in_full() {
    let shown = show("[[site]]\npath = '/npm'\norigin = 'http://npm.example'\npreset = 'npm'", &[]).join("\n");
    let rule = "\n\n[[site.rule]]                            # rule 2 of preset npm\npath = [\"/**/*.tgz\"]\ndefault-ttl = \
                \"7d\"\nignore = [\"set-cookie\"]";
    assert!(shown.contains(rule), "{shown}");
    assert!(shown.contains("\n[[site]]                                 # larder.toml:1\npath = \"/npm\""), "{shown}");
}

/// The examples of a page: its blocks of TOML.
fn examples(page: &str) -> Vec<&str> {
    page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_of_the_documents_is_valid() {
    let pages = [include_str!("../../../README.md"), include_str!("../../../docs/configuration.md")];
    let all: Vec<&str> = pages.into_iter().flat_map(examples).collect();
    assert!(all.len() >= 4, "{all:?}");
    for text in all {
        config(text, &[]);
    }
}

#[test]
fn the_page_of_the_file_names_every_condition_setting_and_preset() {
    let page = include_str!("../../../docs/configuration.md");
    let rows: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    let named = |word: &str| rows.iter().any(|row| row.contains(&format!("`{word}`")));
    for setting in Setting::ALL {
        assert!(named(setting.as_str()), "docs/configuration.md has no row for {setting}");
        let of_request = rows.iter().any(|row| row.contains(&format!("`{setting}` *")));
        assert_eq!(of_request, setting.stage() == crate::rules::Stage::Request, "the star of {setting}");
    }
    let conditions = ["path", "path-regex", "methods", "header", "query", "status", "content-type"];
    assert!(conditions.iter().all(|word| named(word)));
    assert!(["apt", "pip", "npm", "cargo", "docker", "maven"].iter().all(|name| page.contains(&format!("\"{name}\""))));
}
