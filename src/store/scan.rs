//! Lists everything that is stored, and looks single responses up, without counting that as use.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use super::{
    Slot, Store, StoreError,
    format::{
        print::Print,
        record::{self, RecordBody},
    },
    hop::patient_hop,
    tiers::shared::Shared,
};
use crate::{
    key::CacheKey,
    message::StoredHead,
    purge::{Liveness, Standing},
};

/// A stored response without its body.
#[derive(Debug, Clone)]
pub struct Listed {
    pub key: CacheKey,
    /// The key of its URL.
    pub primary: CacheKey,
    pub head: StoredHead,
    /// How often it has answered since it came into memory. `None`: it is not in memory.
    pub hits: Option<u64>,
    /// Bytes of the body.
    pub length: u64,
    /// The standing of the response by the purge rules.
    pub standing: Standing,
}

/// Lists everything that was on the disk when it began. What is copied meanwhile may come twice.
pub struct Scan {
    shared: Arc<Shared>,
    /// The number of the generation that is being listed.
    last: u32,
    /// The records of that generation that are still to come, the next one last.
    left: Vec<Print>,
}

/// Records that are read together.
const STEP: usize = 64;

impl Store {
    /// Looks up a response or the variants of a URL, but counts nothing: neither a hit nor that it was asked for.
    pub async fn peek(&self, key: &CacheKey) -> Option<Slot> {
        self.0.shared.peek(key).await
    }

    /// Begins to list everything. What waits for the disk is written first. If the disk is down, nothing is listed.
    pub async fn scan(&self) -> Scan {
        self.flush().await;
        Scan { shared: self.0.shared.clone(), last: 0, left: Vec::new() }
    }
}

impl Scan {
    /// Returns about 64 more responses, without those that are purged. An empty page is the end.
    pub async fn next_page(&mut self) -> Result<Vec<Listed>, StoreError> {
        loop {
            if self.left.is_empty() && !self.next_generation() {
                return Ok(Vec::new());
            }
            let step = self.left.len().saturating_sub(STEP);
            let (prints, number, shared) = (self.left.split_off(step), self.last, self.shared.clone());
            let page = patient_hop(move || read(&shared, number, prints)).await?;
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// Goes on with the next generation. What is copied out of one goes to one with a higher number.
    fn next_generation(&mut self) -> bool {
        let next = {
            let generations = self.shared.catalog.generations();
            generations.iter().map(|generation| generation.number).filter(|number| *number > self.last).min()
        };
        let Some(number) = next else { return false };
        let records = self.shared.catalog.index.of_generation(number);
        self.last = number;
        self.left = records.into_iter().map(|(print, _)| print).collect();
        // in the order of the database each of its pages is read once
        self.left.sort_unstable_by_key(|print| Reverse(print.0));
        true
    }
}

/// Reads records of a generation. Blocks.
fn read(shared: &Shared, number: u32, prints: Vec<Print>) -> Result<Vec<Listed>, StoreError> {
    let mut page = Vec::with_capacity(prints.len());
    let Some(generation) = shared.catalog.generation(number) else { return Ok(page) };
    for print in prints.into_iter().rev() {
        // replaced or forgotten since, or copied: then it comes later
        if shared.catalog.index.find(print).is_none_or(|entry| entry.generation != number) {
            continue;
        }
        let found = loop {
            match generation.database.find_print(print) {
                Err(StoreError::Busy) => std::thread::park_timeout(Duration::from_millis(1)),
                found => break found,
            }
        };
        // a damaged one is absent
        let Ok(Some((key, bytes))) = found else { continue };
        let Some(record) = record::decode(&key, &bytes) else { continue };
        let length = match &record.body {
            RecordBody::Inline(bytes) => bytes.len() as u64,
            RecordBody::Beside(home) => home.location.length,
        };
        let standing = shared.purges.standing_of(&record.head);
        if standing.liveness != Liveness::Dead {
            let hits = shared.memory.peek(&key).and_then(|slot| Some(slot.response()?.hits.get()));
            page.push(Listed { key, primary: record.primary, head: record.head, hits, length, standing });
        }
    }
    Ok(page)
}
