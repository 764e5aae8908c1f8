//! Lists and purges what is stored, for `larder ls` and `larder purge`: of a running Larder, or of a folder that none runs on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    admin::{
        Command, Item,
        list::{ListRequest, Listed, Row, SORTED, Sort},
    },
    clock::{self, Clock},
    message::StoredHead,
    policy::{self, freshness::outlook},
    proxy::Directory,
    rules::PathPattern,
    store::{self, Store},
};

/// The least time between two reports of the progress.
const REPORT: Duration = Duration::from_secs(1);

/// Takes the items of an answer. An error ends the work.
pub(super) type Items<'a> = dyn FnMut(Vec<Item>) -> Result<(), String> + 'a;

/// What is stored, and what is known of its sites.
pub(super) struct Inventory<'a> {
    pub store: &'a Store,
    pub directory: Directory<'a>,
    /// For responses of no known site.
    pub policy: Arc<policy::Options>,
    pub clock: &'a Clock,
}

/// Reports the progress of a scan, now and then.
pub(super) struct Progress {
    looked_at: u64,
    reported: std::time::Instant,
}

impl Progress {
    pub fn new() -> Progress {
        Progress { looked_at: 0, reported: clock::instant() }
    }

    /// Counts so many more.
    pub fn add(&mut self, more: usize, items: &mut Items<'_>) -> Result<(), String> {
        self.looked_at += more as u64;
        if self.reported.elapsed() < REPORT {
            return Ok(());
        }
        self.reported = clock::instant();
        items(vec![Item::LookedAt(self.looked_at)])
    }

    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }
}

impl Inventory<'_> {
    /// Answers a command about what is stored. Blocks.
    pub fn answer(&self, command: &Command, items: &mut Items<'_>) -> Result<Value, String> {
        // of its own: a client that reads slowly holds up nobody else
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let rt = rt.map_err(|error| error.to_string())?;
        let answer = match command {
            Command::Purge(request) => serde_json::to_value(rt.block_on(self.purge(request, items))?),
            Command::List(request) => serde_json::to_value(rt.block_on(self.list(request, items))?),
            _ => return Err("this command is not about what is stored".to_owned()),
        };
        answer.map_err(|error| error.to_string())
    }

    /// Lists what is stored: unsorted as it is read, sorted at the end.
    pub async fn list(&self, request: &ListRequest, items: &mut Items<'_>) -> Result<Listed, String> {
        let pattern = request.glob.as_deref().map(PathPattern::new).transpose()?;
        let (mut listed, mut progress) = (Listed::default(), Progress::new());
        let mut sorted: Vec<Row> = Vec::new();
        let mut scan = self.store.scan().await;
        loop {
            let page = scan.next_page().await.map_err(|error| error.to_string())?;
            if page.is_empty() {
                break;
            }
            let looked_at = page.len();
            let fits = |stored: &store::Listed| {
                let path = stored.head.line.path_and_query();
                pattern.as_ref().is_none_or(|pattern| pattern.matches(path))
            };
            let rows: Vec<Row> = page.iter().filter(|stored| fits(stored)).map(|stored| self.row(stored)).collect();
            listed.responses += rows.len() as u64;
            listed.bytes += rows.iter().map(|row| row.size).sum::<u64>();
            match request.sort {
                None if rows.is_empty() => {}
                None => {
                    listed.shown += rows.len() as u64;
                    items(rows.into_iter().map(|row| Item::Row(Box::new(row))).collect())?;
                }
                Some(sort) => {
                    sorted.extend(rows);
                    if sorted.len() >= 2 * SORTED {
                        cut(&mut sorted, sort);
                    }
                }
            }
            progress.add(looked_at, items)?;
        }
        if let Some(sort) = request.sort {
            cut(&mut sorted, sort);
            listed.shown = sorted.len() as u64;
            items(sorted.into_iter().map(|row| Item::Row(Box::new(row))).collect())?;
        }
        listed.stored = progress.looked_at();
        Ok(listed)
    }

    fn row(&self, stored: &store::Listed) -> Row {
        let store::Listed { head, hits, length, standing, .. } = stored;
        let now = self.outlook_of(head, *standing);
        let nominated = head.nominated.iter().map(|(name, _)| name.as_str().to_owned());
        let state = match now {
            now if now.must_validate => "validate",
            now if now.is_stale() => "stale",
            _ => "fresh",
        };
        Row {
            url: self.directory.name(head),
            method: head.line.method.as_str().to_owned(),
            status: head.head.status.as_u16(),
            hits: *hits,
            size: *length,
            age: now.age.0,
            left: now.left,
            state: state.to_owned(),
            vary: nominated.collect(),
            part: head.part.map(|part| (part.first, part.last)),
            origin: head.line.site().to_owned(),
        }
    }

    /// Returns what a stored response is good for, by the policy that its requests get.
    pub fn outlook_of(&self, head: &StoredHead, standing: crate::purge::Standing) -> policy::freshness::Outlook {
        let options = self.directory.options(head, &self.policy);
        outlook(head, standing, self.clock.now(), &options)
    }
}

/// Sorts the rows, and leaves the first ones.
fn cut(rows: &mut Vec<Row>, sort: Sort) {
    match sort {
        Sort::Size => rows.sort_by_key(|row| std::cmp::Reverse(row.size)),
        Sort::Age => rows.sort_by_key(|row| std::cmp::Reverse(row.age)),
        Sort::Hits => rows.sort_by_key(|row| std::cmp::Reverse(row.hits)),
        Sort::Expires => rows.sort_by_key(|row| row.left),
    }
    rows.truncate(SORTED);
}

/// Counts names, and keeps the first ones.
#[derive(Default)]
pub(super) struct Names {
    order: Vec<String>,
    counts: HashMap<String, u64>,
}

impl Names {
    pub fn add(&mut self, name: String, most: usize) {
        match self.counts.get_mut(&name) {
            Some(count) => *count += 1,
            None if self.order.len() < most => {
                self.order.push(name.clone());
                self.counts.insert(name, 1);
            }
            None => {}
        }
    }

    pub fn all(self) -> Vec<(String, u64)> {
        let Names { order, counts } = self;
        order
            .into_iter()
            .map(|name| {
                let count = counts.get(&name).copied().unwrap_or(0);
                (name, count)
            })
            .collect()
    }
}
