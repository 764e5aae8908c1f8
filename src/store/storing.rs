//! The calls that change the store: responses are put, freshened and forgotten.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Epoch, Slot, Store, StoredBody, StoredResponse, Variant,
    format::print::Print,
    tiers::{
        index::Index,
        pending::{Change, Shard},
        variants,
    },
};
use crate::{
    key::CacheKey,
    message::{FieldValue, Fields, StoredHead},
    purge::{Checked, Liveness},
};

impl Store {
    /// Stores a response under the key of its URL (`primary`). A response with nominated fields becomes a variant there, and so
    /// does any other if there are variants already. On return `lookup` finds the response, and so does `recall` if the
    /// memory tier takes it. It is written to the disk behind. Nothing happens if the epoch has moved. Copies the fields to
    /// their exact size; a body in memory should have its exact size already.
    pub fn put(&self, primary: CacheKey, response: StoredResponse, epoch: Epoch) {
        self.put_over(primary, response, epoch, None);
    }

    /// Does the same. If `over` is given, nothing happens unless that response is still the one that is stored.
    fn put_over(&self, primary: CacheKey, response: StoredResponse, epoch: Epoch, over: Option<&StoredResponse>) {
        let shared = &self.0.shared;
        if response.body.length() > shared.options.max_object {
            return;
        }
        let response = StoredResponse { primary, ..exact(response) };
        // dead on arrival: it was asked for before a purge
        if shared.purges.standing(&response).liveness == Liveness::Dead {
            return;
        }
        shared.purges.paths.add(&response.head);
        let key = response.key;
        let response = {
            let mut shard = shared.pending.shard(&key);
            if shared.epochs.now() != epoch {
                return;
            }
            let is_same_key = |over: &&StoredResponse| over.key == key;
            if over.filter(is_same_key).is_some_and(|over| !self.is_held(&shard, &primary, over)) {
                return;
            }
            if key == primary && shared.catalog.index.variants.any(Print::of(&primary)) {
                drop(shard);
                return self.put(primary, StoredResponse { key: primary.beside_variants(), ..response }, epoch);
            }
            let response = Arc::new(StoredResponse { version: shard.next_version(), ..response });
            shared.memory.keep(key, Slot::Response(response.clone()));
            shared.pending.put(&mut shard, response.clone(), shared.catalog.may_hold(&key));
            response
        };
        if key != primary {
            self.put_variant(primary, &response, epoch);
        }
        self.wake();
    }

    /// Adds a stored response to the variants of its URL. They take the place of a response that does not vary.
    fn put_variant(&self, primary: CacheKey, response: &StoredResponse, epoch: Epoch) {
        let shared = &self.0.shared;
        let index = &shared.catalog.index;
        let (of, print) = (Print::of(&primary), Print::of(&response.key));
        let mut shard = shared.pending.shard(&primary);
        if shared.epochs.now() != epoch {
            return;
        }
        let known = match shared.memory.recall(&primary) {
            Some(Slot::Variants(list)) => Some(list),
            _ if shared.catalog.is_known() && !index.variants.any(of) => Some(Arc::default()),
            _ => None,
        };
        let pushed_out = index.variants.put(of, print);
        match known {
            Some(known) => {
                let others = known.iter().filter(|variant| variant.key != response.key).cloned();
                let list = [Variant::of(response.key, &response.head)].into_iter().chain(others);
                shared.memory.keep(primary, Slot::Variants(Arc::new(list.take(variants::MOST).collect())));
            }
            // a lookup reads the others
            None => shared.memory.remove(&primary),
        }
        if shared.catalog.may_hold(&primary) || shard.is_waiting(of) {
            shared.pending.forget(&mut shard, of);
        } else {
            shard.note_change(of);
        }
        drop(shard);
        if let Some(print) = pushed_out {
            self.forget_variant(print);
        }
    }

    /// Replaces the head of a stored response and keeps its body, if the response is still the one that is stored. If the new
    /// head nominates fields and the old one did not, the response becomes a variant.
    pub fn freshen(&self, primary: CacheKey, stored: &StoredResponse, head: StoredHead, epoch: Epoch) {
        let shared = &self.0.shared;
        if !self.is_held(&shared.pending.shard(&stored.key), &primary, stored) {
            return;
        }
        let becomes_variant = stored.key == primary && !head.nominated.is_empty();
        if becomes_variant && matches!(stored.body, StoredBody::Disk(_)) {
            // the file would go with the record that it belongs to
            self.forget(&primary);
            return;
        }
        let key = if becomes_variant { primary.variant(&head.nominated) } else { stored.key };
        let fresh = StoredResponse {
            key,
            primary,
            head,
            body: stored.body.clone(),
            version: 0,
            checked: Checked::default(),
            derived: Default::default(),
            hits: stored.hits.clone(),
            parts: None,
        };
        self.put_over(primary, fresh, epoch, Some(stored));
    }

    /// Returns true if a response that was looked up is still the one that is stored. The shard is that of its key.
    fn is_held(&self, shard: &Shard, primary: &CacheKey, stored: &StoredResponse) -> bool {
        let shared = &self.0.shared;
        let is_variant = |index: &Index| index.variants.has(Print::of(primary), Print::of(&stored.key));
        match (shared.memory.recall(&stored.key), shard.waiting(&stored.key)) {
            // what was forgotten with its URL may be in memory still
            _ if stored.key != *primary && !is_variant(&shared.catalog.index) => false,
            (Some(Slot::Response(held)), _) => same(&held, stored),
            (_, Some(Change::Response(held))) => same(held, stored),
            (Some(Slot::Variants(_)), _) | (_, Some(_)) => false,
            // only the disk holds it, and it need not be read: nothing has changed it since
            (None, None) => {
                shared.catalog.entry(&stored.key).is_some()
                    && shard.is_unchanged(Print::of(&stored.key), stored.version)
            }
        }
    }

    /// Forgets what is stored for a URL, with all variants (RFC 9111 §4.4). On return `recall` and `lookup` do not find it.
    pub fn invalidate(&self, primary: &CacheKey) {
        self.forget(primary);
    }

    /// Forgets what is stored for a URL. Returns true if a record of it may still be on the disk.
    pub(super) fn forget(&self, primary: &CacheKey) -> bool {
        let shared = &self.0.shared;
        let print = Print::of(primary);
        let (there, variants) = {
            let mut shard = shared.pending.shard(primary);
            let list = shared.memory.recall(primary);
            shared.memory.remove(primary);
            if let Some(Slot::Variants(list)) = list {
                list.iter().for_each(|variant| shared.memory.remove(&variant.key));
            }
            let variants = shared.catalog.index.variants.take(print);
            let there = shared.catalog.may_hold(primary) || shard.is_waiting(print);
            if there {
                shared.pending.forget(&mut shard, print);
            } else {
                shard.note_change(print);
            }
            (there, variants)
        };
        variants.iter().for_each(|print| self.forget_variant(*print));
        self.wake();
        there || !variants.is_empty()
    }

    /// Forgets some of the responses that are stored for a URL, by their own keys.
    pub fn forget_variants(&self, primary: &CacheKey, keys: &[CacheKey]) {
        let shared = &self.0.shared;
        {
            let mut shard = shared.pending.shard(primary);
            shard.note_change(Print::of(primary));
            // a lookup gathers those that are left
            shared.memory.remove(primary);
            keys.iter().for_each(|key| shared.catalog.index.variants.remove(Print::of(primary), Print::of(key)));
        }
        for key in keys {
            let mut shard = shared.pending.shard(key);
            shared.memory.remove(key);
            if shared.catalog.may_hold(key) || shard.is_waiting(Print::of(key)) {
                shared.pending.forget(&mut shard, Print::of(key));
            } else {
                shard.note_change(Print::of(key));
            }
        }
        self.wake();
    }

    /// Forgets a response that is no variant of its URL any more.
    fn forget_variant(&self, print: Print) {
        let shared = &self.0.shared;
        if let Some(Change::Response(response)) = shared.pending.one(print) {
            shared.memory.remove(&response.key);
        }
        let mut shard = shared.pending.shard_of(print);
        if shared.catalog.index.find(print).is_some() || shard.is_waiting(print) {
            shared.pending.forget(&mut shard, print);
        } else {
            shard.note_change(print);
        }
    }
}

/// Returns true if this is the response that was looked up, not one that was stored in its place since.
fn same(held: &StoredResponse, stored: &StoredResponse) -> bool {
    held.head == stored.head && held.body.length() == stored.body.length()
}

/// Copies the fields, so that they do not keep the buffer that they were read into. The values share one buffer.
fn exact(mut response: StoredResponse) -> StoredResponse {
    let fields = &response.head.head.fields;
    let mut values = Vec::with_capacity(fields.iter().map(|(_, value)| value.len()).sum());
    fields.iter().for_each(|(_, value)| values.extend_from_slice(value.as_bytes()));
    let mut rest = Bytes::from(values);
    let mut copy = |value: &FieldValue| {
        FieldValue::from_maybe_shared(rest.split_to(value.len())).unwrap_or_else(|_| value.clone())
    };
    response.head.head.fields = fields.iter().map(|(name, value)| (name.clone(), copy(value))).collect::<Fields>();
    response
}
