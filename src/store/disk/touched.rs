//! Counts which pages of a database sled holds in memory, about: sled itself does not say.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::store::format::print::Print;

/// Bytes of a database that one bit stands for, about a page of short records.
const PAGE: u64 = 4 << 10;
/// The most words of bits. In a database of more than 256 MiB a bit stands for more than a page.
const MOST_WORDS: u64 = 1024;

/// The parts of a database that were read: a bit for each range of keys. Keys are uniform, so that ranges are of equal size.
pub struct Touched {
    bits: Box<[AtomicU64]>,
    /// Bytes of the database that a bit stands for.
    part: u64,
}

impl Touched {
    /// Returns the state of a database of so many bytes of which nothing was read.
    pub fn none_of(database: u64) -> Touched {
        let words = database.div_ceil(PAGE * 64).clamp(1, MOST_WORDS);
        let part = (database / (words * 64)).max(1);
        Touched { bits: (0..words).map(|_| AtomicU64::new(0)).collect(), part }
    }

    /// Notes that the page of this print was read, which has so many bytes. Returns how many bytes had not been read before.
    pub fn read(&self, print: Print, page: u64) -> u64 {
        let at = ((u128::from(print.0) * (self.bits.len() as u128 * 64)) >> 64) as u64;
        let (word, bit) = ((at / 64) as usize, at % 64);
        let together = (page / self.part).clamp(1, 64).next_power_of_two();
        let mask = (u64::MAX >> (64 - together)) << (bit / together * together);
        // most pages were read before
        if self.bits[word].load(Relaxed) & mask == mask {
            return 0;
        }
        let before = self.bits[word].fetch_or(mask, Relaxed);
        u64::from((mask & !before).count_ones()) * self.part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_read_again_counts_once_and_all_pages_count_as_the_database() {
        for database in [0, 10_000, 5_300_000, 16 << 20, 1 << 40] {
            for page in [0, 3_000, 70_000, 1 << 30] {
                let touched = Touched::none_of(database);
                let prints = || (0..1_000_000_u64).map(|number| Print(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
                let counted: u64 = prints().map(|print| touched.read(print, page)).sum();
                assert!(counted.abs_diff(database) <= database / 20 + 64, "{counted} of {database}");
                assert!(prints().all(|print| touched.read(print, page) == 0));
                assert_eq!(touched.read(Print(u64::MAX), page) + touched.read(Print(0), page), 0);
            }
        }
    }

    #[test]
    fn a_record_brings_its_whole_page_and_its_neighbours_with_it() {
        let touched = Touched::none_of(16 << 20);
        assert_eq!(touched.read(Print(1 << 40), 64 << 10), 64 << 10);
        assert_eq!(touched.read(Print(2 << 40), 64 << 10), 0);
        assert_eq!(touched.read(Print(1 << 60), 3_000), PAGE);
    }
}
