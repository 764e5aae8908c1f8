//! `larder check`.

use std::process::ExitCode;

use super::output::{Output, fail};
use crate::{config::Config, server};

/// Says that the settings are valid, what may be a mistake, and if `connect` whether the cache folder can be used and each
/// origin be reached. The exit code is 1 if something cannot.
pub fn check(config: &Config, connect: bool) -> ExitCode {
    config.warnings.iter().for_each(|line| log::warn!("{line}"));
    let (mut output, mut code) = (Output::default(), ExitCode::SUCCESS);
    output.say(&config.summary());
    let checked = match connect {
        true => [vec![server::check_folder(config)], server::check_origins(config)].concat(),
        false => Vec::new(),
    };
    for checked in checked {
        match checked {
            Ok(line) => output.say(&line),
            Err(line) => code = fail(1, &line),
        }
    }
    output.end(code)
}
