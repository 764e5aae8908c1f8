//! The log: its level, its form, that nobody but Larder can write a line of it, and that it holds no credentials.

#[doc(hidden)]
pub mod fuzzing;
mod line;
mod stderr;
mod text;

use std::io::Write;

use env_logger::Target;
use log::LevelFilter;

pub use self::{
    line::{Line, line},
    stderr::{flush, say},
    text::{escape, redact},
};

/// The target of the line for each request.
pub const ACCESS: &str = "larder::access";

/// Starts the log on stderr, panics included. `-v` and `-q` decide the level; without them RUST_LOG does; without that it is `info`.
/// Does nothing where a log was started before.
pub fn start(verbose: u8, quiet: u8) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level(verbose, quiet));
    // actix_http reports each malformed request as an error: with a stranger's bytes, at a stranger's pace.
    builder.filter_module("actix_http", if verbose > 1 { LevelFilter::Trace } else { LevelFilter::Off });
    for target in ["actix_server", "actix_web", "awc", "sled", "mio", "rustls"] {
        builder.filter_module(target, if verbose > 1 { LevelFilter::Trace } else { LevelFilter::Warn });
    }
    let environment = std::env::var("RUST_LOG").ok().filter(|_| verbose == 0 && quiet == 0);
    match &environment {
        Some(_) => drop(builder.parse_default_env()),
        // the longest target is compared first: each request asks for this one
        None => drop(builder.filter_module(ACCESS, level(verbose, quiet))),
    }
    builder.format(|out, record| {
        let time = out.timestamp_millis();
        writeln!(out, "{time} {:5} {}", record.level(), line::escaped(record.args()))
    });
    builder.target(Target::Pipe(Box::new(stderr::Lines)));
    if builder.try_init().is_ok() {
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
