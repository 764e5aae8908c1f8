//! What was stored and forgotten, in order, and in which generation: what the index is built from at opening, without
//! reading a record. Where journal and records disagree, the journal is right.
//!
//! Lines of 20 bytes, big-endian: a key's print (8), the generation that holds it (4), its size in units of 64 bytes (4;
//! zero: a list of variants; all ones: the key is forgotten), and the first 4 bytes of blake3 over serial (8),
//! position (8) and the 16 bytes before. The first line is the header: the journal's serial number (8), the number of
//! lines of the summary behind it (8). In the summary each key stands once. A journal that grew long is replaced by a
//! summary with the next serial number.

use super::print::{Entry, Print, Size};

pub const LINE: usize = 20;
const SAID: usize = 16;
/// What a disk writes as a whole, at least.
const SECTOR: usize = 512;
const FORGOTTEN: u32 = u32::MAX;

/// Where a key's newest record is, or `None` where it was forgotten.
pub type Line = (Print, Option<Entry>);

/// How far a journal had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    pub serial: u64,
    pub lines: u64,
}

/// What a journal said.
#[derive(Debug, Default)]
pub struct Read {
    /// Up to here it can be continued.
    pub mark: Mark,
    /// Lines in it are not what was written.
    pub damaged: bool,
}

/// What a journal says, in order.
pub enum Said {
    Line(Line),
    /// None of the lines before can be believed.
    NothingBefore,
}

/// Reads a journal. A tail that never reached the disk (a part of a line, zeros) is no damage.
pub fn read(bytes: &[u8], mut say: impl FnMut(Said)) -> Read {
    let mut lines = bytes.chunks_exact(LINE);
    // the serial is part of its own sum
    let header = lines.next().and_then(|line| parse(line, be_u64(line), 0).then(|| (be_u64(line), be_u64(&line[8..]))));
    let Some((serial, summary)) = header else { return Read { mark: Mark::default(), damaged: !bytes.is_empty() } };
    let mut read = Read { mark: Mark { serial, lines: 1 }, damaged: false };
    for line in lines {
        let position = read.mark.lines;
        if parse(line, serial, position) {
            let print = Print(be_u64(line));
            let entry = match (be_u32(&line[8..]), be_u32(&line[12..])) {
                (_, FORGOTTEN) => None,
                (generation, size) => Some(Entry { generation, size: Size(size) }),
            };
            say(Said::Line((print, entry)));
        } else if is_lost_tail(bytes, position as usize * LINE) {
            break;
        } else {
            read.damaged = true;
            if position > summary {
                // some key was replaced or forgotten here
                say(Said::NothingBefore);
            }
        }
        read.mark.lines += 1;
    }
    read
}

/// Whether nothing stands from here on: zeros, or the part of this line that was on the page before them.
fn is_lost_tail(bytes: &[u8], at: usize) -> bool {
    let zeros = at.next_multiple_of(SECTOR);
    let zeros = if zeros < at + LINE { zeros } else { at };
    bytes[zeros.min(bytes.len())..].iter().all(|byte| *byte == 0)
}

/// The line before a summary of so many lines.
pub fn header(serial: u64, summary: u64) -> [u8; LINE] {
    let mut said = [0; SAID];
    said[..8].copy_from_slice(&serial.to_be_bytes());
    said[8..].copy_from_slice(&summary.to_be_bytes());
    seal(said, serial, 0)
}

pub fn form((print, entry): &Line, serial: u64, position: u64) -> [u8; LINE] {
    let mut said = [0; SAID];
    said[..8].copy_from_slice(&print.0.to_be_bytes());
    let (generation, size) = entry.map_or((0, FORGOTTEN), |entry| (entry.generation, entry.size.0.min(FORGOTTEN - 1)));
    said[8..12].copy_from_slice(&generation.to_be_bytes());
    said[12..].copy_from_slice(&size.to_be_bytes());
    seal(said, serial, position)
}

fn seal(said: [u8; SAID], serial: u64, position: u64) -> [u8; LINE] {
    let mut line = [0; LINE];
    line[..SAID].copy_from_slice(&said);
    line[SAID..].copy_from_slice(&sum(&said, serial, position));
    line
}

/// Is it the line that was written here?
fn parse(line: &[u8], serial: u64, position: u64) -> bool {
    line[SAID..] == sum(&line[..SAID], serial, position)
}

fn sum(said: &[u8], serial: u64, position: u64) -> [u8; 4] {
    let mut bytes = [0; 16 + SAID];
    bytes[..8].copy_from_slice(&serial.to_be_bytes());
    bytes[8..16].copy_from_slice(&position.to_be_bytes());
    bytes[16..].copy_from_slice(said);
    let digest = blake3::hash(&bytes);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}
