//! Sums against damage: the first half of blake3 over each piece of a body. The sum of a body of one piece is in its record.
//! The sums of several pieces stand behind the body, and the first half of blake3 over all of them is in the record. That one
//! is in a mode of its own, so that the sums never pass for a body.

use bytes::Bytes;

/// Bytes that are verified together.
pub const PIECE: u32 = 64 * 1024;

/// blake3 hashes so many bytes at the same time, if they follow each other.
const LANES: usize = 16 * 1024;

/// The context in which the sums of pieces are summed.
const SUMS: &str = "larder 2026 the sums of a body's pieces";

/// The first half of blake3 over a piece.
pub type Sum = [u8; 16];

/// The first 16 bytes of a digest: enough against damage.
pub fn first_half(digest: blake3::Hash) -> Sum {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_bytes()[..16]);
    half
}

/// The sums of a body's pieces.
pub fn sums(body: &[u8], piece: u32) -> Vec<Sum> {
    body.chunks(piece.max(1) as usize).map(|piece| first_half(blake3::hash(piece))).collect()
}

/// Returns the sum that is in the record.
pub fn sum_of_sums(sums: &[Sum]) -> Sum {
    match sums {
        [only] => *only,
        sums => first_half(blake3::Hasher::new_derive_key(SUMS).update(sums.as_flattened()).finalize()),
    }
}

/// Returns the sums that stand behind the body.
pub fn behind(sums: &[Sum]) -> &[u8] {
    match sums {
        [_] => &[],
        sums => sums.as_flattened(),
    }
}

/// The sums of a body that comes in parts, and of the piece that is not full yet.
#[derive(Default)]
pub struct Sums {
    whole: Vec<Sum>,
    part: blake3::Hasher,
    in_part: usize,
}

impl Sums {
    /// Adds bytes that come in parts. If they are one piece, and the parts are such that its lanes would not all be used, they
    /// are copied together first: that costs less.
    pub fn add_parts(&mut self, parts: &[Bytes]) {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let fit = parts.iter().all(|part| part.len() % LANES == 0);
        if self.in_part == 0 && length == PIECE as usize && !fit {
            self.add(&parts.concat());
        } else {
            parts.iter().for_each(|part| self.add(part));
        }
    }

    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // a piece that is there as a whole is hashed with all lanes of the processor
            if self.in_part == 0
                && let Some((piece, rest)) = bytes.split_at_checked(PIECE as usize)
            {
                self.whole.push(first_half(blake3::hash(piece)));
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
        self.whole.push(first_half(self.part.finalize()));
        self.part.reset();
        self.in_part = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_a_body_are_the_same_however_it_comes() {
        let piece = PIECE as usize;
        let body = Bytes::from((0..3 * piece + 7).map(|at| (at / 251) as u8).collect::<Vec<_>>());
        for lengths in [
            vec![],
            vec![1, 2, 3],
            vec![piece],
            vec![piece - 1, 1],
            vec![piece / 2, piece / 2],
            vec![piece + 1, piece],
            vec![0, 100, piece - 100, 0],
        ] {
            let mut rest = body.clone();
            let parts: Vec<_> = lengths.iter().map(|length| rest.split_to(*length)).collect();
            let mut by_parts = Sums::default();
            by_parts.add_parts(&parts);
            by_parts.add_parts(&[rest]);
            assert_eq!(by_parts.finish(), sums(&body, PIECE), "{lengths:?}");
        }
    }
}
