//! The lines that Larder prints when it starts: a few on a terminal, one anywhere else.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use crate::{
    config::{Config, Site},
    policy,
    terminal::{Colour, Style},
    units::{show_duration, show_responses, show_size, show_took},
};

/// What is known of the cache when Larder starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holdings {
    /// It takes longer to open than the start-up lines wait.
    Opening,
    /// The disk can be used.
    Open {
        responses: u64,
        /// The bytes that the cache folder occupies.
        disk: u64,
    },
    /// The disk cannot be used: what is cached is held in memory. A warning says why.
    MemoryAlone,
}

/// What is known of the origins when Larder starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// It takes longer to connect to it than the start-up lines wait.
    Unknown,
    /// A connection to each was made, after this time.
    Yes(Duration),
    /// No connection could be made to one of them. The text has a line for each, which says why.
    No(String),
}

/// Returns the lines for stderr. `home`: the folder that `~` stands for.
pub fn announce(
    config: &Config,
    listening: SocketAddr,
    holdings: Holdings,
    reached: &Reached,
    home: Option<&Path>,
    style: Style,
) -> Vec<String> {
    match style.columns {
        true => for_people(config, listening, holdings, reached, home, style),
        false => vec![for_programs(config, listening, holdings, reached)],
    }
}

/// Returns the hint for a port that other machines reach.
pub fn exposed(config: &Config, listening: SocketAddr) -> Option<&'static str> {
    let serves_all = config.allow_hosts.is_empty() && config.sites.iter().any(|site| site.hosts.is_empty());
    (!listening.ip().is_loopback() && serves_all)
        .then_some("other machines can reach this port; --allow-host limits which host names are served")
}

fn for_programs(config: &Config, listening: SocketAddr, holdings: Holdings, reached: &Reached) -> String {
    let mut line = format!("larder {} listening on http://{listening}", env!("CARGO_PKG_VERSION"));
    match &config.sites[..] {
        [site] => line.push_str(&format!(" origin={} host={}", site.origin.url, site.host_mode.as_str())),
        sites => line.push_str(&format!(" sites={}", sites.len())),
    }
    match reached {
        Reached::Unknown => {}
        Reached::Yes(_) => line.push_str(" answers=yes"),
        Reached::No(_) => line.push_str(" answers=no"),
    }
    if config.rules > 0 {
        line.push_str(&format!(" rules={}", config.rules));
    }
    match holdings {
        Holdings::MemoryAlone => line.push_str(" cache=memory"),
        _ => line.push_str(&format!(" cache={}", config.store.folder.display())),
    }
    if let Holdings::Open { responses, .. } = holdings {
        line.push_str(&format!(" responses={responses}"));
    }
    if config.sites[0].policy.strict {
        line.push_str(" strict=yes");
    }
    line
}

fn for_people(
    config: &Config,
    listening: SocketAddr,
    holdings: Holdings,
    reached: &Reached,
    home: Option<&Path>,
    style: Style,
) -> Vec<String> {
    let answers = match reached {
        Reached::Unknown => "no answer yet".to_owned(),
        Reached::Yes(took) => format!("answers, {}", show_took(*took)),
        Reached::No(_) => style.paint(Colour::Red, "does not answer").to_string(),
    };
    let version = concat!("larder ", env!("CARGO_PKG_VERSION"));
    let url = format!("http://{listening}");
    let try_it = try_it(config, listening);
    let row = |name: &str, text: &str, flag: &str| {
        let flag = if flag.is_empty() { String::new() } else { format!("({flag})") };
        format!("  {name:<7} {text:<48} {flag}").trim_end().to_owned()
    };
    let policy = &config.sites[0].policy;
    let reload = match policy.client_reload || policy.strict {
        true => "clients' no-cache is followed",
        false if policy.default_ttl.0 == 0 => "clients' no-cache is ignored",
        false => "followed only where the origin gives no TTL",
    };
    let of_sites = match &config.sites[..] {
        [site] => site.origin.url.clone(),
        sites => format!("{} sites", sites.len()),
    };
    let mut lines = vec![
        format!("{version}   {}  ->  {of_sites}   ({answers})", style.paint(Colour::Bold, &url)),
        String::new(),
        row("cache", &cache(config, holdings, home), ""),
        row("TTL", &lifetime(policy), if policy.strict { "--strict" } else { "--default-ttl" }),
    ];
    match &config.sites[..] {
        [site] => lines.push(row("host", &host(site), "--host-header")),
        sites => {
            lines.extend(sites.iter().map(|site| row("site", &format!("{}  ->  {}", asked(site), site.origin.url), "")))
        }
    }
    lines.push(row("reload", reload, "--client-reload"));
    match config.rules {
        0 => {}
        1 => lines.push(row("rules", "1 rule", "larder config show")),
        rules => lines.push(row("rules", &format!("{rules} rules"), "larder config show")),
    }
    if let Some(hint) = exposed(config, listening) {
        lines.push(row("note", hint, ""));
    }
    lines.extend([String::new(), format!("  try     {try_it:<48} stop: Ctrl-C"), String::new()]);
    lines
}

/// A command that works on this machine.
fn try_it(config: &Config, listening: SocketAddr) -> String {
    let port = listening.port();
    let here = match listening.ip() {
        IpAddr::V4(any) if any.is_unspecified() => format!("127.0.0.1:{port}"),
        IpAddr::V6(any) if any.is_unspecified() => format!("[::1]:{port}"),
        _ => listening.to_string(),
    };
    let site = &config.sites[0];
    let path = &site.path;
    match site.hosts.first().or(config.allow_hosts.first()) {
        Some(host) => format!("curl -i -H 'Host: {}' http://{here}{path}/", host.replace('*', "www")),
        None => format!("curl -i http://{here}{path}/"),
    }
}

/// The requests that are for a site: `shop.example.com`, `any host/npm`.
fn asked(site: &Site) -> String {
    let hosts = if site.hosts.is_empty() { "any host".to_owned() } else { site.hosts.join(", ") };
    format!("{hosts}{}", site.path)
}

/// The folder, what is in it, and what may be.
fn cache(config: &Config, holdings: Holdings, home: Option<&Path>) -> String {
    let options = &config.store;
    let folder = match home.and_then(|home| options.folder.strip_prefix(home).ok()) {
        Some(below) => format!("~/{}", below.display()),
        None => options.folder.display().to_string(),
    };
    let limit = show_size(options.disk);
    match holdings {
        Holdings::Opening => format!("{folder}   it is being opened, {limit} at most"),
        Holdings::Open { responses, disk } => {
            format!("{folder}   {}, {} of {limit}", show_responses(responses), show_size(disk))
        }
        Holdings::MemoryAlone => format!("in memory alone, {} at most", show_size(options.memory)),
    }
}

/// Which Host the origin gets.
fn host(site: &Site) -> String {
    match site.host_mode.as_str() {
        "client" => "the origin gets the client's Host".to_owned(),
        "origin" => format!("the origin gets its own: {}", site.origin.authority()),
        name => format!("the origin gets {name}"),
    }
}

/// How long a response is fresh.
fn lifetime(policy: &policy::Options) -> String {
    let default = Duration::from_secs(policy.default_ttl.0);
    match policy.strict {
        _ if default.is_zero() => "as the origin says, else validated each time".to_owned(),
        true => format!("as the origin says, else Last-Modified, max {}", show_duration(default)),
        false => format!("as the origin says, else Last-Modified, else {}", show_duration(default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::Arguments,
        config::{Surroundings, Task},
    };

    const COLUMNS: Style = Style { columns: true, colours: false };
    const OPEN: Holdings = Holdings::Open { responses: 1204, disk: 31 << 20 };

    fn lines(words: &[&str], listening: &str, holdings: Holdings, style: Style) -> Vec<String> {
        let always = ["larder", "--origin", "https://api.example.com/v2", "--cache-dir", "/home/me/.cache/larder/a"];
        let arguments = Arguments::read([&always, words].concat()).unwrap();
        let Task::Serve(config) = Task::new(&arguments, &Surroundings::default()).unwrap() else { panic!("{words:?}") };
        let reached = Reached::Yes(Duration::from_millis(231));
        announce(&config, listening.parse().unwrap(), holdings, &reached, Some(Path::new("/home/me")), style)
    }

    #[test]
    fn a_terminal_is_told_where_what_and_how_at_a_glance() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            lines(&[], "127.0.0.1:3000", OPEN, COLUMNS),
            [
                &format!(
                    "larder {version}   http://127.0.0.1:3000  ->  https://api.example.com/v2   (answers, 231 ms)"
                ),
                "",
                "  cache   ~/.cache/larder/a   1,204 stored responses, 31 MiB of 10 GiB",
                "  TTL     as the origin says, else Last-Modified, else 1h  (--default-ttl)",
                "  host    the origin gets its own: api.example.com         (--host-header)",
                "  reload  followed only where the origin gives no TTL      (--client-reload)",
                "",
                "  try     curl -i http://127.0.0.1:3000/                   stop: Ctrl-C",
                "",
            ]
        );
    }

    #[test]
    fn the_command_to_try_works_on_this_machine() {
        let command = |words: &[&str], listening: &str| lines(words, listening, OPEN, COLUMNS).join("\n");
        assert!(
            command(&["--allow-host", "a.test"], "0.0.0.0:81")
                .contains("curl -i -H 'Host: a.test' http://127.0.0.1:81/ ")
        );
        assert!(command(&[], "[::]:81").contains("curl -i http://[::1]:81/ "));
    }

    #[test]
    fn it_says_only_what_is_known_and_true() {
        let cache = |holdings| lines(&[], "[::1]:81", holdings, COLUMNS)[2].clone();
        assert_eq!(cache(Holdings::MemoryAlone), "  cache   in memory alone, 256 MiB at most");
        assert_eq!(cache(Holdings::Opening), "  cache   ~/.cache/larder/a   it is being opened, 10 GiB at most");
        let one = Holdings::Open { responses: 1, disk: 0 };
        assert_eq!(cache(one), "  cache   ~/.cache/larder/a   1 stored response, 0 B of 10 GiB");
        let strict = lines(&["--strict"], "127.0.0.1:81", OPEN, COLUMNS).join("\n");
        assert!(strict.contains("else Last-Modified, max 1h   (--strict)"), "{strict}");
        assert!(strict.contains("no-cache is followed"), "{strict}");
        let none = lines(&["--default-ttl", "0s"], "127.0.0.1:81", OPEN, COLUMNS).join("\n");
        assert!(none.contains("else validated each time     (--default-ttl)"), "{none}");
        assert!(none.contains("no-cache is ignored"), "{none}");
    }

    #[test]
    fn anywhere_else_it_is_one_line() {
        let version = env!("CARGO_PKG_VERSION");
        let line = |words: &[&str], holdings| lines(words, "127.0.0.1:3000", holdings, Style::PLAIN);
        let begin = format!(
            "larder {version} listening on http://127.0.0.1:3000 origin=https://api.example.com/v2 host=origin answers=yes"
        );
        assert_eq!(line(&[], OPEN), [format!("{begin} cache=/home/me/.cache/larder/a responses=1204")]);
        assert_eq!(line(&[], Holdings::Opening), [format!("{begin} cache=/home/me/.cache/larder/a")]);
        assert_eq!(line(&["--strict"], Holdings::MemoryAlone), [format!("{begin} cache=memory strict=yes")]);
    }

    #[test]
    fn both_say_whether_the_origin_is_there_if_that_is_known() {
        let arguments = Arguments::read(["larder", "http://a.example", "--cache-dir", "/c"]).unwrap();
        let Task::Serve(config) = Task::new(&arguments, &Surroundings::default()).unwrap() else { panic!() };
        let first = |reached: &Reached, style| {
            announce(&config, "127.0.0.1:3000".parse().unwrap(), OPEN, reached, None, style).swap_remove(0)
        };
        for (reached, people, programs) in [
            (Reached::Unknown, "http://a.example   (no answer yet)", "http://a.example host=origin cache="),
            (
                Reached::Yes(Duration::from_millis(2)),
                "http://a.example   (answers, 2.0 ms)",
                "http://a.example host=origin answers=yes ",
            ),
            (
                Reached::No("refused".to_owned()),
                "http://a.example   (does not answer)",
                "http://a.example host=origin answers=no ",
            ),
        ] {
            let (for_people, for_programs) = (first(&reached, COLUMNS), first(&reached, Style::PLAIN));
            assert!(for_people.ends_with(people) && for_programs.contains(programs), "{for_people} {for_programs}");
        }
    }

    #[test]
    fn several_sites_are_a_line_each() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("larder.toml");
        let text = "[[site]]\nhosts = ['*.a.example']\npath = '/x'\norigin = 'http://a'\n[[site]]\norigin = 'http://b'\n[[rule]]\n\
                    bypass = true\n";
        std::fs::write(&file, text).unwrap();
        let arguments = Arguments::read(["larder", "--config", file.to_str().unwrap(), "--cache-dir", "/c"]).unwrap();
        let Task::Serve(config) = Task::new(&arguments, &Surroundings::default()).unwrap() else { panic!() };
        let said = |style| {
            announce(&config, "127.0.0.1:3000".parse().unwrap(), OPEN, &Reached::Unknown, None, style).join("\n")
        };
        let people = said(COLUMNS);
        for line in [
            "http://127.0.0.1:3000  ->  2 sites   (no answer yet)\n",
            "\n  site    *.a.example/x  ->  http://a\n  site    any host  ->  http://b\n",
            "\n  rules   1 rule                                           (larder config show)\n",
            "curl -i -H 'Host: www.a.example' http://127.0.0.1:3000/x/ ",
        ] {
            assert!(people.contains(line), "{line}\n{people}");
        }
        assert!(said(Style::PLAIN).contains(" listening on http://127.0.0.1:3000 sites=2 rules=1 cache=/c "));
    }

    #[test]
    fn a_port_that_other_machines_reach_is_pointed_out() {
        let note =
            |words: &[&str], listening| lines(words, listening, OPEN, COLUMNS).join("\n").contains("  note    other");
        assert!(note(&[], "0.0.0.0:3000") && note(&[], "[2001:db8::1]:3000"));
        assert!(
            !note(&["--allow-host", "a"], "0.0.0.0:3000") && !note(&[], "127.9.9.9:3000") && !note(&[], "[::1]:3000")
        );
    }
}
