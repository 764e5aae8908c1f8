//! `larder stats`.

use std::{path::Path, process::ExitCode, time::Duration};

use serde_json::{Map, Value, json};

use super::{folders::each, output::Output};
use crate::{
    admin,
    clock::Seconds,
    config::Folders,
    store::{self, OpenError},
    terminal,
};

/// The time between two looks of `--watch`.
const WATCH: Duration = Duration::from_secs(2);

/// Clears the screen of a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Shows the numbers of each folder. `since`: only what was counted in this span up to now. `watch`: it shows them again and
/// again, on a terminal in place of those before, in a pipe as one line. That ends with a signal, when nobody reads them any more,
/// or if there are none.
pub fn stats(folders: &Folders, json: bool, all: bool, watch: bool, since: Option<Seconds>) -> ExitCode {
    let mut output = Output::default();
    loop {
        let (lines, code) = lines(folders, json, all, since);
        if !watch {
            lines.iter().for_each(|line| output.say(line));
        }
        if !watch || code != ExitCode::SUCCESS || output.has_ended() {
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
fn lines(folders: &Folders, json: bool, all: bool, since: Option<Seconds>) -> (Vec<String>, ExitCode) {
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
