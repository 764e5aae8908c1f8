//! The help: a short one that fits on a screen of 80 columns and 24 lines, and the whole one.

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::arguments::{Arguments, LOG};
use crate::default;

const TEMPLATE: &str = "\
Larder: a caching HTTP proxy that says why.

Usage: larder [run] [--origin] URL [flags]  larder COMMAND [flags]

  larder --origin http://dummyjson.com      use http://127.0.0.1:3000 instead
  larder explain --ask /me                  why was this not cached?

Commands:
  explain  why is a URL (not) cached    stats   hit ratio, room, reasons
  ls       what is in the cache         tail    live log
  purge    remove a URL, prefix, all    warm    fill it from a list
  check    test settings and origin     reload  read the file once more

Flags:
{options}{after-help}";

/// The flags that the short help shows, in fewer words.
fn shown() -> [(&'static str, String); 8] {
    [
        ("origin", "the site to cache; http(s)://host[:port][/base]".to_owned()),
        ("port", format!("port to listen on [{}]", default::PORT)),
        ("host", format!("address to listen on [{}]", default::HOST)),
        ("default_ttl", format!("longest TTL where the origin sets none [{}]", default::DEFAULT_TTL)),
        ("rule", "e.g. '/api/** ttl=10m ignore-query=utm_*'".to_owned()),
        ("disk", format!("cache size on disk [{}]", default::DISK)),
        ("client_reload", "obey no-cache from clients".to_owned()),
        ("verbose", "log more; -q: log less".to_owned()),
    ]
}

/// Adds the flags for help and for the version, in a group of flags instead of one of their own.
pub(super) fn with_help(definition: Command) -> Command {
    let arg = |id: &'static str, short: char, action, help: &'static str| {
        Arg::new(id).long(id).short(short).action(action).help(help).help_heading(LOG)
    };
    definition
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(arg("help", 'h', ArgAction::Help, "Show this help; -h: the short one").global(true))
        .arg(arg("version", 'V', ArgAction::Version, "Show the version"))
        .mut_args(|arg| arg.hide_env(true))
}

/// Returns a definition that prints the whole help, with each default in brackets.
pub(super) fn long() -> Command {
    with_help(Arguments::command()).mut_args(|arg| {
        let default = match arg.get_default_values() {
            [default] if arg.get_action().takes_values() => format!(" [{}]", default.to_string_lossy()),
            _ => return arg,
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        arg.help(help + &default).hide_default_value(true)
    })
}

/// Returns a definition that prints the short help.
pub(super) fn short() -> Command {
    let shown = shown();
    let place = |arg: &Arg| shown.iter().position(|(id, _)| *id == arg.get_id().as_str());
    let text = |arg: &Arg| place(arg).map(|place| shown[place].1.clone());
    let all = Arguments::command();
    // the definition has no --help and --version yet
    let more =
        all.get_arguments().filter(|arg| arg.get_long().is_some() && !arg.is_hide_set() && text(arg).is_none()).count();
    all.help_template(TEMPLATE)
        .mut_args(|arg| {
            let (place, text) = (place(&arg).unwrap_or_default(), text(&arg));
            let has_value = arg.get_action().takes_values();
            let arg = arg.display_order(place).hide(text.is_none()).help(text.unwrap_or_default());
            arg.hide_env(true).hide_default_value(has_value)
        })
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .after_help(format!("{more} more: larder --help   Manual: larder man   More commands: config, completions"))
}
