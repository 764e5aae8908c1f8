//! The paths of what is stored, so that no unsafe request waits for the disk because of a path of which nothing is stored.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::{message::StoredHead, purge::Target};

/// The logarithm of the number of bits. A million paths set a fifth of them.
const BITS: u32 = 22;

/// A set of paths that only grows, one bit for each. It may say that it has a path that it does not have, and never the
/// other way round.
pub struct Paths {
    bits: Vec<AtomicU64>,
    /// False after an opening until a sweep has read the records that were there: they may have any path.
    complete: AtomicBool,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths { bits: (0..1 << (BITS - 6)).map(|_| AtomicU64::new(0)).collect(), complete: AtomicBool::new(false) }
    }
}

impl Paths {
    /// Adds the path of a stored response.
    pub fn add(&self, head: &StoredHead) {
        if let Some((word, bit)) = self.place(Target::path(head.line.site(), head.line.path_and_query()))
            && word.load(Relaxed) & bit == 0
        {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// Returns true if something stored may have the path of this rule.
    pub fn may_have(&self, target: Target) -> bool {
        let has = self.place(target).is_none_or(|(word, bit)| word.load(Relaxed) & bit != 0);
        has || !self.is_complete()
    }

    /// Notes that the paths of all that is stored were added.
    pub fn complete(&self) {
        self.complete.store(true, Relaxed);
    }

    pub fn is_complete(&self) -> bool {
        self.complete.load(Relaxed)
    }

    /// Returns the bytes of memory that the set takes.
    pub fn size(&self) -> u64 {
        size_of_val(&self.bits[..]) as u64
    }

    /// Returns the bit of a path. `None`: the rule is not about a path.
    fn place(&self, target: Target) -> Option<(&AtomicU64, u64)> {
        let Target::Path(print) = target else { return None };
        let bit = print.0 >> (u64::BITS - BITS);
        Some((&self.bits[(bit / 64) as usize], 1 << (bit % 64)))
    }
}
