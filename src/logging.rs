//! The log: its level and its form. Nobody but Larder can write a line of it, and it holds no credentials.

#[doc(hidden)]
pub mod fuzzing;
mod line;
mod stderr;
mod text;

use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

use env_logger::Target;
use log::{Level, LevelFilter};

pub use self::{
    line::{Line, line},
    stderr::{flush, say},
    text::{escape, redact},
};
use crate::{
    clock,
    terminal::{self, Colour},
};

/// The target of the line for each request.
pub const ACCESS: &str = "larder::access";

/// Libraries whose lines say what Larder says in words of its own: that a request is malformed, at a stranger's pace, that
/// a certificate is not trusted, or that the disk of the cache fails.
const REPEATING: [&str; 4] = ["actix_http", "rustls", "rustls_platform_verifier", "sled"];

/// True if the log was started, and RUST_LOG does not decide its level.
static LEVEL_CHANGES: AtomicBool = AtomicBool::new(false);

/// Starts the log on stderr, panics included. `-v` and `-q` decide the level, or without them RUST_LOG. The default is
/// `info`. Libraries only warn, unless RUST_LOG names them. Does nothing where a log was started before.
pub fn start(verbose: u8, quiet: u8) {
    let mut builder = env_logger::Builder::new();
    let environment = std::env::var("RUST_LOG").ok().filter(|_| verbose == 0 && quiet == 0);
    let (of_larder, named) = environment.as_deref().map(levels).unwrap_or_default();
    let level = of_larder.unwrap_or(level(verbose, quiet));
    // the level that counts is that of the whole log, which a reload may change
    builder.filter_level(if environment.is_some() { level.min(LevelFilter::Warn) } else { LevelFilter::Warn });
    let of_larder = if environment.is_some() { level } else { LevelFilter::Trace };
    builder.filter_module("larder", of_larder);
    for library in REPEATING {
        builder.filter_module(library, LevelFilter::Off);
    }
    match &environment {
        Some(_) => drop(builder.parse_filters(&named)),
        // the longest target is compared first: each request asks for this one
        None => drop(builder.filter_module(ACCESS, of_larder)),
    }
    let style = terminal::stderr();
    builder.format(move |out, record| {
        let (level, text) = (record.level(), line::escaped(record.args()));
        if style.columns {
            let colour = match level {
                Level::Error => Some(Colour::Red),
                Level::Warn => Some(Colour::Yellow),
                _ => None,
            };
            let time = terminal::time_of_day(clock::wall());
            return writeln!(out, "{time}  {} {text}", style.paint(colour, format_args!("{level:<5}")));
        }
        let time = out.timestamp_millis();
        writeln!(out, "{time} {level:5} {text}")
    });
    builder.target(Target::Pipe(Box::new(stderr::Lines)));
    if builder.try_init().is_ok() {
        if environment.is_none() {
            LEVEL_CHANGES.store(true, Ordering::Relaxed);
            set_level(verbose, quiet);
        }
        // text behind a `/` filters by what a line says, and only env_logger knows how
        if !environment.is_some_and(|filter| filter.contains('/')) {
            line::allow_direct();
        }
        // the default would write past the queue, and a panic's words may be a stranger's
        std::panic::set_hook(Box::new(|panic| {
            log::error!("{panic}");
            if std::thread::current().name() == Some("main") {
                // the program ends with it
                flush();
            }
        }));
    }
}

/// Returns true if [`set_level`] can change the level: RUST_LOG does not decide it.
pub fn level_changes() -> bool {
    LEVEL_CHANGES.load(Ordering::Relaxed)
}

/// Changes the level of the log, if [`level_changes`].
pub fn set_level(verbose: u8, quiet: u8) {
    if level_changes() {
        log::set_max_level(level(verbose, quiet));
    }
}

/// Takes a filter such as `debug,sled=trace/text` apart: the level of Larder, and what it says of targets that it names.
fn levels(filter: &str) -> (Option<LevelFilter>, String) {
    let (targets, text) = filter.split_at(filter.find('/').unwrap_or(filter.len()));
    let level = |part: &str| part.trim().parse::<LevelFilter>().ok();
    let named: Vec<&str> = targets.split(',').filter(|part| level(part).is_none()).collect();
    (targets.split(',').filter_map(level).next_back(), named.join(",") + text)
}

fn level(verbose: u8, quiet: u8) -> LevelFilter {
    match i16::from(verbose) - i16::from(quiet) {
        ..=-2 => LevelFilter::Error,
        -1 => LevelFilter::Warn,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        2.. => LevelFilter::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_larders_and_libraries_are_named() {
        for (filter, level, named) in [
            ("", None, ""),
            (" DEBUG ", Some(LevelFilter::Debug), ""),
            ("warn,sled=trace", Some(LevelFilter::Warn), "sled=trace"),
            ("sled,mio=info,off", Some(LevelFilter::Off), "sled,mio=info"),
            ("larder=debug", None, "larder=debug"),
            ("error/warn,x", Some(LevelFilter::Error), "/warn,x"),
        ] {
            assert_eq!(levels(filter), (level, named.to_owned()), "{filter}");
        }
    }

    #[test]
    fn verbose_and_quiet_cancel_each_other() {
        assert_eq!(
            [(0, 0), (1, 0), (9, 0), (0, 1), (0, 9), (1, 1)].map(|(v, q)| level(v, q)),
            [
                LevelFilter::Info,
                LevelFilter::Debug,
                LevelFilter::Trace,
                LevelFilter::Warn,
                LevelFilter::Error,
                LevelFilter::Info
            ]
        );
    }
}
