//! The memory tier: the slots that were asked for lately, up to a number of bytes.

use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use crate::{
    fields::control::Control,
    key::CacheKey,
    message::{Nominated, ResponseHead, StoredHead},
    purge::Position,
    store::response::{Slot, StoredBody, StoredResponse},
};

/// Bytes that a slot costs beside those that it holds: allocations, counters, its share of the table. Measured.
const OVERHEAD: u64 = 512;
/// Bytes that a field line costs beside its own.
const LINE: u64 = 96;
/// The slots of large bodies that fill the memory tier, because each keeps a file open.
const OPEN_FILES: u64 = 256;

/// Bytes of variant lists that are held where there is no memory tier: without its list, each lookup of a URL that varies
/// would read the records of all of its variants.
const LISTS: u64 = 1 << 20;

pub struct Memory {
    /// `None`: nothing is held.
    slots: Option<Cache<CacheKey, Slot, Weight>>,
    /// The heaviest slot that is admitted.
    heaviest: u64,
    /// True if there is no memory tier: then only variant lists are held.
    only_lists: bool,
}

#[derive(Clone)]
struct Weight {
    open_file: u64,
}

impl Memory {
    /// Holds slots of `capacity` bytes together. With 0 bytes there is no memory tier.
    pub fn new(capacity: u64) -> Memory {
        let only_lists = capacity == 0;
        let capacity = if only_lists { LISTS } else { capacity };
        let weight = Weight { open_file: capacity / OPEN_FILES };
        // eight shards: as many as the heaviest slot's share allows
        let options = OptionsBuilder::new()
            .shards(8)
            .estimated_items_capacity(usize::try_from(capacity / 4096).unwrap_or(usize::MAX).max(64))
            .weight_capacity(capacity)
            .build();
        let slots = options.ok().map(|options| {
            Cache::with_options(options, weight, quick_cache::DefaultHashBuilder::default(), Default::default())
        });
        Memory { slots, heaviest: capacity / 8, only_lists }
    }

    pub fn recall(&self, key: &CacheKey) -> Option<Slot> {
        self.slots.as_ref()?.get(key)
    }

    /// Returns a slot without making it more worth keeping.
    pub fn peek(&self, key: &CacheKey) -> Option<Slot> {
        self.slots.as_ref()?.peek(key)
    }

    /// Holds slots of so many bytes together from now on.
    pub fn resize(&self, capacity: u64) {
        let Some(slots) = self.slots.as_ref().filter(|_| !self.only_lists) else { return };
        // not for every small change: each shard is locked for it
        if slots.capacity().abs_diff(capacity) > capacity / 16 {
            slots.set_capacity(capacity);
        }
    }

    /// Holds a slot in place of the one that was there. A slot that is not admitted leaves nothing behind.
    pub fn keep(&self, key: CacheKey, slot: Slot) {
        let Some(slots) = &self.slots else { return };
        let is_admitted = !self.only_lists || matches!(slot, Slot::Variants(_));
        if !is_admitted || slots_weight(&slot, 0) > self.heaviest {
            slots.remove(&key);
        } else {
            slots.insert(key, slot);
        }
    }

    /// Returns true if there is a memory tier and a body of this length is not too heavy for it.
    pub fn takes(&self, length: u64) -> bool {
        self.slots.is_some() && !self.only_lists && length.saturating_add(OVERHEAD) <= self.heaviest
    }

    pub fn remove(&self, key: &CacheKey) {
        if let Some(slots) = &self.slots {
            slots.remove(key);
        }
    }

    /// Drops the large bodies that a generation held, because an open file keeps its room on the disk.
    pub fn release_bodies_of(&self, generation: u32) {
        if let Some(slots) = &self.slots {
            slots.retain(|_, slot| slot.home() != Some(generation));
        }
    }

    pub fn clear(&self) {
        if let Some(slots) = &self.slots {
            slots.clear();
        }
    }

    /// Returns the lowest position of the responses that are held.
    pub fn oldest(&self) -> Option<Position> {
        let positions = self.slots.iter().flat_map(Cache::iter).filter_map(|(_, slot)| match slot {
            Slot::Response(response) => Some(response.head.position),
            Slot::Variants(_) => None,
        });
        positions.min()
    }

    /// Returns the bytes that the memory tier holds.
    pub fn used(&self) -> u64 {
        self.slots.as_ref().filter(|_| !self.only_lists).map_or(0, Cache::weight)
    }
}

impl Weighter<CacheKey, Slot> for Weight {
    fn weight(&self, _: &CacheKey, slot: &Slot) -> u64 {
        slots_weight(slot, self.open_file)
    }
}

fn slots_weight(slot: &Slot, open_file: u64) -> u64 {
    match slot {
        Slot::Response(response) => {
            let file = match &response.body {
                StoredBody::Disk(_) => open_file,
                StoredBody::Memory(_) => 0,
            };
            // with the lines that the first answer writes, and what the first decision reads
            let derived = response.head.head.fields.size() + size_of::<Control>();
            OVERHEAD + size(response) + derived as u64 + file
        }
        Slot::Variants(variants) => {
            OVERHEAD + variants.iter().map(|variant| 64 + nominated_size(&variant.nominated)).sum::<u64>()
        }
    }
}

/// Returns the bytes that a stored response holds in memory, about.
pub fn size(response: &StoredResponse) -> u64 {
    let body = match &response.body {
        StoredBody::Memory(bytes) => bytes.len() as u64,
        StoredBody::Disk(body) => body.held(),
    };
    let StoredHead { line, head: ResponseHead { fields, .. }, nominated, tags, unknown, .. } = &response.head;
    let head = line.size() + fields.size() + size_of_val(&tags[..]) + unknown.len();
    body + head as u64 + fields.len() as u64 * LINE + nominated_size(nominated)
}

fn nominated_size(nominated: &[Nominated]) -> u64 {
    nominated.iter().map(|(_, value)| LINE + value.as_ref().map_or(0, |value| value.len() as u64)).sum()
}
