//! `larder reload`.

use std::process::ExitCode;

use super::{
    folders::{paths, place},
    output::{Output, fail},
};
use crate::{
    admin::{self, AskError},
    config::Folders,
};

/// Has each running Larder read its settings once more. The exit code is 2 if one of them refuses, and 1 if none runs.
/// `decided_by`: the setting of the file that decides the folder.
pub fn reload(folders: &Folders, decided_by: Option<&str>) -> ExitCode {
    let paths = match paths(folders) {
        Ok(paths) => paths,
        Err(error) => return fail(1, &error),
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
    fail(1, &format!("no Larder is running on {}{}", place(folders).display(), changed.unwrap_or_default()))
}
