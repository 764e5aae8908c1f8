//! `larder ls`.

use std::path::Path;

use super::{ask, bar::Progress, check_glob};
use crate::{
    admin::{
        Command, Item,
        list::{ListRequest, Listed, Sort, header},
    },
    cli::{ListArguments, SortBy},
    config::Place,
    terminal,
};

/// Lists what is stored in several folders.
pub struct List<'a> {
    arguments: &'a ListArguments,
    place: &'a Place,
    rows: u64,
}

impl List<'_> {
    /// The error says what is wrong with the arguments.
    pub fn new<'a>(arguments: &'a ListArguments, place: &'a Place) -> Result<List<'a>, String> {
        arguments.glob.as_deref().map_or(Ok(()), |glob| check_glob("GLOB", glob))?;
        Ok(List { arguments, place, rows: 0 })
    }

    /// Lists the responses that are stored in a folder, and calls `say` with each line. Returns false if the folder does not
    /// exist.
    pub fn folder(&mut self, folder: &Path, say: &mut dyn FnMut(&str)) -> Result<bool, String> {
        let ListArguments { glob, sort, long, json } = self.arguments;
        let sort = sort.map(|sort| match sort {
            SortBy::Size => Sort::Size,
            SortBy::Age => Sort::Age,
            SortBy::Hits => Sort::Hits,
            SortBy::Expires => Sort::Expires,
        });
        let command = Command::List(ListRequest { glob: glob.clone(), sort });
        let (style, progress, mut rows) = (terminal::stdout(), Progress::of_scan(), 0_u64);
        let listed: Option<Listed> = ask(folder, self.place, &command, &mut |item| match item {
            Item::LookedAt(count) => progress.show(count),
            Item::Row(row) => {
                progress.wipe();
                if *json {
                    serde_json::to_string(&row).iter().for_each(|line| say(line));
                } else {
                    header(*long, style).filter(|_| rows == 0).iter().for_each(|line| say(line));
                    say(&row.show(*long, style));
                }
                rows += 1;
            }
        })?;
        progress.wipe();
        self.rows += rows;
        let Some(listed) = listed else { return Ok(false) };
        if rows > 0 && !json {
            listed.show(style).iter().for_each(|line| say(line));
        }
        Ok(true)
    }

    /// Returns what to say if nothing was listed. The exit code is 3 then.
    pub fn nothing(&self) -> Option<String> {
        let what = match &self.arguments.glob {
            Some(glob) => format!("nothing is stored that {glob} matches"),
            None => "nothing is stored".to_owned(),
        };
        (self.rows == 0).then_some(what)
    }
}
