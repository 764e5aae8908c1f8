//! Parses the command line, starts the log, and runs. The exit code is 2 for a wrong command line, 1 or 75 for an error
//! at run time.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use larder::{
    admin::{self, AskError},
    allocator, blocking,
    cli::{self, Arguments, CliError, ExplainArguments, ListArguments, PurgeArguments, TailArguments, WarmArguments},
    clock::Seconds,
    commands,
    config::{Config, ConfigError, Folders, Place, Sources, Surroundings, Task},
    explanation, logging, server,
    store::{self, Cleared, OpenError},
    terminal,
    units::{show_responses, show_size},
};
use serde_json::{Map, Value, json};

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
        Ok(Task::Stats { folders, json, all, watch: false, since }) => {
            let mut output = Output::default();
            let (lines, code) = stats(&folders, json, all, since);
            lines.iter().for_each(|line| output.say(line));
            output.end(code)
        }
        Ok(Task::Stats { folders, json, all, watch: true, since }) => watch(&folders, json, all, since),
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

fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    logging::say(&format!("error: {error}"));
    ExitCode::from(code)
}

/// Says everything that is wrong with the settings.
fn fail_all(errors: &[ConfigError]) -> ExitCode {
    errors.iter().for_each(|error| logging::say(&format!("error: {error}")));
    ExitCode::from(2)
}

fn print(lines: &[String]) -> ExitCode {
    let mut output = Output::default();
    lines.iter().for_each(|line| output.say(line));
    output.end(ExitCode::SUCCESS)
}

/// Says that the settings are valid, what may be a mistake, and if `connect` whether the cache folder can be used and each
/// origin be reached. The exit code is 1 if something cannot.
fn check(config: &Config, connect: bool) -> ExitCode {
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

/// What the program writes to stdout.
#[derive(Default)]
struct Output {
    /// The first line that could not be written, and why.
    failed: Option<io::Error>,
    /// Nobody reads it any more.
    ended: bool,
}

impl Output {
    fn say(&mut self, line: &str) {
        self.note(writeln!(io::stdout(), "{line}"));
    }

    fn note(&mut self, written: io::Result<()>) {
        match written {
            // whoever stopped reading does not want to know
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => drop(self.failed.get_or_insert(error)),
            Err(_) => self.ended = true,
            Ok(()) => {}
        }
    }

    /// Returns the exit code of the program, which is `code` if everything could be written.
    fn end(mut self, code: ExitCode) -> ExitCode {
        self.note(io::stdout().flush());
        match self.failed {
            Some(error) => fail(1, &format!("cannot write to stdout: {error}")),
            None => code,
        }
    }
}

/// Clears each folder, even if another one could not be cleared, and says what it removed.
fn clear(folders: &Folders) -> ExitCode {
    let mut output = Output::default();
    let code = each(folders, |folder| {
        let cleared = admin::clear::clear(folder, offline_clear)?;
        let Some(Cleared { responses, bytes }) = cleared else { return Ok(false) };
        output.say(&format!("{}: removed {}, {}", folder.display(), show_responses(responses), show_size(bytes)));
        Ok(true)
    });
    output.end(code)
}

/// Has each running Larder read its settings once more. The exit code is 2 if one of them refuses, and 1 if none runs.
/// `decided_by`: the setting of the file that decides the folder.
fn reload(folders: &Folders, decided_by: Option<&str>) -> ExitCode {
    let (place, paths) = match folders {
        Folders::One(folder) => (folder, Ok(vec![folder.clone()])),
        Folders::Below(parent) => (parent, below(parent)),
    };
    let paths = match paths {
        Ok(paths) => paths,
        Err(error) => return fail(1, &format!("cannot list {}: {error}", place.display())),
    };
    let (mut output, mut code, mut reloaded) = (Output::default(), ExitCode::SUCCESS, false);
    for path in paths {
        match admin::ask(&path, &admin::Command::Reload) {
            Ok(changes) => output.say(&format!("reloaded: {}", changes.as_str().unwrap_or_default())),
            Err(AskError::NotRunning) => continue,
            Err(AskError::Refused(problems)) => code = problems.lines().fold(code, |_, line| fail(2, &line)),
            Err(error) => code = fail(1, &format!("{}: {error}", path.display())),
        }
        reloaded = true;
    }
    if reloaded {
        return output.end(code);
    }
    let changed = decided_by.map(|setting| {
        format!(
            "; if {setting} has changed since Larder was started, that needs a restart of Larder; nothing has changed"
        )
    });
    fail(1, &format!("no Larder is running on {}{}", place.display(), changed.unwrap_or_default()))
}

/// The time between two looks of `--watch`.
const WATCH: Duration = Duration::from_secs(2);

/// Clears the screen of a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows the numbers again and again: on a terminal in place of those before, in a pipe as one line. Ends with a signal, when
/// nobody reads them any more, or if there are none.
fn watch(folders: &Folders, json: bool, all: bool, since: Option<Seconds>) -> ExitCode {
    let mut output = Output::default();
    loop {
        let (lines, code) = stats(folders, json, all, since);
        if code != ExitCode::SUCCESS || output.ended {
            return output.end(code);
        }
        if terminal::stdout().columns {
            output.say(&format!("{CLEAR}{}", lines.join("\n")));
        } else {
            output.say(&lines.join("; "));
        }
        std::thread::sleep(WATCH);
    }
}

/// Returns the numbers of each folder as lines.
fn stats(folders: &Folders, json: bool, all: bool, since: Option<Seconds>) -> (Vec<String>, ExitCode) {
    let hides = matches!(folders, Folders::Below(_)) && !all;
    let (mut numbers, mut shown, mut hidden) = (Map::new(), 0, 0);
    let mut lines = Vec::new();
    let code = each(folders, |folder| {
        let Some(stats) = admin::stats(folder, since, offline_stats)? else { return Ok(false) };
        if json {
            numbers.insert(folder.display().to_string(), stats);
        } else if hides && admin::is_empty(&stats) {
            hidden += 1;
        } else {
            if shown > 0 {
                lines.push(String::new());
            }
            shown += 1;
            lines.extend(admin::show(folder, &stats, terminal::stdout()));
        }
        Ok(true)
    });
    if json {
        lines.push(Value::Object(numbers).to_string());
    }
    match hidden {
        0 => {}
        1 => lines.push("1 empty cache of another origin is not shown (--all)".to_owned()),
        _ => lines.push(format!("{hidden} empty caches of other origins are not shown (--all)")),
    }
    (lines, code)
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
    let (mut list, mut output) = (commands::List::new(arguments, place), Output::default());
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
    let mut failed = None;
    let mut say = |line: &str| {
        let mut stdout = io::stdout();
        match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => false,
            Err(error) => {
                failed.get_or_insert(error);
                true
            }
            Ok(()) => true,
        }
    };
    let ended = commands::tail(arguments, folders, terminal::stdout(), &mut say);
    match (ended, failed) {
        (Err(error), _) => fail(1, &error),
        (Ok(()), Some(error)) => fail(1, &format!("cannot write to stdout: {error}")),
        (Ok(()), None) => ExitCode::SUCCESS,
    }
}

/// The exit code of `larder explain --exit-code` if the request would not be answered from the cache.
const NO_HIT: u8 = 4;

/// The exit code if there is no cache to show or to clear, or nothing in it that was asked for.
const NO_CACHE: u8 = 3;

/// Does `work` for each cache folder, and says so if there is none. `work` returns false if the folder is gone. The exit
/// code is 1 if `work` failed for one of them, and [`NO_CACHE`] if there is none.
fn each(folders: &Folders, mut work: impl FnMut(&Path) -> Result<bool, String>) -> ExitCode {
    let (place, paths) = match folders {
        Folders::One(folder) => (folder, vec![folder.clone()]),
        Folders::Below(parent) => match below(parent) {
            Ok(paths) => (parent, paths),
            Err(error) => return fail(1, &format!("cannot list {}: {error}", parent.display())),
        },
    };
    let (mut code, mut found) = (ExitCode::SUCCESS, false);
    for path in paths.iter().filter(|path| store::is_cache(path)) {
        match work(path) {
            Ok(there) => found |= there,
            Err(error) => {
                found = true;
                let named = error.contains(&*path.to_string_lossy());
                code = if named { fail(1, &error) } else { fail(1, &format!("{}: {error}", path.display())) };
            }
        }
    }
    if !found {
        logging::say(&format!("there is no cache at {}; --cache-dir names another folder", place.display()));
        return ExitCode::from(NO_CACHE);
    }
    code
}

fn below(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let folders = match std::fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        folders => folders?,
    };
    let mut paths: Vec<PathBuf> = folders.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    Ok(paths)
}

fn offline_clear(folder: &Path) -> Result<Cleared, String> {
    store::clear_folder(folder).map_err(|error| error.to_string())
}

/// Returns the numbers of a cache folder that no Larder runs on.
fn offline_stats(folder: &Path) -> Result<Value, String> {
    if !folder.is_dir() {
        return Err(OpenError::NotAFolder(folder.to_owned()).to_string());
    }
    let stats = store::stats_of(folder).map_err(|error| error.to_string())?;
    Ok(json!({
        "state": "not running",
        "responses": stats.responses,
        "bytes": stats.bytes,
        "disk_used": stats.disk_used,
        "set_aside": stats.set_aside,
    }))
}
