//! The names that other programs have for flags and commands of Larder. Each is an error that names the right flag.

use clap::{Arg, builder::UnknownArgumentValueParser};

/// Names of flags elsewhere, and what to write instead.
const FLAGS: [(&str, &str); 14] = [
    ("ttl", "--default-ttl TIME"),
    ("listen", "--host ADDRESS and --port N"),
    ("bind", "--host ADDRESS and --port N"),
    ("address", "--host ADDRESS"),
    ("upstream", "--origin URL"),
    ("target", "--origin URL"),
    ("backend", "--origin URL"),
    ("url", "--origin URL"),
    ("cache", "--cache-dir DIR"),
    ("cache-size", "--disk SIZE"),
    ("size", "--disk SIZE"),
    ("max-size", "--disk SIZE"),
    ("clear", "--clear-cache"),
    ("purge", "--clear-cache"),
];

/// Names of commands elsewhere, and what to write instead.
const COMMANDS: [(&str, &str); 26] = [
    ("clear", "--clear-cache"),
    ("clean", "--clear-cache"),
    ("flush", "--clear-cache"),
    ("list", "ls"),
    ("remove", "purge"),
    ("rm", "purge"),
    ("delete", "purge"),
    ("ban", "purge"),
    ("invalidate", "purge"),
    ("refresh", "purge, and then warm"),
    ("fetch", "warm"),
    ("preload", "warm"),
    ("prefetch", "warm"),
    ("why", "explain"),
    ("get", "explain"),
    ("log", "tail"),
    ("logs", "tail"),
    ("watch", "stats --watch, or tail"),
    ("top", "stats --watch, or tail"),
    ("status", "stats"),
    ("info", "stats"),
    ("ps", "stats"),
    ("test", "check"),
    ("settings", "config show"),
    ("serve", "run"),
    ("start", "run"),
];

/// Returns what to write in place of this flag, which is named without its dashes.
pub(super) fn of_flag(name: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// Returns what to write in place of this command.
pub(super) fn of_command(name: &str) -> Option<&'static str> {
    COMMANDS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// Returns the hidden arguments that make clap say what to write instead.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    let hint = |id: &'static str, ours: &'static str| {
        let parser = UnknownArgumentValueParser::suggest(ours);
        Arg::new(id).num_args(0..=1).default_missing_value("").value_parser(parser).hide(true)
    };
    let long = FLAGS.into_iter().map(move |(name, ours)| hint(name, ours).long(name));
    long.chain([hint("short-port", "--port N").short('p'), hint("short-origin", "--origin URL").short('o')])
}
