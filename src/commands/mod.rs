//! The commands that a user types besides the one that serves: each asks the Larder that runs on a cache folder, or else opens
//! the folder itself.

mod bar;
mod check;
mod clear;
mod explain;
mod folders;
mod list;
mod output;
mod place;
mod purge;
mod reload;
mod sitemap;
mod stats;
mod tail;
mod warm;

use std::path::Path;

use serde::de::DeserializeOwned;

pub use self::{
    check::check,
    clear::clear,
    explain::explain,
    folders::{NO_CACHE, each},
    list::List,
    output::{Output, fail, fail_all},
    purge::Purge,
    reload::reload,
    stats::stats,
    tail::tail,
    warm::{Warmed, warm},
};
use crate::{
    admin::{self, AskError, Command, Item},
    config::Place,
    rules::PathPattern,
    server,
};

/// Checks a glob of paths, before any folder is looked at. `name`: what the user knows it by.
fn check_glob(name: &str, glob: &str) -> Result<(), String> {
    PathPattern::new(glob).map(drop).map_err(|problem| format!("invalid {name} {glob:?}: {problem}"))
}

/// Asks the Larder that runs on this folder. If none runs, it opens the folder itself. Calls `item` with each item of the answer.
/// Returns `None` if the folder does not exist.
fn ask<T: DeserializeOwned>(
    folder: &Path,
    place: &Place,
    command: &Command,
    item: &mut dyn FnMut(Item),
) -> Result<Option<T>, String> {
    let asked = admin::ask_each(folder, command, |value| {
        // items of a later version are passed over
        serde_json::from_value(value).into_iter().for_each(&mut *item);
    });
    let answer = match asked {
        Ok(answer) => answer,
        Err(AskError::NotRunning) if !folder.exists() => return Ok(None),
        Err(AskError::NotRunning) => {
            let mut items = |items: Vec<Item>| {
                items.into_iter().for_each(&mut *item);
                Ok(())
            };
            server::offline(folder, place.config.as_ref(), &place.policy, command, &mut items)?
        }
        Err(AskError::Refused(why)) => return Err(why),
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_value(answer).map(Some).map_err(|error| format!("the running Larder answered: {error}"))
}
