//! The short help: what fits on a screen of 80 columns and 24 lines.

use clap::{Command, CommandFactory};

use super::Arguments;
use crate::default;

const TEMPLATE: &str = "\
Larder: a caching HTTP proxy that says why.

Usage: larder [--origin] URL [flags]        larder COMMAND [flags]

  larder --origin http://dummyjson.com      use http://127.0.0.1:3000 instead
  larder --clear-cache                      forget everything, also while it runs

Commands:
{subcommands}

Flags:
{options}{after-help}";

/// The flags that the short help shows, in fewer words.
fn shown() -> [(&'static str, String); 7] {
    [
        ("origin", "the site to cache; http(s)://host[:port][/base]".to_owned()),
        ("port", format!("port to listen on [{}]", default::PORT)),
        ("host", format!("address to listen on [{}]", default::HOST)),
        ("default_ttl", format!("longest TTL where the origin sets none [{}]", default::DEFAULT_TTL)),
        ("disk", format!("cache size on disk [{}]", default::DISK)),
        ("client_reload", "obey no-cache from clients".to_owned()),
        ("verbose", "log more; -q: log less".to_owned()),
    ]
}

/// Returns the short help of the program.
pub(super) fn short() -> String {
    definition().render_help().to_string()
}

/// Writes the short help to stdout.
pub(super) fn print() -> std::io::Result<()> {
    definition().print_help()
}

fn definition() -> Command {
    let shown = shown();
    let text =
        |arg: &clap::Arg| shown.iter().find(|(id, _)| *id == arg.get_id().as_str()).map(|(_, text)| text.clone());
    let all = Arguments::command();
    // --help and --version are not among them yet
    let more = all.get_arguments().filter(|arg| arg.get_long().is_some() && text(arg).is_none()).count();
    all.help_template(TEMPLATE)
        .mut_args(|arg| {
            let text = text(&arg);
            let has_value = arg.get_action().takes_values();
            arg.hide(text.is_none()).help(text.unwrap_or_default()).hide_env(true).hide_default_value(has_value)
        })
        .mut_subcommand("stats", |stats| stats.about("hit ratio, why requests went to the origin, room"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .after_help(format!("{more} more: larder --help        Version: larder --version"))
}
