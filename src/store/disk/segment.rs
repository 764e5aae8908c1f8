//! The files of bodies. Many small bodies share a segment, a file that is only ever appended to. A large body has a file of
//! its own. Behind the bytes of a body of several pieces stand the sums of the pieces, 16 bytes each.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use crate::store::{
    StoreError,
    format::{
        location::{FileName, Location},
        sums::{PIECE, Sum, WRITTEN, behind},
    },
};

/// Lists the files of one body each that are in a generation's folder now.
pub fn body_files(folder: &Path) -> io::Result<Vec<FileName>> {
    let names = std::fs::read_dir(folder)?.flatten().map(|file| file.file_name());
    let files = names.filter_map(|name| FileName::parse(name.to_str()?));
    Ok(files.filter(|file| matches!(file, FileName::Body(_))).collect())
}

/// Appends whole bodies to one segment, on one thread.
pub struct Segment {
    number: u32,
    file: Arc<File>,
    /// The bytes that were written.
    end: u64,
    /// The bytes that come next, to be written together.
    buffer: Vec<u8>,
    synced: u64,
}

impl Segment {
    /// Creates a segment.
    pub fn create(folder: &Path, number: u32) -> io::Result<Segment> {
        let path = FileName::Segment(number).path(folder);
        let file = OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(path)?;
        Ok(Segment { number, file: Arc::new(file), end: 0, buffer: Vec::new(), synced: 0 })
    }

    /// Adds a body, and returns where it is after the next `write`.
    pub fn append(&mut self, body: &[u8]) -> Location {
        let sums = WRITTEN.of_pieces(body, PIECE);
        let location = Location {
            file: FileName::Segment(self.number),
            offset: self.end + self.buffer.len() as u64,
            length: body.len() as u64,
            piece: PIECE,
            sums: WRITTEN.of_sums(&sums),
            algorithm: WRITTEN,
        };
        self.buffer.extend_from_slice(body);
        self.buffer.extend_from_slice(behind(&sums));
        location
    }

    pub fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.end)?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(4 << 20);
        Ok(())
    }

    /// Returns the bytes that the segment occupies on the disk.
    pub fn occupied(&self) -> u64 {
        self.file.metadata().map_or(0, |about| about.blocks() * 512)
    }

    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced < self.end {
            self.file.sync_data()?;
            self.synced = self.end;
        }
        Ok(())
    }
}

/// Reads the sums of a body's pieces and verifies them.
pub fn read_sums(file: &File, location: &Location) -> Result<Vec<Sum>, StoreError> {
    const WRONG: StoreError = StoreError::Damaged("the sums of a body");
    if location.piece == 0 {
        return Err(WRONG);
    }
    let pieces = location.length.div_ceil(u64::from(location.piece));
    let at = location.offset.checked_add(location.length).ok_or(WRONG)?;
    let behind = if pieces == 1 { 0 } else { pieces };
    let end = behind.checked_mul(size_of::<Sum>() as u64).and_then(|bytes| at.checked_add(bytes)).ok_or(WRONG)?;
    // a damaged length must not become an allocation
    if end > file.metadata().map_err(StoreError::Io)?.len() {
        return Err(WRONG);
    }
    if pieces == 1 {
        return Ok(vec![location.sums]);
    }
    let mut sums = vec![Sum::default(); usize::try_from(pieces).map_err(|_| WRONG)?];
    file.read_exact_at(sums.as_flattened_mut(), at).map_err(StoreError::Io)?;
    if location.algorithm.of_sums(&sums) != location.sums { Err(WRONG) } else { Ok(sums) }
}
