//! `larder purge`.

use std::{
    collections::HashMap,
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

use super::{ask, bar::Progress, check_glob};
use crate::{
    admin::{
        Command, Item, LONGEST_LINE,
        purge::{PurgeRequest, Purged, URLS, What},
    },
    cli::PurgeArguments,
    config::Place,
    purge::Target,
};

/// The most URLs on standard input.
const LINES: usize = 1_000_000;

/// Removes responses from several folders.
pub struct Purge<'a> {
    place: &'a Place,
    request: PurgeRequest,
    is_json: bool,
    purged: Purged,
    /// How many folders do not know a URL, and why.
    foreign: HashMap<String, (usize, String)>,
    folders: usize,
}

impl Purge<'_> {
    /// Reads the URLs of standard input, if one of them is `-`. The error says what is wrong with the arguments.
    pub fn new<'a>(arguments: &'a PurgeArguments, place: &'a Place) -> Result<Purge<'a>, String> {
        let PurgeArguments { soft, dry_run, count, yes, json, .. } = *arguments;
        let request = PurgeRequest { what: what(arguments)?, soft, dry_run, count, yes };
        let purged = Purged::none();
        Ok(Purge { place, request, is_json: json, purged, foreign: HashMap::new(), folders: 0 })
    }

    /// Purges responses in a cache folder. Returns false if the folder does not exist.
    pub fn folder(&mut self, folder: &Path) -> Result<bool, String> {
        let requests = in_parts(&self.request);
        for request in requests {
            let Some(mut purged) = self.ask(folder, request.clone())? else { return Ok(false) };
            if purged.is_everything {
                confirm(&request.what, &purged)?;
                let confirmed = PurgeRequest { yes: true, ..request };
                purged = self.ask(folder, confirmed)?.unwrap_or_default();
            }
            for (url, why) in std::mem::take(&mut purged.foreign) {
                self.foreign.entry(url).or_insert((0, why)).0 += 1;
            }
            self.purged.add(purged);
        }
        self.folders += 1;
        Ok(true)
    }

    fn ask(&self, folder: &Path, request: PurgeRequest) -> Result<Option<Purged>, String> {
        let progress = Progress::of_scan();
        let answer = ask(folder, self.place, &Command::Purge(request), &mut |item| {
            if let Item::LookedAt(count) = item {
                progress.show(count);
            }
        });
        progress.wipe();
        answer
    }

    /// Says what was removed: lines for stdout, and lines for stderr. The exit code is 3 if nothing was, and 1 if a URL is of
    /// no site.
    pub fn end(self) -> (Vec<String>, Vec<String>, u8) {
        let Purge { request, folders, foreign, is_json, .. } = self;
        let purged = Purged { dry_run: request.dry_run, ..self.purged };
        let of_nobody = foreign.into_values().filter(|(count, _)| *count >= folders);
        let mut problems: Vec<String> = of_nobody.map(|(_, why)| format!("error: {why}")).collect();
        problems.sort();
        let is_foreign = !problems.is_empty();
        let is_nothing = purged.responses == Some(0);
        if !is_foreign || matches!(request.what, What::Urls(_)) {
            problems.extend(purged.show_missing(&request.what));
        }
        let lines = match is_json {
            true => serde_json::to_string(&purged).into_iter().collect(),
            false => purged.show(&request.what, request.soft),
        };
        let code = match (is_foreign, is_nothing) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        };
        (lines, problems, code)
    }
}

/// Returns what the arguments name. They must name one thing.
fn what(arguments: &PurgeArguments) -> Result<What, String> {
    let PurgeArguments { urls, prefix, tag, glob, stale, all, .. } = arguments;
    let mut named = Vec::new();
    if !urls.is_empty() {
        named.push(What::Urls(Vec::new()));
    }
    named.extend(prefix.clone().map(What::Prefix));
    named.extend(tag.clone().map(What::Tag));
    named.extend(glob.clone().map(What::Glob));
    named.extend(stale.then_some(What::Stale));
    named.extend(all.then_some(What::All));
    let expected = "name URLs, --prefix, --tag, --glob, --stale or --all, for example larder purge /products/1";
    match (named.pop(), named.is_empty()) {
        (None, _) => Err(format!("missing what to purge: {expected}")),
        (Some(_), false) => Err(format!("more than one thing to purge: {expected}")),
        (Some(What::Tag(tag)), true) if tag.trim().is_empty() => {
            Err("invalid --tag \"\": expected a tag, for example product-1".to_owned())
        }
        (Some(What::Glob(glob)), true) => check_glob("--glob", &glob).map(|()| What::Glob(glob)),
        (Some(What::Prefix(prefix)), true) if !prefix.contains("://") => match Target::prefix("", None, &prefix) {
            Ok(_) => Ok(What::Prefix(prefix)),
            Err(error) => Err(error.to_string()),
        },
        (Some(What::Urls(_)), true) => all_urls(urls).map(What::Urls),
        (Some(what), true) => Ok(what),
    }
}

/// Returns the URLs, those of standard input in place of `-`.
fn all_urls(urls: &[String]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for url in urls {
        if url != "-" {
            all.push(url.clone());
            continue;
        }
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|error| format!("cannot read standard input: {error}"))?;
            let line = line.trim();
            if all.len() >= LINES {
                return Err(format!("more than {LINES} URLs on standard input; send them in parts"));
            }
            if !line.is_empty() {
                all.push(line.to_owned());
            }
        }
    }
    if all.is_empty() { Err("there is no URL on standard input".to_owned()) } else { Ok(all) }
}

/// Splits a request of many URLs into several.
fn in_parts(request: &PurgeRequest) -> Vec<PurgeRequest> {
    let What::Urls(urls) = &request.what else { return vec![request.clone()] };
    let (mut parts, mut size) = (vec![Vec::new()], 0);
    for url in urls {
        // as JSON, a byte has six at most
        let longest = url.len() * 6 + 3;
        let part = parts.last().map_or(0, Vec::len);
        if part >= URLS || size + longest > LONGEST_LINE / 2 && part > 0 {
            parts.push(Vec::new());
            size = 0;
        }
        size += longest;
        parts.last_mut().into_iter().for_each(|part| part.push(url.clone()));
    }
    parts.into_iter().map(|urls| PurgeRequest { what: What::Urls(urls), ..request.clone() }).collect()
}

/// Asks on a terminal whether everything may be removed. The error says that it was not confirmed.
fn confirm(what: &What, purged: &Purged) -> Result<(), String> {
    let What::Glob(glob) = what else { return Ok(()) };
    let count = purged.responses.unwrap_or_default();
    if !io::stdin().is_terminal() {
        return Err(format!("{glob} matches everything that is stored ({count}): nothing is removed; add --yes"));
    }
    let _ = write!(io::stderr(), "{glob} matches everything that is stored ({count}). Remove it? [y/N] ");
    let mut answer = String::new();
    let _ = io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err("nothing is removed".to_owned()),
    }
}
