//! `larder --clear-cache`.

use std::{path::Path, process::ExitCode};

use super::{folders::each, output::Output};
use crate::{
    admin,
    config::Folders,
    store::{self, Cleared},
    units::{show_responses, show_size},
};

/// Clears each folder, even if another one could not be cleared, and says what it removed.
pub fn clear(folders: &Folders) -> ExitCode {
    let mut output = Output::default();
    let code = each(folders, |folder| {
        let cleared = admin::clear::clear(folder, offline_clear)?;
        let Some(Cleared { responses, bytes }) = cleared else { return Ok(false) };
        output.say(&format!("{}: removed {}, {}", folder.display(), show_responses(responses), show_size(bytes)));
        Ok(true)
    });
    output.end(code)
}

fn offline_clear(folder: &Path) -> Result<Cleared, String> {
    store::clear_folder(folder).map_err(|error| error.to_string())
}
