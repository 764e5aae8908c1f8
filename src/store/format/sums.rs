//! Sums against damage, over each piece of a body. The sum of a body of one piece is in its record. The sums of several pieces
//! stand behind the body, and the sum of them is in the record. That one is made in another way than the sum of a piece, so
//! that the sums never pass for a body.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64, xxh3_128, xxh3_128_with_seed};

/// Bytes that are verified together.
pub const PIECE: u32 = 64 * 1024;

pub type Sum = [u8; 16];

/// How sums are made. They tell what a disk damages. They do not tell that two bodies are the same: others with the same sum are
/// easy to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The first half of BLAKE3. Not written any more: it costs four times as much for a piece, and twenty times for a record.
    Blake3,
    /// XXH3 with 128 bits, little-endian.
    Xxh3,
}

/// With this all is summed that is written.
pub const WRITTEN: Algorithm = Algorithm::Xxh3;

impl Algorithm {
    /// Returns the sum of a piece.
    pub fn of_piece(self, piece: &[u8]) -> Sum {
        match self {
            Algorithm::Blake3 => first_half(blake3::hash(piece)),
            Algorithm::Xxh3 => xxh3_128(piece).to_le_bytes(),
        }
    }

    /// The sums of a body's pieces.
    pub fn of_pieces(self, body: &[u8], piece: u32) -> Vec<Sum> {
        body.chunks(piece.max(1) as usize).map(|piece| self.of_piece(piece)).collect()
    }

    /// Returns the sum that is in the record.
    pub fn of_sums(self, sums: &[Sum]) -> Sum {
        const CONTEXT: &str = "larder 2026 the sums of a body's pieces";
        const SEED: u64 = 1;
        match (sums, self) {
            ([only], _) => *only,
            (sums, Algorithm::Blake3) => {
                first_half(blake3::Hasher::new_derive_key(CONTEXT).update(sums.as_flattened()).finalize())
            }
            (sums, Algorithm::Xxh3) => xxh3_128_with_seed(sums.as_flattened(), SEED).to_le_bytes(),
        }
    }

    /// Returns the sum of two things, of which the first is short.
    pub fn of_both<const SHORT: usize>(self, short: &[u8; SHORT], rest: &[u8]) -> Sum {
        match self {
            Algorithm::Blake3 => first_half(blake3::Hasher::new().update(short).update(rest).finalize()),
            Algorithm::Xxh3 => xxh3_128_with_seed(rest, xxh3_64(short)).to_le_bytes(),
        }
    }
}

/// Returns the sums that stand behind the body.
pub fn behind(sums: &[Sum]) -> &[u8] {
    match sums {
        [_] => &[],
        sums => sums.as_flattened(),
    }
}

fn first_half(digest: blake3::Hash) -> Sum {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_bytes()[..16]);
    half
}

/// The sums of a body that comes in parts, by [`WRITTEN`], and of the piece that is not full yet.
#[derive(Default)]
pub struct Sums {
    whole: Vec<Sum>,
    part: Xxh3Default,
    in_part: usize,
}

impl Sums {
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.in_part == 0
                && let Some((piece, rest)) = bytes.split_at_checked(PIECE as usize)
            {
                self.whole.push(WRITTEN.of_piece(piece));
                bytes = rest;
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE as usize - self.in_part));
            self.part.update(now);
            self.in_part += now.len();
            bytes = rest;
            if self.in_part == PIECE as usize {
                self.end_piece();
            }
        }
    }

    pub fn finish(mut self) -> Vec<Sum> {
        if self.in_part > 0 {
            self.end_piece();
        }
        self.whole
    }

    fn end_piece(&mut self) {
        self.whole.push(std::mem::take(&mut self.part).digest128().to_le_bytes());
        self.in_part = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_a_body_are_the_same_however_it_comes() {
        let piece = PIECE as usize;
        let body: Vec<u8> = (0..3 * piece + 7).map(|at| (at / 251) as u8).collect();
        for lengths in [
            vec![],
            vec![1, 2, 3],
            vec![piece],
            vec![piece - 1, 1],
            vec![piece / 2, piece / 2],
            vec![piece + 1, piece],
            vec![0, 100, piece - 100, 0],
        ] {
            let mut rest = &body[..];
            let mut by_parts = Sums::default();
            for length in &lengths {
                let (part, behind) = rest.split_at(*length);
                by_parts.add(part);
                rest = behind;
            }
            by_parts.add(rest);
            assert_eq!(by_parts.finish(), WRITTEN.of_pieces(&body, PIECE), "{lengths:?}");
        }
    }

    #[test]
    fn the_sums_of_a_body_never_pass_for_a_body() {
        let sums: Vec<Sum> = (0..40).map(|number| [number; 16]).collect();
        for algorithm in [Algorithm::Blake3, Algorithm::Xxh3] {
            for count in [0, 2, 3, 15, 16, 40] {
                let sums = &sums[..count];
                assert_ne!(algorithm.of_sums(sums), algorithm.of_piece(sums.as_flattened()), "{algorithm:?} {count}");
            }
        }
    }
}
