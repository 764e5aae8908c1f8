use std::path::PathBuf;

use super::*;

#[test]
fn the_definition_is_consistent() {
    Arguments::command().debug_assert();
}

/// Returns true for the flags that users are told of.
fn is_flag(arg: &clap::Arg) -> bool {
    arg.get_long().is_some() && !arg.is_hide_set()
}

#[test]
fn every_flag_but_the_one_that_clears_has_a_variable_that_is_named_after_it() {
    for arg in Arguments::command().get_arguments().filter(|arg| !arg.is_hide_set()) {
        if let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env()) {
            assert_eq!(format!("LARDER_{}", long.replace('-', "_").to_ascii_uppercase()), variable.to_string_lossy());
        } else {
            assert!(matches!(arg.get_long(), None | Some("clear-cache")), "{} has no variable", arg.get_id());
        }
    }
}

#[test]
fn the_page_of_flags_lists_every_flag_with_its_default() {
    let page = include_str!("../../docs/flags.md");
    for arg in Arguments::command().get_arguments().filter(|arg| is_flag(arg)) {
        let flag = format!("`--{}", arg.get_long().unwrap());
        let row = page.lines().find(|row| row.strip_prefix("| ").is_some_and(|row| row.starts_with(&flag)));
        let row = row.unwrap_or_else(|| panic!("docs/flags.md has no row for {flag}`"));
        let default = match arg.get_default_values() {
            [value] if arg.get_action().takes_values() => value.to_string_lossy(),
            _ => continue,
        };
        assert!(row.contains(&format!("| {default} |")), "docs/flags.md has another default than {default}: {row}");
    }
}

#[test]
fn the_flags_in_the_readme_have_the_defaults_that_they_have() {
    let (_, section) = include_str!("../../README.md").split_once("\n## Flags\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let definition = Arguments::command();
    let rows = section.lines().filter(|row| row.starts_with("| `--"));
    let mut seen = 0;
    for row in rows {
        let (flags, rest) = row.split_once("` | ").unwrap();
        for name in flags.split("`--").skip(1) {
            let name = name.split([' ', '`']).next().unwrap();
            let arg = definition.get_arguments().find(|arg| arg.get_long() == Some(name));
            let arg = arg.unwrap_or_else(|| panic!("README.md names --{name}, which there is not"));
            if let ([default], true) = (arg.get_default_values(), arg.get_action().takes_values()) {
                let default = default.to_string_lossy();
                assert!(rest.split(" | ").next().unwrap().split(", ").any(|shown| shown == default), "{name}: {row}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 7, "{seen} defaults were compared");
}

#[test]
fn strict_is_described_in_the_same_sentence_everywhere() {
    let definition = Arguments::command();
    let strict = definition.get_arguments().find(|arg| arg.get_id() == "strict").unwrap();
    let help = strict.get_help().unwrap().to_string().to_lowercase();
    // help speaks to the reader, and the pages speak of Larder: only the first word differs
    let sentence = help.strip_prefix("follow ").unwrap();
    for (name, page) in
        [("README.md", include_str!("../../README.md")), ("docs/flags.md", include_str!("../../docs/flags.md"))]
    {
        let words: Vec<&str> = page.split_whitespace().collect();
        assert!(words.join(" ").to_lowercase().contains(sentence), "{name} says something else than: {sentence}");
    }
}

#[test]
fn help_begins_with_examples() {
    assert!(matches!(Arguments::read(["larder", "--help"]), Err(CliError::Asked(errors::Answer::Long))));
    let help = help::long().term_width(100).render_help().to_string();
    assert!(help.starts_with("Examples:\n  larder --origin http"), "{help}");
    assert_golden(&help, "help.txt");
}

/// Compares a text with the one in `tests/golden`. With `LARDER_BLESS=1` it is written there instead.
fn assert_golden(text: &str, name: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(name);
    if std::env::var_os("LARDER_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap(), "{}", path.display());
}

#[test]
fn every_flag_stands_in_one_of_the_groups_of_the_help() {
    let groups =
        ["Configuration file", "Listen", "Origin", "What is cached", "Room", "Log and help", "Limits on clients"];
    for arg in help::long().get_arguments().filter(|arg| is_flag(arg)) {
        let group = arg.get_help_heading();
        assert!(group.is_some_and(|group| groups.contains(&group)), "{}: {group:?}", arg.get_id());
    }
}

#[test]
fn the_short_help_fits_a_screen_and_says_how_many_flags_it_leaves_out() {
    let help = help::short().render_help().to_string();
    assert_golden(&help, "short-help.txt");
    assert!(help.lines().count() <= 24 && help.lines().all(|line| line.len() <= 80), "{help}");
    let flags = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('-')).count();
    let all = Arguments::command().get_arguments().filter(|arg| is_flag(arg)).count();
    assert!(help.contains(&format!("\n{} more: larder --help", all - flags(&help))), "{help}");
    assert!(matches!(Arguments::read(["larder", "-h"]), Err(CliError::Asked(errors::Answer::Short))));
}

#[test]
fn every_hint_names_flags_that_there_are() {
    let definition = Arguments::command();
    let known = |word: &str| definition.get_arguments().any(|arg| arg.get_long() == Some(word));
    for name in ["ttl", "listen", "upstream", "target", "clear", "purge"] {
        let ours = hints::of_flag(name).unwrap();
        assert!(!known(name), "{name}");
        for word in ours.split(' ').filter_map(|word| word.strip_prefix("--")) {
            assert!(known(word), "{ours}");
        }
    }
}

fn origin(words: &[&str]) -> Result<String, String> {
    match Arguments::read([&["larder"], words].concat()) {
        Ok(arguments) => Ok(arguments.origin.unwrap()),
        Err(CliError::Wrong(line)) => Err(line),
        Err(other) => panic!("{words:?}: {other:?}"),
    }
}

#[test]
fn a_url_alone_is_the_origin_and_two_origins_are_an_error() {
    let (one, two) = ("http://a.example", "http://b.example");
    for words in [&[one][..], &["--port", "1", one], &[one, "--strict"], &[one, "stats"], &["--origin", one]] {
        assert_eq!(origin(words), Ok(one.to_owned()), "{words:?}");
    }
    for words in [&["run", one][..], &["run", "--origin", one], &["run", one, "--port", "1"], &[one, "run"]] {
        assert_eq!(origin(words), Ok(one.to_owned()), "{words:?}");
    }
    for words in [
        &[one, two][..],
        &[one, "--origin", two],
        &["--origin", one, two],
        &["--origin", one, "--origin", two],
        &["run", one, two],
        &[one, "run", two],
        &["run", one, "--origin", two],
    ] {
        assert_eq!(origin(words), Err(errors::several_origins()), "{words:?}");
    }
}

#[test]
fn of_a_flag_that_is_repeated_the_last_one_counts_and_lists_grow() {
    let words = ["--port", "1", "--port", "2", "--strict", "--strict", "--allow-host", "a", "--allow-host", "b,c"];
    let arguments = Arguments::read([&["larder", "http://a.example"], &words[..]].concat()).unwrap();
    assert_eq!((arguments.port.as_str(), arguments.strict), ("2", true));
    assert_eq!(arguments.allow_host, ["a", "b", "c"]);
}

fn warned(environment: &[(&str, &str)]) -> Vec<String> {
    variables(environment.iter().map(|(name, value)| (name.into(), value.into())))
}

#[test]
fn a_variable_that_nobody_reads_is_one_line_with_the_nearest_name() {
    for (name, meant) in [
        ("LARDER_DEFUALT_TTL", "did you mean LARDER_DEFAULT_TTL?"),
        ("LARDER_MAXOBJECT", "did you mean LARDER_MAX_OBJECT?"),
        ("LARDER_disk", "did you mean LARDER_DISK?"),
        ("LARDER_TTL", "did you mean LARDER_DEFAULT_TTL?"),
        ("LARDER_LISTEN", "did you mean LARDER_HOST and LARDER_PORT?"),
        ("LARDER_UPSTREAM", "did you mean LARDER_ORIGIN?"),
        ("LARDER_CLEAR_CACHE", "only the flag --clear-cache clears the cache"),
        ("LARDER_QQQQ", "each flag of larder --help has a variable, for example LARDER_PORT"),
    ] {
        let lines = warned(&[(name, "1"), ("PATH", "/bin"), ("LARDER_DISK", "1G")]);
        assert_eq!(lines, [format!("unknown variable {name}: ignored; {meant}")]);
    }
    assert_eq!(warned(&[("LARDER_X\nY", "")])[0].lines().count(), 1);
}

#[test]
fn the_variables_that_kubernetes_makes_are_no_matter() {
    let link = "tcp://10.43.0.7:3000";
    for (name, value) in [
        ("LARDER_PORT", link),
        ("LARDER_SERVICE_HOST", "10.43.0.7"),
        ("LARDER_SERVICE_PORT", "3000"),
        ("LARDER_SERVICE_PORT_HTTP", "3000"),
        ("LARDER_PORT_3000_TCP", link),
        ("LARDER_PORT_3000_TCP_PROTO", "tcp"),
        ("LARDER_PORT_3000_TCP_ADDR", "10.43.0.7"),
        ("LARDER_WEB_PORT", link),
        ("LARDER_WEB_SERVICE_HOST", "10.43.0.8"),
    ] {
        assert_eq!(warned(&[(name, value)]), [""; 0], "{name}");
    }
    assert_eq!(warned(&[("LARDER_WEB_PORT", "3000")]).len(), 1);
}

#[test]
fn a_tilde_that_no_shell_has_replaced_is_pointed_out() {
    let arguments = |path: &str| Arguments::read(["larder", "http://a.example", "--cache-dir", path]).unwrap();
    for path in ["~", "~/cache", "~me/cache"] {
        let lines = arguments(path).unexpanded();
        assert!(
            lines.len() == 1 && lines[0].starts_with(&format!("--cache-dir {path:?}: no shell has replaced the ~")),
            "{lines:?}"
        );
    }
    for path in ["/a/~", "a~", "./~"] {
        assert_eq!(arguments(path).unexpanded(), [""; 0], "{path}");
    }
    let ca = Arguments::read(["larder", "http://a.example", "--origin-ca", "~/ca.pem"]).unwrap();
    assert!(ca.unexpanded()[0].starts_with("--origin-ca "));
}

#[test]
fn the_folder_can_be_named_behind_a_subcommand_too() {
    for words in [["larder", "--cache-dir", "/x", "stats"], ["larder", "stats", "--cache-dir", "/x"]] {
        let arguments = Arguments::read(words).unwrap();
        assert_eq!(arguments.command, Some(Command::Stats { json: false, all: false, watch: false, since: None }));
        assert_eq!(arguments.cache_dir, Some(PathBuf::from("/x")));
    }
}

#[test]
fn verbosity_counts() {
    let arguments = Arguments::read(["larder", "-vv", "-q"]).unwrap();
    assert_eq!((arguments.verbose, arguments.quiet), (2, 1));
}

fn file(field: &str, values: &[&str]) -> FileValue {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    FileValue { field: field.to_owned(), values, place: "larder.toml:5".to_owned(), key: field.replace('_', "-") }
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_the_default() {
    let typed = Arguments::read(["larder", "--disk", "1G", "--allow-host", "a"]).unwrap();
    let values = [
        file("disk", &["2G"]),
        file("memory", &["64M"]),
        file("allow_host", &["b", "c"]),
        file("trusted_proxy", &["::1", "10.0.0.0/8"]),
        file("origin", &["http://a.example"]),
        file("strict", &["true"]),
        file("verbose", &["2"]),
        file("cache_dir", &["/x"]),
    ];
    let both = typed.with_file(&values).unwrap();
    assert_eq!((&*both.disk, &*both.memory, &*both.port), ("1G", "64M", "3000"));
    assert_eq!((both.allow_host.len(), both.trusted_proxy.len()), (1, 2));
    assert_eq!((both.origin.as_deref(), both.strict, both.verbose), (Some("http://a.example"), true, 2));
    assert_eq!(both.cache_dir, Some(PathBuf::from("/x")));
    let names = ["disk", "memory", "port", "strict"].map(|field| both.name_of(field));
    assert_eq!(names, ["--disk", "larder.toml:5: memory", "--port", "larder.toml:5: strict"]);
    let word = Arguments::read(["larder", "http://b.example"]).unwrap().with_file(&values).unwrap();
    assert_eq!((word.origin.as_deref(), word.name_of("origin")), (Some("http://b.example"), "--origin".to_owned()));
    let behind = Arguments::read(["larder", "stats", "--cache-dir", "/y"]).unwrap().with_file(&values).unwrap();
    assert_eq!(behind.cache_dir, Some(PathBuf::from("/y")));
    let before = Arguments::read(["larder", "--cache-dir", "/y", "stats"]).unwrap().with_file(&values).unwrap();
    assert_eq!(before.cache_dir, Some(PathBuf::from("/y")));
}

#[test]
fn the_file_that_is_checked_is_a_word_behind_the_command() {
    let command = |words: &[&str]| Arguments::read(words.iter().copied()).unwrap().command;
    assert_eq!(
        command(&["larder", "check", "a.toml"]),
        Some(Command::Check { file: Some("a.toml".into()), connect: false })
    );
    assert_eq!(command(&["larder", "check"]), Some(Command::Check { file: None, connect: false }));
    assert_eq!(command(&["larder", "config", "show"]), Some(Command::Config(ConfigCommand::Show)));
    let arguments = Arguments::read(["larder", "config", "show", "--config", "a.toml"]).unwrap();
    assert_eq!(arguments.config, Some("a.toml".into()));
}
