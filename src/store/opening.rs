//! From a folder, in whatever state it is, to generations that can be read and written.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    Options,
    disk::OpenFailure,
    folder,
    generation::Generation,
    generations::Generations,
    index::Entry,
    journal::{self, Journal},
    shared::Shared,
};

/// Opens what the folder holds. What cannot be read is set aside. An error: the disk would not; try again later.
pub fn open(shared: &Arc<Shared>) -> io::Result<Generations> {
    let folder = &shared.options.folder;
    let live = folder.join("live");
    for part in [&live, &folder.join("filling")] {
        if part.symlink_metadata().is_ok() && !part.is_dir() {
            set_aside(shared, part)?;
        }
        folder::create(part)?;
    }
    for unfinished in fs::read_dir(folder.join("filling"))? {
        folder::remove(&unfinished?.path());
    }
    folder::sweep(folder)?;
    shared.index.remove_all();
    let journals = read_journals(shared, &live)?;
    let mut last = journals.last().map_or(0, |(number, _)| *number);
    let mut open: Vec<(Arc<Generation>, u64)> = Vec::with_capacity(journals.len());
    for (number, lines) in journals {
        match open_generation(shared, &live, number, lines)? {
            Some((generation, lines)) => open.push((Arc::new(generation), lines)),
            None => {
                let older: Vec<u32> = open.drain(..).map(|(generation, _)| generation.number).collect();
                drop_up_to(shared, &live, number, &older)?;
            }
        }
    }
    if open.is_empty() {
        last += 1;
        open.extend(open_generation(shared, &live, last, 0)?.map(|(generation, _)| (Arc::new(generation), 0)));
    }
    let Some((young, lines)) = open.last().cloned() else { return Err(io::ErrorKind::NotFound.into()) };
    let journal = Journal::open(&Generation::journal_path(&live, young.number), young.number, lines)?;
    let next_file = young.unused_file_number()?;
    *shared.generations.write().unwrap_or_else(|poison| poison.into_inner()) =
        open.into_iter().map(|(generation, _)| generation).collect();
    Ok(Generations { shared: shared.clone(), young, journal, segment: None, next_file })
}

/// Builds the index. The generations that are left, the oldest first, with the number of lines in their journals.
fn read_journals(shared: &Shared, live: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut journals = Vec::new();
    for (number, path) in folder::numbered(live, "gen-")? {
        let lines = match journal::read(&Generation::journal_path(live, number), number) {
            Ok(Ok(lines)) => lines,
            // it was begun, and nothing was stored
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.join("db").exists() => Vec::new(),
            _ => {
                // what it forgot or replaced is not known: nothing older can be believed either
                let older: Vec<u32> = journals.drain(..).map(|(older, _)| older).collect();
                drop_up_to(shared, live, number, &older)?;
                continue;
            }
        };
        for (print, size) in &lines {
            match size {
                Some(size) => shared.index.set(*print, Entry { generation: number, size: *size }),
                None => _ = shared.index.remove(*print),
            }
        }
        journals.push((number, lines.len() as u64));
    }
    Ok(journals)
}

/// Sets a generation aside whose journal is lost, and removes all that are older.
fn drop_up_to(shared: &Shared, live: &Path, number: u32, older: &[u32]) -> io::Result<()> {
    shared.index.remove_up_to(number);
    for older in older {
        folder::remove(&live.join(Generation::folder_name(*older)));
    }
    log::warn!("the cache's list of what it holds is damaged; that part is set aside, older ones are removed");
    set_aside(shared, &live.join(Generation::folder_name(number)))
}

/// Opens one generation, whose journal has so many lines. `None`: the journal was cut. A database that is damaged is set
/// aside, and what it held is forgotten.
fn open_generation(shared: &Shared, live: &Path, number: u32, lines: u64) -> io::Result<Option<(Generation, u64)>> {
    let (cache, segment) = database(&shared.options);
    let open = || Generation::open(live, number, cache, segment);
    let damage = match open() {
        Ok(generation) => match generation.records.journal() {
            Ok(least) if least <= lines => return Ok(Some((generation, lines))),
            Ok(_) => return Ok(None),
            Err(_) => "its database cannot be read".to_owned(),
        },
        Err(OpenFailure::Io(error)) if is_the_disks(&error) => return Err(error),
        Err(OpenFailure::Io(error)) => error.to_string(),
        Err(OpenFailure::Damaged(why)) => why,
    };
    // a full or read-only disk can look like damage
    probe(live)?;
    log::warn!("a part of the cache is damaged ({damage}); it is set aside");
    let lines = set_records_aside(shared, live, number)?;
    let generation = open().map_err(|failure| match failure {
        OpenFailure::Io(error) => error,
        OpenFailure::Damaged(why) => io::Error::other(why),
    })?;
    Ok(Some((generation, lines)))
}

/// Puts a generation without records in the place of a damaged one. It still forgets and replaces what older ones hold.
fn set_records_aside(shared: &Shared, live: &Path, number: u32) -> io::Result<u64> {
    let journal = journal::read(&Generation::journal_path(live, number), number);
    let forgotten: Vec<journal::Line> =
        journal.ok().and_then(Result::ok).into_iter().flatten().map(|(print, _)| (print, None)).collect();
    let (making, place) = (live.join("making"), live.join(Generation::folder_name(number)));
    if making.symlink_metadata().is_ok() {
        folder::remove(&making);
    }
    folder::create(&making)?;
    let mut journal = Journal::open(&making.join("journal"), number, 0)?;
    journal.append(&forgotten)?;
    journal.sync()?;
    set_aside(shared, &place)?;
    fs::rename(making, place)?;
    shared.index.remove_generation(number);
    Ok(forgotten.len() as u64)
}

/// Bytes of sled's cache for one generation, and its segment size.
pub fn database(options: &Options) -> (u64, usize) {
    let cache = (options.memory / 8).min(64 << 20) / 8;
    let segment = (options.disk / 256).clamp(128 << 10, 512 << 10).next_power_of_two().min(512 << 10);
    (cache.max(256 << 10), segment as usize)
}

/// Errors that say something about the disk, not about the files.
fn is_the_disks(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        PermissionDenied | StorageFull | QuotaExceeded | ReadOnlyFilesystem | WouldBlock | OutOfMemory
    ) || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
        || error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}

/// Can the disk be written to?
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let probed = File::create(&path).and_then(|mut file| {
        file.write_all(&[0; 64 * 1024])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    probed.and(removed)
}

fn set_aside(shared: &Shared, what: &Path) -> io::Result<()> {
    folder::set_aside(&shared.options.folder, what)?;
    shared.counters.set_aside.fetch_add(1, Relaxed);
    Ok(())
}
