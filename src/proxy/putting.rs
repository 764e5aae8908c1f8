//! Puts what was received into the store, and joins stored parts that touch.

use std::sync::Arc;

use bytes::BytesMut;

use super::shared::Shared;
use crate::{
    clock::Timestamp,
    key::CacheKey,
    message::StoredHead,
    policy::parts::{self, Extent},
    purge::Checked,
    store::{self, Epoch, Slot, Store, StoreError, StoredBody, StoredResponse},
};

/// The most bytes that are copied at a time.
const STEP: u64 = 256 * 1024;

/// Stores responses of one URL.
#[derive(Clone)]
pub struct Putting {
    pub store: Store,
    pub shared: Arc<Shared>,
    pub primary: CacheKey,
    /// An invalidation at or after this time forbids storing.
    pub since: Timestamp,
}

/// Returns the key of bytes `first` to `last` of a response.
pub fn part_key(primary: &CacheKey, head: &StoredHead, first: u64, last: u64) -> CacheKey {
    primary.variant(&head.nominated).part(first, last, &parts::version(head))
}

/// Returns the key of the part that closes a gap of a stored response. Requests that lack the same bytes share a flight
/// under this key.
pub fn gap_key(stored: &StoredResponse, (first, last): Extent) -> CacheKey {
    part_key(&stored.primary, &stored.head, first, last)
}

impl Putting {
    /// Stores a response in place of the outdated ones. A part gets a key of its own.
    pub fn put(&self, head: StoredHead, body: StoredBody, outdated: &[CacheKey], epoch: Epoch) {
        let Putting { store, shared, primary, since } = self;
        if shared.invalidated_since(primary, *since) {
            return;
        }
        let key = match head.part {
            Some(part) => part_key(primary, &head, part.first, part.last),
            None => primary.variant(&head.nominated),
        };
        if !outdated.is_empty() {
            store.forget_variants(primary, outdated);
        }
        let response = StoredResponse {
            key,
            primary: *primary,
            head,
            body,
            version: 0,
            checked: Checked::default(),
            derived: Default::default(),
            hits: Default::default(),
            parts: None,
        };
        store.put(*primary, response, epoch);
        shared.forget_if_invalidated(store, primary, *since);
    }

    /// Makes one stored part of many that touch, if the part that was just stored makes them so many.
    pub async fn join_parts(&self, new: &StoredHead, epoch: Epoch) -> Result<(), StoreError> {
        let Some(part) = new.part else { return Ok(()) };
        let Some(Slot::Variants(list)) = self.store.peek(&self.primary).await else { return Ok(()) };
        let stored = || list.iter().filter(|stored| stored.nominated == new.nominated);
        let own = part_key(&self.primary, new, part.first, part.last);
        let others: Vec<_> = stored().filter(|stored| stored.key != own).filter_map(|stored| stored.part).collect();
        let Some((first, last)) = parts::joined(part, &others) else { return Ok(()) };
        let mut found: Vec<(u64, u64, Arc<StoredResponse>)> = Vec::new();
        for stored in stored() {
            if let Some(part) = stored.part.filter(|part| first <= part.first && part.last <= last)
                && let Some(Slot::Response(response)) = self.store.peek(&stored.key).await
                && parts::belong_together(new, &response.head)
            {
                found.push((part.first, part.last, response));
            }
        }
        found.sort_by_key(|(first, last, _)| (*first, *last));
        let Some((_, _, newest)) = found.iter().max_by_key(|(_, _, part)| part.head.response_time) else {
            return Ok(());
        };
        let held: Vec<_> = found.iter().filter_map(|(_, _, response)| response.head.part).collect();
        let head = parts::assemble(&newest.head, &held);
        let is_all = head.gaps.is_empty() && head.part.is_none_or(|part| (part.first, part.last) == (first, last));
        if !is_all {
            // some are of another version, or gone
            return Ok(());
        }
        let outdated: Vec<CacheKey> = found.iter().map(|(_, _, response)| response.key).collect();
        let (length, putting) = (last + 1 - first, self.clone());
        if length <= STEP {
            let mut whole = BytesMut::with_capacity(length as usize);
            copy(&found, first, async |bytes| {
                whole.extend_from_slice(&bytes);
                Ok(())
            })
            .await?;
            putting.put(head, StoredBody::Memory(whole.freeze()), &outdated, epoch);
            return Ok(());
        }
        let mut writer = self.store.begin_body(Some(length))?;
        copy(&found, first, async |bytes| writer.append(vec![bytes]).await).await?;
        writer.whole().finish(move |body| putting.put(head, StoredBody::Disk(body), &outdated, epoch)).await
    }
}

/// Gives the bytes of parts, which are in order and without a gap, to `take`, each byte once.
async fn copy(
    parts: &[(u64, u64, Arc<StoredResponse>)],
    first: u64,
    mut take: impl AsyncFnMut(bytes::Bytes) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut at = first;
    for (first, last, part) in parts {
        while at <= *last {
            let most = (last + 1 - at).min(STEP) as usize;
            let bytes = store::read(&part.body, at - first, most).await?;
            if bytes.is_empty() {
                return Err(StoreError::Damaged("a stored part"));
            }
            at += bytes.len() as u64;
            take(bytes).await?;
        }
    }
    Ok(())
}
