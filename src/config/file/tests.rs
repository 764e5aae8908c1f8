use super::*;
use crate::{
    clock::Seconds,
    rules::{Settings, Stage},
};

fn file(text: &str) -> File {
    File::parse("/etc/larder.toml", text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}"))
}

fn errors(text: &str) -> Vec<String> {
    let errors = File::parse("larder.toml", text).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_holds_flags_settings_rules_and_sites() {
    let file = file(
        r#"
port = 8080
hosts = "shop.example.com"
strict = false
ignore-query = ["utm_*"]
ttl = "10m"

[response]
remove = ["X-Powered-By"]

[[rule]]
path = "/admin"
bypass = true

[[rule]]
path = ["/a", "/b"]
max-object = "20M"

[[site]]
hosts = ["A.example", "*.b.example"]
path = "/npm/"
origin = "https://npm.example.org"
negative-ttl = "5s"

[[site.rule]]
status = 404
ttl = "10s"
"#,
    );
    let flags: Vec<_> = file.flags.iter().map(|flag| (&*flag.field, &*flag.values[0], &*flag.place)).collect();
    let place = |line| format!("/etc/larder.toml:{line}");
    assert_eq!(
        flags,
        [("port", "8080", &*place(2)), ("allow_host", "shop.example.com", &place(3)), ("strict", "false", &place(4))]
    );
    let settings = &file.rules.settings;
    assert_eq!((&*settings.spec.name, settings.spec.set.ttl), ("larder.toml", Some(Seconds(600))));
    assert_eq!(settings.spec.set.response.as_ref().unwrap().remove[0], "x-powered-by");
    assert_eq!([settings.line("ttl"), settings.line("response")], [6, 8]);
    let names: Vec<_> = file.rules.rules.iter().map(|rule| (&*rule.spec.name, rule.line(""))).collect();
    assert_eq!(names, [("rule 1 of larder.toml", 11), ("rule 2 of larder.toml", 15)]);
    assert_eq!(file.rules.rules[1].spec.when.path, ["/a", "/b"]);
    let site = &file.sites[0];
    assert_eq!((site.hosts.join(" "), &*site.path, site.line), ("a.example *.b.example".to_owned(), "/npm", 19));
    assert_eq!(site.origin, Some(("https://npm.example.org".to_owned(), 22)));
    assert_eq!(&*site.rules.settings.spec.name, "site 1 of larder.toml");
    assert_eq!(&*site.rules.rules[0].spec.name, "rule 1 of site 1 of larder.toml");
}

#[test]
fn every_setting_can_be_written_in_a_rule_and_reads_as_it_is_shown() {
    let text = r#"
bypass = true
no-store = false
ttl = "10m"
min-ttl = "90s"
max-ttl = "0s"
default-ttl = "1h"
negative-ttl = "1s"
stale-while-revalidate = "1m"
stale-if-error = "7d"
force-stale = true
max-object = "1KiB"
ignore = ["no-store", "vary"]
tags = ["product"]
tag-header = "surrogate-key"
forward-tags = true
ignore-query = ["utm_*"]
only-query = ["q"]
sort-query = true
forward-ignored-query = true
key-headers = ["authorization"]
key-cookies = ["lang"]
ignore-host = true
response = { remove = ["x-a"], set = { "x-b" = "c" }, add = { "x-d" = "e" } }
rewrite = { from = '^/v1/(\d*)', to = "/$1" }
"#;
    let set = file(&format!("[[rule]]{text}")).rules.rules.remove(0).spec.set;
    let shown: Vec<_> = set.set().map(|setting| set.written(setting)).collect();
    assert_eq!(shown.join("\n"), text.trim());
    assert_eq!(shown.len(), crate::rules::Setting::ALL.len());
    let of_answers: String = shown
        .iter()
        .zip(set.set())
        .filter(|(_, of)| of.stage() == Stage::Answer)
        .map(|(line, _)| format!("{line}\n"))
        .collect();
    let site = format!("[[site]]\norigin = \"http://a\"\n{of_answers}");
    assert_ne!(file(&site).sites[0].rules.settings.spec.set, Settings::default());
}

#[test]
fn one_value_stands_for_a_list_of_one_and_tracking_for_many_names() {
    let set = |text: &str| file(text).rules.settings.spec.set;
    assert_eq!(set("ignore-query = 'a'"), set("ignore-query = ['a']"));
    assert_eq!(set("key-headers = 'Authorization'"), set("key-headers = ['authorization']"));
    let tracking = set("ignore-query = ['@tracking', 'session']").ignore_query.unwrap();
    assert!(["utm_*", "gclid", "fbclid", "session"].iter().all(|name| tracking.contains(&(*name).to_owned())));
    let conditions = file("[[rule]]\nstatus = 404\nmethods = 'GET'\nttl = '1s'").rules.rules.remove(0).spec.when;
    assert_eq!((conditions.status, conditions.methods), (vec![404], vec!["GET".to_owned()]));
}

#[test]
fn a_preset_stands_before_the_settings_of_its_site() {
    let text = "preset = 'apt'\n[[site]]\npath = '/npm'\norigin = 'http://a'\npreset = 'npm'\nttl = '1m'\n";
    let file = file(text);
    assert_eq!((&*file.rules.preset[0].spec.name, file.rules.preset[0].line("path")), ("rule 1 of preset apt", 1));
    let rules = &file.sites[0].rules;
    assert_eq!((&*rules.preset[1].spec.name, rules.preset[1].line("")), ("rule 2 of preset npm", 5));
}

#[test]
fn every_error_of_the_form_is_one_line_with_its_place_and_the_way_out() {
    for (text, expected) in [
        ("[[rule]]\npath = '/'\n\ntll = '60s'", "larder.toml:4: unknown setting \"tll\" in a rule: did you mean ttl?"),
        ("[[rule]]\nttl = '60'", "larder.toml:2: ttl \"60\": missing unit (use ms, s, m, h, d or w)"),
        ("[[rule]]\nttl = 60", "larder.toml:2: ttl \"60\": missing unit (use ms, s, m, h, d or w)"),
        ("ttl = '1500ms'", "larder.toml:1: ttl \"1500ms\": expected whole seconds, for example 1s or 0s"),
        ("ttl = true", "larder.toml:1: ttl \"true\": expected a time with a unit, for example \"10m\""),
        (
            "ttl = 1.5",
            "larder.toml:1: ttl: expected a time with a unit, for example \"10m\", not a number with a point",
        ),
        ("ttl = ['1s']", "larder.toml:1: ttl: expected a time with a unit, for example \"10m\", not a list"),
        ("max-object = {}", "larder.toml:1: max-object: expected a text or a number, not a table"),
        ("bypass = 'yes'", "larder.toml:1: bypass \"yes\": expected true or false"),
        ("strict = 'yes'", "larder.toml:1: strict \"yes\": expected true or false"),
        ("verbose = 300", "larder.toml:1: verbose \"300\": expected a number from 0 to 255"),
        (
            "ignore = ['cookies']",
            "larder.toml:1: ignore \"cookies\": expected one of no-store, private, no-cache, set-cookie, authorization, vary",
        ),
        (
            "ignore-query = ['@ads']",
            "larder.toml:1: ignore-query \"@ads\": unknown list of parameters; expected \"@tracking\"",
        ),
        (
            "key-headers = ['a b']",
            "larder.toml:1: key-headers \"a b\": expected the name of a header, for example \"Accept\"",
        ),
        ("preset = 'gem'", "larder.toml:1: preset \"gem\": expected one of apt, pip, npm, cargo, docker, maven"),
        ("preset = 1", "larder.toml:1: preset \"1\": expected one of apt, pip, npm, cargo, docker, maven"),
        ("[rule]\nttl = '1s'", "larder.toml:1: rule: expected two brackets: [[rule]]"),
        ("rule = ['/a']", "larder.toml:1: rule: expected two brackets: [[rule]]"),
        (
            "[[rule]]\nbypass = true\ndisk = '5G'",
            "larder.toml:3: disk cannot be set in a rule: write it at the top of the file, above the first [ or [[",
        ),
        (
            "[[site]]\norigin = 'http://a'\nport = 1",
            "larder.toml:3: port cannot be set in a site: write it at the top of the file, above the first [ or [[",
        ),
        ("path = '/a'", "larder.toml:1: path cannot be set at the top of the file"),
        ("dsik = '5G'", "larder.toml:1: unknown setting \"dsik\" at the top of the file: did you mean disk?"),
        ("allow-host = 'a'", "larder.toml:1: unknown setting allow-host at the top of the file: write hosts"),
        ("key-header = 'a'", "larder.toml:1: unknown setting key-header at the top of the file: write key-headers"),
        (
            "clear-cache = true",
            "larder.toml:1: unknown setting clear-cache at the top of the file: this is a command, not a setting; run larder --clear-cache",
        ),
        ("listen-tls = ['a']", "larder.toml:1: this version of Larder does not have listen-tls yet"),
        (
            "listen = ['a']",
            "larder.toml:1: this version of Larder does not have listen yet; write host and port, for example host = \"0.0.0.0\" and port = 8080",
        ),
        ("[[certificate]]\ncert = 'a'", "larder.toml:1: this version of Larder does not have certificate yet"),
        ("[admin]\nlisten = 'a'", "larder.toml:1: this version of Larder does not have admin yet"),
        ("[shared]\nurl = 'a'", "larder.toml:1: this version of Larder does not have shared yet"),
        (
            "[origin]\nurls = ['http://a']",
            "larder.toml:1: origin: this version of Larder has one origin for each site; write origin = \"http://host\"",
        ),
        (
            "[[site]]\npath = '/a'",
            "larder.toml:1: missing origin: each site needs one, for example origin = \"http://127.0.0.1:8000\"",
        ),
        (
            "[[site]]\norigin = 'http://a'\npath = 'a'",
            "larder.toml:3: path \"a\": expected the beginning of a path, for example \"/npm\"",
        ),
        (
            "[[site]]\norigin = 'http://a'\nhosts = ['a', 'b c']",
            "larder.toml:3: hosts \"b c\": expected a host name, for example \"example.com\" or \"*.example.com\"",
        ),
        ("[[rule]]\nstatus = ['ok']", "larder.toml:2: status \"ok\": expected a status, for example 404"),
        (
            "[[rule]]\nheader = 'a'",
            "larder.toml:2: header \"a\": expected a table, for example header = { accept = \"*json*\" }",
        ),
        ("[response]\nremoves = []", "larder.toml:2: response.removes: expected remove, set or add"),
        ("[response]\n\"a\\nb\" = []", "larder.toml:2: response.a\\nb: expected remove, set or add"),
        ("[response.set]\nX = \"ä\"", "larder.toml:2: response.set \"ä\": expected printable ASCII"),
        (
            "[[rule]]\nrewrite = { from = 'a' }",
            "larder.toml:2: rewrite: expected a table, for example { from = \"^/v1/(.*)\", to = \"/$1\" }",
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
    assert_eq!(
        errors(
            "[response]\nremove = ['a b', 'X', 'c d']\nadds = 1\nset = { X = \"ä\", Y = \"ok\", \"Z Z\" = 'a' }\n[[rule]]\n\
             ignore = ['a', 'vary', 'b']"
        ),
        [
            "larder.toml:2: response.remove \"a b\": expected the name of a header, for example \"Accept\"",
            "larder.toml:2: response.remove \"c d\": expected the name of a header, for example \"Accept\"",
            "larder.toml:3: response.adds: expected remove, set or add",
            "larder.toml:4: response.set \"ä\": expected printable ASCII",
            "larder.toml:4: response.set: \"Z Z\" cannot be the name of a header",
            "larder.toml:6: ignore \"a\": expected one of no-store, private, no-cache, set-cookie, authorization, vary",
            "larder.toml:6: ignore \"b\": expected one of no-store, private, no-cache, set-cookie, authorization, vary",
        ]
    );
    let long = errors("[[rule]]\nqqqqqqq = 1");
    assert!(
        long[0].starts_with(
            "larder.toml:2: unknown setting \"qqqqqqq\" in a rule: expected one of path, path-regex, methods"
        ),
        "{long:?}"
    );
}

#[test]
fn all_errors_are_told_in_the_order_of_their_lines() {
    let text = "tll = '1s'\n[[rule]]\nttl = 'soon'\nbypass = 1\n[[site]]\nhosts = 1\n";
    let lines: Vec<_> =
        errors(text).iter().map(|error| error.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "larder.toml:1 unknown setting \"tll\" at the top of the file",
            "larder.toml:3 ttl \"soon\"",
            "larder.toml:4 bypass \"1\"",
            "larder.toml:5 missing origin",
            "larder.toml:6 hosts \"1\"",
        ]
    );
    let slips = errors("a = \nb = 1\nb = 2\n");
    assert!(slips.len() == 2 && slips.iter().all(|slip| slip.contains(": invalid TOML: ")), "{slips:?}");
}

#[test]
fn what_is_no_file_of_text_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str, content: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = File::read(&path, "--config").unwrap_err().remove(0).to_string();
        error.replace(&*folder.path().to_string_lossy(), "DIR")
    };
    let large = vec![b'#'; (1 << 20) + 1];
    for (name, content, expected) in [
        (
            "none.toml",
            None,
            "invalid --config \"DIR/none.toml\": cannot be read: No such file or directory (os error 2); expected a file \
             of TOML, for example larder.toml",
        ),
        ("", None, "invalid --config \"DIR/\": it is a folder; expected a file of TOML, for example larder.toml"),
        (
            "large.toml",
            Some(&large[..]),
            "invalid --config \"DIR/large.toml\": it is too large; expected at most 1 MiB",
        ),
        (
            "latin.toml",
            Some(b"# a\n# \xe4\n"),
            "invalid --config \"DIR/latin.toml\": line 2 is not UTF-8; save the file as UTF-8",
        ),
    ] {
        assert_eq!(error(name, content), expected);
    }
    let pipe = folder.path().join("pipe.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for (name, kind) in [("pipe.toml", "a pipe"), ("/dev/null", "a device")] {
        let expected = format!("it is {kind}; expected a file of TOML, for example larder.toml");
        assert!(error(name, None).ends_with(&expected), "{}", error(name, None));
    }
    let path = folder.path().join("largest.toml");
    std::fs::write(&path, &large[1..]).unwrap();
    assert!(File::read(&path, "--config").is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader_and_every_error_is_one_line_with_its_place(
        lines in proptest::collection::vec(
            "(\\[\\[?(rule|site|site\\.rule|response|x)\\]?\\]|(path|ttl|hosts|origin|disk|strict|verbose|status|methods|header|query|\
             ignore|ignore-query|key-headers|response|rewrite|preset|rule|site|listen|\\PC{1,3}) = (\"(/a|60s|\\*|@tracking|\\PC{0,4})\"|\
             -?[0-9]{1,20}|true|1\\.5|1979-05-27|\\[\"a\", 1\\]|\\{ a = \"b\" \\}|\\[\\[\\]\\]))",
            0..8,
        )
    ) {
        if let Err(errors) = File::parse("larder.toml", &lines.join("\n")) {
            for error in errors {
                let text = error.to_string();
                proptest::prop_assert!(text.starts_with("larder.toml:") && text.lines().count() == 1, "{text:?}");
                proptest::prop_assert!((1..=lines.len().max(1)).contains(&error.line()), "{text:?}");
            }
        }
    }

    #[test]
    fn no_rule_of_a_flag_breaks_its_reader(text in "[/a-z.={},*@ 0-9-]{0,40}") {
        rule_of_words(&text, "--rule".into(), &mut |_| {});
    }
}
