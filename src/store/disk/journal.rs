//! The file of the journal. Lines are appended when what they name is on the disk. A journal that grew long is replaced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
};

use super::folder;
use crate::store::format::lines::{self, LINE, Line, Mark, header};

pub struct Journal {
    file: File,
    mark: Mark,
    /// Lines that are not written yet. No line may be on the disk before the record that it names.
    waiting: Vec<u8>,
    /// The number of lines that are known to be on the disk.
    synced: u64,
    /// The number of lines of state at its beginning. 0 if that is not known.
    state: u64,
}

impl Journal {
    /// Continues a journal that was read. `vouched`: how far it was known to be on the disk.
    pub fn open(path: &Path, mark: Mark, vouched: Mark) -> io::Result<Journal> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(mark.lines * LINE as u64)?;
        let synced = if vouched.serial == mark.serial { vouched.lines.min(mark.lines) } else { 0 };
        Ok(Journal { file, mark, waiting: Vec::new(), synced, state: 0 })
    }

    /// Writes a new journal of these lines of state and this summary in place of the old one.
    pub fn summarize(path: &Path, serial: u64, state: &[Line], summary: &[Line]) -> io::Result<Journal> {
        let new = path.with_extension("new");
        let file = folder::create_anew(&new)?;
        let mut writer = BufWriter::with_capacity(1 << 20, &file);
        let state_lines: u64 = state.iter().map(lines::count).sum();
        writer.write_all(&header(serial, u32::try_from(state_lines).unwrap_or(u32::MAX), summary.len() as u64))?;
        let mut bytes = Vec::with_capacity(LINE);
        let mut position = 1;
        for line in state {
            position += lines::append(&mut bytes, line, serial, position);
        }
        writer.write_all(&bytes)?;
        for (position, line) in (position..).zip(summary) {
            bytes.clear();
            lines::append(&mut bytes, line, serial, position);
            writer.write_all(&bytes)?;
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        fs::rename(&new, path)?;
        let folder = path.parent().unwrap_or(path);
        File::open(folder)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(path)?;
        let lines = 1 + state_lines + summary.len() as u64;
        Ok(Journal { file, mark: Mark { serial, lines }, waiting: Vec::new(), synced: lines, state: state_lines })
    }

    /// Adds lines, which are written by the next `sync`.
    pub fn append(&mut self, lines: &[Line]) {
        for line in lines {
            self.mark.lines += lines::append(&mut self.waiting, line, self.mark.serial, self.mark.lines);
        }
    }

    /// Writes the lines that wait, and waits until they are on the disk. What they name must be there already.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.mark.lines {
            self.file.write_all(&self.waiting)?;
            self.waiting.clear();
            self.file.sync_data()?;
            self.synced = self.mark.lines;
        }
        Ok(())
    }

    /// Returns how far a later reader must come. A shorter journal was cut.
    pub fn synced(&self) -> Mark {
        Mark { lines: self.synced, ..self.mark }
    }

    pub fn serial(&self) -> u64 {
        self.mark.serial
    }

    /// Returns true if most of the lines are superseded, with so many keys stored.
    pub fn is_long(&self, keys: u64) -> bool {
        self.mark.lines > 50_000 + (self.state + keys) * 2
    }
}
