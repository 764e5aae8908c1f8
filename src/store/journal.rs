//! The order in which a generation's keys were stored and forgotten: what the index is built from at opening, without
//! reading a record.
//!
//! 16 bytes each, big-endian: the key's print (8), its size in units of 64 bytes (4; zero: a list of variants; all ones:
//! forgotten), the first 4 bytes of blake3 over generation (4), position (8) and the 12 bytes before.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::index::{Print, Size};

const ENTRY: usize = 16;
const FORGOTTEN: u32 = u32::MAX;

/// One line: what a key's newest record weighs, or `None` where it was forgotten.
pub type Line = (Print, Option<Size>);

/// Bytes in it are not what was written; nothing that it says can be believed.
#[derive(Debug)]
pub struct Damaged;

pub struct Journal {
    file: File,
    generation: u32,
    lines: u64,
    /// So many are known to be on the disk.
    synced: u64,
}

/// Reads what a generation's journal says. A tail that never reached the disk (a part of a line, zeros) is no damage.
pub fn read(path: &Path, generation: u32) -> io::Result<Result<Vec<Line>, Damaged>> {
    let bytes = std::fs::read(path)?;
    let mut lines = Vec::with_capacity(bytes.len() / ENTRY);
    for entry in bytes.chunks_exact(ENTRY) {
        let position = lines.len();
        match parse(entry, generation, position as u64) {
            Some(line) => lines.push(line),
            None if bytes[position * ENTRY..].iter().all(|byte| *byte == 0) => break,
            None => return Ok(Err(Damaged)),
        }
    }
    Ok(Ok(lines))
}

impl Journal {
    /// Writes behind the lines that were read; what stands behind them is cut off.
    pub fn open(path: &Path, generation: u32, lines: u64) -> io::Result<Journal> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        file.set_len(lines * ENTRY as u64)?;
        Ok(Journal { file, generation, lines, synced: 0 })
    }

    pub fn append(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(lines.len() * ENTRY);
        for (position, line) in (self.lines..).zip(lines) {
            bytes.extend_from_slice(&form(line, self.generation, position));
        }
        self.file.write_all(&bytes)?;
        self.lines += lines.len() as u64;
        Ok(())
    }

    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.lines {
            self.file.sync_data()?;
            self.synced = self.lines;
        }
        Ok(())
    }

    /// How many lines a later reader must find, or else it was cut.
    pub fn synced(&self) -> u64 {
        self.synced
    }
}

fn form((print, size): &Line, generation: u32, position: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..8].copy_from_slice(&print.0.to_be_bytes());
    entry[8..12].copy_from_slice(&size.map_or(FORGOTTEN, |size| size.0.min(FORGOTTEN - 1)).to_be_bytes());
    let sum = sum(&entry[..12], generation, position);
    entry[12..].copy_from_slice(&sum);
    entry
}

fn parse(entry: &[u8], generation: u32, position: u64) -> Option<Line> {
    let (said, check) = entry.split_at(12);
    if check != sum(said, generation, position) {
        return None;
    }
    let (print, size) = said.split_at(8);
    let size = u32::from_be_bytes(size.try_into().ok()?);
    Some((Print(u64::from_be_bytes(print.try_into().ok()?)), (size != FORGOTTEN).then_some(Size(size))))
}

fn sum(said: &[u8], generation: u32, position: u64) -> [u8; 4] {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&generation.to_be_bytes());
    bytes[4..12].copy_from_slice(&position.to_be_bytes());
    bytes[12..].copy_from_slice(said);
    let digest = blake3::hash(&bytes);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}
