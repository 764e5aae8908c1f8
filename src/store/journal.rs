//! What was stored and forgotten, in order, and in which generation: what the index is built from at opening, without
//! reading a record. Where journal and records disagree, the journal is right.
//!
//! Lines of 20 bytes, big-endian: a key's print (8), the generation that holds it (4), its size in units of 64 bytes (4;
//! zero: a list of variants; all ones: the key is forgotten), and the first 4 bytes of blake3 over serial (8),
//! position (8) and the 16 bytes before. The first line is the header: the journal's serial number (8), the number of
//! lines of the summary behind it (8). In the summary each key stands once. A journal that grew long is replaced by a
//! summary with the next serial number.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::index::{Entry, Index, Print, Size};

pub(super) const LINE: usize = 20;
const SAID: usize = 16;
/// What a disk writes as a whole, at least.
const SECTOR: usize = 512;
const FORGOTTEN: u32 = u32::MAX;

/// Where a key's newest record is, or `None` where it was forgotten.
pub type Line = (Print, Option<Entry>);

pub struct Journal {
    file: File,
    mark: Mark,
    /// Lines that are not written yet: none may be on the disk before the record that it names.
    waiting: Vec<u8>,
    /// So many lines are known to be on the disk.
    synced: u64,
}

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

/// Builds the index from a journal. A tail that never reached the disk (a part of a line, zeros) is no damage.
pub fn read(bytes: &[u8], index: &Index) -> Read {
    let mut lines = bytes.chunks_exact(LINE);
    // the serial is part of its own sum
    let header = lines.next().and_then(|line| parse(line, be_u64(line), 0).then(|| (be_u64(line), be_u64(&line[8..]))));
    let Some((serial, summary)) = header else { return Read { mark: Mark::default(), damaged: !bytes.is_empty() } };
    let mut read = Read { mark: Mark { serial, lines: 1 }, damaged: false };
    index.reserve(lines.len());
    for line in lines {
        let position = read.mark.lines;
        if parse(line, serial, position) {
            let print = Print(be_u64(line));
            match (be_u32(&line[8..]), be_u32(&line[12..])) {
                (_, FORGOTTEN) => _ = index.remove(print),
                (generation, size) => index.set(print, Entry { generation, size: Size(size) }),
            }
        } else if is_lost_tail(bytes, position as usize * LINE) {
            break;
        } else {
            read.damaged = true;
            if position > summary {
                // some key was replaced or forgotten here: none of the lines before can be believed
                index.remove_all();
            }
        }
        read.mark.lines += 1;
    }
    read
}

impl Journal {
    /// Continues the journal that was read. `vouched`: how far it was known to be on the disk.
    pub fn open(path: &Path, mark: Mark, vouched: Mark) -> io::Result<Journal> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(mark.lines * LINE as u64)?;
        let synced = if vouched.serial == mark.serial { vouched.lines.min(mark.lines) } else { 0 };
        Ok(Journal { file, mark, waiting: Vec::new(), synced })
    }

    /// A new one, of what the index says, in place of the one that was there.
    pub fn summarize(path: &Path, serial: u64, index: &Index) -> io::Result<Journal> {
        let new = path.with_extension("new");
        let entries = index.entries();
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        let mut writer = BufWriter::with_capacity(1 << 20, &file);
        writer.write_all(&header(serial, entries.len() as u64))?;
        for (position, (print, entry)) in (1..).zip(&entries) {
            writer.write_all(&form(&(*print, Some(*entry)), serial, position))?;
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        fs::rename(&new, path)?;
        let folder = path.parent().unwrap_or(path);
        File::open(folder)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(path)?;
        let lines = entries.len() as u64 + 1;
        Ok(Journal { file, mark: Mark { serial, lines }, waiting: Vec::new(), synced: lines })
    }

    /// Adds lines, which are written by the next `sync`.
    pub fn append(&mut self, lines: &[Line]) {
        for (position, line) in (self.mark.lines..).zip(lines) {
            self.waiting.extend_from_slice(&form(line, self.mark.serial, position));
        }
        self.mark.lines += lines.len() as u64;
    }

    /// Writes what waits and makes it reach the disk. What the lines name must be there already.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.mark.lines {
            self.file.write_all(&self.waiting)?;
            self.waiting.clear();
            self.file.sync_data()?;
            self.synced = self.mark.lines;
        }
        Ok(())
    }

    /// What a later reader must find, or else it was cut.
    pub fn synced(&self) -> Mark {
        Mark { lines: self.synced, ..self.mark }
    }

    pub fn serial(&self) -> u64 {
        self.mark.serial
    }

    /// Most of its lines were superseded.
    pub fn is_long(&self, index: &Index) -> bool {
        self.mark.lines > 50_000 + index.len() * 2
    }
}

/// Whether nothing stands from here on: zeros, or the part of this line that was on the page before them.
fn is_lost_tail(bytes: &[u8], at: usize) -> bool {
    let zeros = at.next_multiple_of(SECTOR);
    let zeros = if zeros < at + LINE { zeros } else { at };
    bytes[zeros.min(bytes.len())..].iter().all(|byte| *byte == 0)
}

/// The line before a summary of so many lines.
pub(super) fn header(serial: u64, summary: u64) -> [u8; LINE] {
    let mut said = [0; SAID];
    said[..8].copy_from_slice(&serial.to_be_bytes());
    said[8..].copy_from_slice(&summary.to_be_bytes());
    seal(said, serial, 0)
}

pub(super) fn form((print, entry): &Line, serial: u64, position: u64) -> [u8; LINE] {
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
