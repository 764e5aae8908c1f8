//! Parses the command line, starts the log, and runs. The exit code is 2 for a wrong command line, 1 or 75 for an error
//! at run time.

use std::process::ExitCode;

use larder::{
    allocator, blocking,
    cli::{self, Arguments, CliError, ExplainArguments, ListArguments, PurgeArguments, TailArguments, WarmArguments},
    commands::{self, NO_CACHE, Output, check, clear, each, fail, fail_all, reload, stats},
    config::{Config, ConfigError, Folders, Place, Sources, Surroundings, Task},
    explanation, logging, server, store, terminal,
};
use serde_json::json;

fn main() -> ExitCode {
    let code = run();
    logging::flush();
    code
}

fn run() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(CliError::Asked(answer)) => {
            let mut output = Output::default();
            output.note(answer.print());
            return output.end(ExitCode::SUCCESS);
        }
        Err(CliError::Nothing(help)) => {
            logging::say(help.trim_end());
            return ExitCode::from(2);
        }
        Err(CliError::Wrong(line)) => return fail(2, &line),
    };
    let sources = match Sources::read(arguments) {
        Ok(sources) => sources,
        Err(errors) => return fail_all(&errors),
    };
    let arguments = &sources.arguments;
    logging::start(arguments.verbose, arguments.quiet);
    blocking::quiet_caught_panics();
    store::restrict_umask();
    let task = Task::of(&sources, &Surroundings::read());
    if matches!(task, Ok(Task::Serve(_))) {
        // it may start the program anew, which would say everything twice
        allocator::tune();
    }
    for line in cli::variables(std::env::vars_os()).into_iter().chain(arguments.unexpanded()) {
        log::warn!("{line}");
    }
    match task {
        Err(errors) => fail_all(&errors),
        Ok(Task::Serve(config)) => {
            config.warnings.iter().for_each(|line| log::warn!("{line}"));
            match server::run(*config, Box::new(reread)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => match error.setting() {
                    Some(field) => fail(error.exit_code(), &format!("{}: {error}", arguments.name_of(field))),
                    None => fail(error.exit_code(), &error),
                },
            }
        }
        Ok(Task::Check { config, connect }) => check(&config, connect),
        Ok(Task::Show(lines)) => print(&lines),
        Ok(Task::Clear(folders)) => clear(&folders),
        Ok(Task::Stats { folders, json, all, watch, since }) => stats(&folders, json, all, watch, since),
        Ok(Task::Reload { folders, decided_by }) => reload(&folders, decided_by.as_deref()),
        Ok(Task::Purge(task)) => purge(&task.0, &task.1),
        Ok(Task::List(task)) => list(&task.0, &task.1),
        Ok(Task::Warm { arguments, folders, quiet }) => warm(&arguments, &folders, quiet),
        Ok(Task::Tail(arguments, folders)) => tail(&arguments, &folders),
        Ok(Task::Explain { arguments, folders, config }) => explain(&arguments, &folders, config.as_deref()),
    }
}

/// Reads the command line, the environment and the file once more.
fn reread() -> Result<Config, String> {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(CliError::Wrong(line)) => return Err(line.to_string()),
        Err(_) => return Err("the command line does not start Larder".to_owned()),
    };
    match Task::new(&arguments, &Surroundings::read()) {
        Ok(Task::Serve(config)) => Ok(*config),
        Ok(_) => Err("the command line does not start Larder".to_owned()),
        Err(errors) => Err(errors.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn print(lines: &[String]) -> ExitCode {
    let mut output = Output::default();
    lines.iter().for_each(|line| output.say(line));
    output.end(ExitCode::SUCCESS)
}

fn purge(arguments: &PurgeArguments, place: &Place) -> ExitCode {
    let mut purge = match commands::Purge::new(arguments, place) {
        Ok(purge) => purge,
        Err(problem) => return fail(2, &problem),
    };
    let failed = each(&place.folders, |folder| purge.folder(folder));
    if failed != ExitCode::SUCCESS {
        return failed;
    }
    let (lines, problems, code) = purge.end();
    let mut output = Output::default();
    lines.iter().for_each(|line| output.say(line));
    problems.iter().for_each(|line| logging::say(line));
    output.end(ExitCode::from(code))
}

fn list(arguments: &ListArguments, place: &Place) -> ExitCode {
    let mut list = match commands::List::new(arguments, place) {
        Ok(list) => list,
        Err(problem) => return fail(2, &problem),
    };
    let mut output = Output::default();
    let code = each(&place.folders, |folder| list.folder(folder, &mut |line| output.say(line)));
    let code = match list.nothing().filter(|_| code == ExitCode::SUCCESS) {
        Some(nothing) => {
            logging::say(&nothing);
            ExitCode::from(NO_CACHE)
        }
        None => code,
    };
    output.end(code)
}

/// Says what would happen to a request.
fn explain(arguments: &ExplainArguments, folders: &Folders, config: Option<&Config>) -> ExitCode {
    let explained = match commands::explain(arguments, folders, config) {
        Ok(explained) => explained,
        Err(error) => return fail(1, &error),
    };
    let mut output = Output::default();
    match arguments.json {
        true => output.say(&json!(explained).to_string()),
        false => explanation::show(&explained, terminal::stdout()).iter().for_each(|line| output.say(line)),
    }
    let is_hit = explained.outcome.is_hit() || !arguments.exit_code;
    output.end(if is_hit { ExitCode::SUCCESS } else { ExitCode::from(NO_HIT) })
}

/// Fetches URLs through a running Larder. The exit code is 1 if one of them failed.
fn warm(arguments: &WarmArguments, folders: &Folders, quiet: bool) -> ExitCode {
    let warmed = match commands::warm(arguments, folders, quiet) {
        Ok(warmed) => warmed,
        Err(error) => return fail(1, &error),
    };
    let mut output = Output::default();
    warmed.lines().iter().for_each(|line| output.say(line));
    let code = warmed.failures().iter().fold(ExitCode::SUCCESS, |_, line| fail(1, line));
    output.end(code)
}

/// Shows requests as they end, until the running Larder stops.
fn tail(arguments: &TailArguments, folders: &Folders) -> ExitCode {
    let mut output = Output::default();
    let mut say = |line: &str| {
        output.say(line);
        !output.has_ended()
    };
    let ended = commands::tail(arguments, folders, terminal::stdout(), &mut say);
    let code = ended.map_or_else(|error| fail(1, &error), |()| ExitCode::SUCCESS);
    output.end(code)
}

/// The exit code of `larder explain --exit-code` if the request would not be answered from the cache.
const NO_HIT: u8 = 4;
