//! Purges what an operator names: by rules, which search nothing, or by URLs that a scan has found.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures_util::future::try_join_all;

use super::inventory::{Inventory, Items, Names, Progress};
use crate::{
    admin::purge::{MATCHED, NAMED, PurgeRequest, Purged, URLS, What},
    proxy::{LocateError, Located},
    purge::{Index, Liveness, Position, Rule, Stored, Strength, Target},
    rules::PathPattern,
    store::{self, Slot},
};

/// How long a scan takes at most that looks for the nearest URL, or for what no key finds.
const NEAREST: Duration = Duration::from_millis(300);

/// Names that are less similar than this, from 0 to 1, are not told.
const SIMILAR: f64 = 0.7;

/// The longest URL, in bytes, that is compared with others.
const COMPARED: usize = 256;

/// So many rules are made durable together. More would be too many to wait for the journal.
const TOGETHER: usize = URLS;

/// The number of responses, and the bytes of their bodies.
#[derive(Default, Clone, Copy)]
struct Found {
    responses: u64,
    bytes: u64,
}

impl Found {
    fn add(&mut self, length: u64) {
        self.responses += 1;
        self.bytes += length;
    }
}

impl Inventory<'_> {
    /// Removes what a request names, or says what it would remove.
    pub async fn purge(&self, request: &PurgeRequest, items: &mut Items<'_>) -> Result<Purged, String> {
        let purged = match &request.what {
            What::Urls(urls) => self.purge_urls(urls, request).await?,
            What::Prefix(prefix) => {
                let targets = self.directory.prefix(prefix);
                match targets {
                    Ok(targets) => self.purge_by(targets, request, items).await?,
                    Err(error @ LocateError::Foreign { .. }) => {
                        Purged { foreign: vec![(prefix.clone(), error.to_string())], ..Purged::none() }
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
            What::Tag(tag) => self.purge_by(vec![Target::tag(tag)], request, items).await?,
            What::All => {
                let is_empty = self.store.stats().responses == 0;
                let purged = self.purge_by(vec![Target::All], request, items).await?;
                if is_empty { Purged::none() } else { purged }
            }
            What::Glob(glob) => {
                let pattern = PathPattern::new(glob)?;
                let fits = |stored: &store::Listed| pattern.matches(stored.head.line.path_and_query());
                self.purge_matching(fits, request, !request.yes, items).await?
            }
            What::Stale => {
                let is_stale = |stored: &store::Listed| self.outlook_of(&stored.head, stored.standing).is_stale();
                self.purge_matching(is_stale, request, false, items).await?
            }
        };
        Ok(Purged { dry_run: request.dry_run, ..purged })
    }

    /// Puts rules in force, and waits until they are durable.
    async fn add_rules(&self, targets: &[Target], request: &PurgeRequest) -> Result<(), String> {
        if request.dry_run {
            return Ok(());
        }
        let strength = if request.soft { Strength::Soft } else { Strength::Hard };
        for some in targets.chunks(TOGETHER) {
            let purges = some.iter().map(|target| self.store.purge(*target, strength, self.clock.wall()));
            try_join_all(purges).await.map_err(|error| {
                format!("purged, but not on the disk yet, so that a crash may take it back: {error}")
            })?;
        }
        Ok(())
    }

    /// Purges by rules. Counts before, if that is asked for.
    async fn purge_by(
        &self,
        targets: Vec<Target>,
        request: &PurgeRequest,
        items: &mut Items<'_>,
    ) -> Result<Purged, String> {
        let mut purged = Purged::default();
        if request.count || request.dry_run {
            let mut index = Index::default();
            let position = Position { milliseconds: u64::MAX, sequence: u64::MAX };
            targets.iter().for_each(|target| index.add(Rule { target: *target, strength: Strength::Hard, position }));
            let (mut found, mut names, mut progress) = (Found::default(), Names::default(), Progress::new());
            self.each(async |page: Vec<store::Listed>| {
                for stored in page.iter().filter(|stored| reaches(&index, stored)) {
                    found.add(stored.length);
                    names.add(self.directory.name(&stored.head), NAMED);
                }
                progress.add(page.len(), items)
            })
            .await?;
            (purged.responses, purged.bytes, purged.urls) = (Some(found.responses), Some(found.bytes), names.all());
        }
        self.add_rules(&targets, request).await?;
        Ok(purged)
    }

    /// Purges the URLs of what fits, all methods and variants of them. `asks`: not if that is everything.
    async fn purge_matching(
        &self,
        fits: impl Fn(&store::Listed) -> bool,
        request: &PurgeRequest,
        asks: bool,
        items: &mut Items<'_>,
    ) -> Result<Purged, String> {
        let (mut found, mut names, mut progress) = (Found::default(), Names::default(), Progress::new());
        let (mut targets, mut more) = (HashSet::new(), false);
        let mut matched = 0;
        self.each(async |page: Vec<store::Listed>| {
            for stored in page.iter().filter(|stored| fits(stored)) {
                matched += 1;
                let line = &stored.head.line;
                let target = Target::url(line.site(), Some(line.authority()), line.path_and_query());
                let is_full = targets.len() >= MATCHED;
                if is_full && !request.dry_run && !targets.contains(&target) {
                    more = true;
                    continue;
                }
                if !is_full {
                    targets.insert(target);
                }
                found.add(stored.length);
                names.add(self.directory.name(&stored.head), NAMED);
            }
            progress.add(page.len(), items)
        })
        .await?;
        let purged = Purged {
            responses: Some(found.responses),
            bytes: Some(found.bytes),
            urls: names.all(),
            more,
            ..Purged::default()
        };
        if asks && !request.dry_run && matched > 0 && matched == progress.looked_at() {
            return Ok(Purged { is_everything: true, ..purged });
        }
        self.add_rules(&targets.into_iter().collect::<Vec<_>>(), request).await?;
        Ok(purged)
    }

    /// Looks at everything that is stored.
    async fn each(&self, mut look: impl AsyncFnMut(Vec<store::Listed>) -> Result<(), String>) -> Result<(), String> {
        let mut scan = self.store.scan().await;
        loop {
            let page = scan.next_page().await.map_err(|error| error.to_string())?;
            if page.is_empty() {
                return Ok(());
            }
            look(page).await?;
        }
    }

    async fn purge_urls(&self, urls: &[String], request: &PurgeRequest) -> Result<Purged, String> {
        if urls.len() > URLS {
            return Err(format!("{} URLs in one request; expected at most {URLS}", urls.len()));
        }
        let (mut located, mut foreign) = (Vec::new(), Vec::new());
        for url in urls {
            match self.directory.url(url) {
                Ok(found) => located.push((url, found)),
                Err(error @ LocateError::Foreign { .. }) => foreign.push((url.clone(), error.to_string())),
                Err(error) => return Err(error.to_string()),
            }
        }
        let mut found = vec![Found::default(); located.len()];
        for ((_, located), found) in located.iter().zip(&mut found) {
            for key in located.keys.iter().flatten() {
                self.count(key, found).await;
            }
        }
        let (is_complete, nearest) = self.look(&located, &mut found).await;
        let targets: Vec<Target> = located.iter().flat_map(|(_, located)| located.targets.iter().copied()).collect();
        self.add_rules(&targets, request).await?;
        let is_known = |nth: usize| found[nth].responses > 0 || is_complete || located[nth].1.keys.is_some();
        let of =
            |count: fn(&Found) -> u64| (0..located.len()).all(is_known).then(|| found.iter().map(count).sum::<u64>());
        let is_missing = |nth: &usize| found[*nth].responses == 0 && is_known(*nth);
        let missing: Vec<&String> = (0..located.len()).filter(is_missing).map(|nth| located[nth].0).collect();
        let there = located.iter().zip(&found).filter(|(_, found)| found.responses > 0);
        Ok(Purged {
            responses: of(|found| found.responses),
            bytes: of(|found| found.bytes),
            urls: there.take(NAMED).map(|((url, _), found)| ((*url).clone(), found.responses)).collect(),
            missing_count: missing.len() as u64,
            missing: missing.into_iter().take(NAMED).cloned().collect(),
            nearest,
            foreign,
            ..Purged::default()
        })
    }

    /// Counts what is stored under a key.
    async fn count(&self, key: &crate::key::CacheKey, found: &mut Found) {
        match self.store.peek(key).await {
            Some(Slot::Response(stored)) => found.add(stored.body.length()),
            Some(Slot::Variants(variants)) => {
                for variant in variants.iter() {
                    if let Some(Slot::Response(stored)) = self.store.peek(&variant.key).await {
                        found.add(stored.body.length());
                    }
                }
            }
            None => {}
        }
    }

    /// Looks for a short while through what is stored: for URLs whose keys are not known, and for the name that is most
    /// similar to the first one that has nothing. Returns whether all was looked at, and that name.
    async fn look(&self, located: &[(&String, Located)], found: &mut [Found]) -> (bool, Option<String>) {
        let unknown: HashMap<Target, usize> = located
            .iter()
            .enumerate()
            .filter(|(_, (_, located))| located.keys.is_none())
            .flat_map(|(nth, (_, located))| located.targets.iter().map(move |target| (*target, nth)))
            .collect();
        let without = located.iter().zip(&*found).find(|((_, of), found)| of.keys.is_some() && found.responses == 0);
        let first_unknown = located.iter().find(|(_, located)| located.keys.is_none());
        let Some(asked) = without.map(|(located, _)| located).or(first_unknown).map(|(url, _)| url.as_str()) else {
            return (true, None);
        };
        let path = asked.split_once("://").map_or(asked, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        let mut nearest: Option<(f64, String)> = None;
        let looking = self.each(async |page: Vec<store::Listed>| {
            for stored in &page {
                let line = &stored.head.line;
                let of = |authority| Target::url(line.site(), authority, line.path_and_query());
                let nth = unknown.get(&of(None)).or_else(|| unknown.get(&of(Some(line.authority()))));
                if let Some(nth) = nth {
                    found[*nth].add(stored.length);
                    continue;
                }
                if line.path_and_query().len() > COMPARED {
                    continue;
                }
                let rate = strsim::jaro_winkler(path, line.path_and_query());
                if rate > nearest.as_ref().map_or(SIMILAR, |(best, _)| *best) {
                    nearest = Some((rate, self.directory.name(&stored.head)));
                }
            }
            Ok(())
        });
        let is_complete = matches!(tokio::time::timeout(NEAREST, looking).await, Ok(Ok(())));
        (is_complete, nearest.map(|(_, name)| name).filter(|_| is_complete))
    }
}

/// Returns true if a rule of the index reaches a stored response.
fn reaches(index: &Index, stored: &store::Listed) -> bool {
    let head = &stored.head;
    let seen = Stored {
        position: head.position,
        site: head.line.site(),
        authority: head.line.authority(),
        path_and_query: head.line.path_and_query(),
        tags: &head.tags,
    };
    index.standing(&seen).liveness != Liveness::Alive
}
