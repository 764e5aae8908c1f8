//! Which pages of a database sled holds in memory, about: sled itself does not say.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::store::format::print::Print;

/// Bytes of a database for each of its pages, with what sled has not given back yet.
const PAGE: u64 = 16 << 10;
/// The most words of bits that tell which pages were read: for a database of a gibibyte.
const MOST_WORDS: u64 = 1024;

/// The pages of a database that were read, about: a bit for each range of keys.
pub struct Touched(Vec<AtomicU64>);

impl Touched {
    /// Of a database of so many bytes: keys are uniform, and so each bit stands for about a page.
    pub fn of(database: u64) -> Touched {
        let words = (database / PAGE / 64).clamp(1, MOST_WORDS);
        Touched((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    /// Returns true if the page of this print was not touched before.
    pub fn is_first(&self, print: Print) -> bool {
        let bits = self.0.len() as u128 * 64;
        let at = (u128::from(print.0) * bits >> 64) as usize;
        let bit = 1 << (at % 64);
        self.0[at / 64].fetch_or(bit, Relaxed) & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_read_again_counts_once_and_all_of_a_database_counts_as_about_its_pages() {
        for (database, pages) in [(0, 64), (16 << 20, 1024), (1 << 40, MOST_WORDS * 64)] {
            let touched = Touched::of(database);
            assert_eq!(touched.0.len() as u64 * 64, pages);
            let prints = || (0..1_000_000_u64).map(|number| Print(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            assert_eq!(prints().filter(|print| touched.is_first(*print)).count() as u64, pages);
            assert_eq!(prints().filter(|print| touched.is_first(*print)).count(), 0);
            assert!(!touched.is_first(Print(u64::MAX)) && !touched.is_first(Print(0)));
        }
    }
}
