//! Opens a folder, in whatever state it is: makes generations of it that can be read and written.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    sync::{Arc, Weak, atomic::Ordering::Relaxed, mpsc::Sender},
};

use super::{active::Active, command::Command, generations::Generations};
use crate::store::{
    StoreError,
    disk::{
        folder,
        generation::{Class, Generation},
        journal::Journal,
        records::DatabaseError,
        segment,
    },
    error::is_the_disks,
    format::lines::{self, LINE, Mark, Read},
    tiers::shared::Shared,
};

/// A response of so many bytes usually has a body with a file of its own.
const LARGE: u64 = 256 * 1024;

/// Opens the folder. Sets aside what cannot be read. `next_number`: the least number of the next generation; `None` at the first
/// opening of this process. An error comes from the disk, not from damage: try again later.
pub fn open(shared: &Arc<Shared>, commands: Sender<Command>, next_number: Option<u32>) -> io::Result<Generations> {
    let folder = &shared.options.folder;
    let live = folder.join("live");
    for part in [&live, &folder.join("filling")] {
        if let Some(odd) = folder::odd_folder(part) {
            set_aside(shared, part, &odd.to_string())?;
        }
        folder::create(part)?;
    }
    let filling = folder.join("filling");
    // at a later opening they are bodies of this process, which are still on their way
    if next_number.is_none() && fs::read_dir(&filling)?.next().is_some() {
        folder::move_away(folder, &filling)?;
        folder::create(&filling)?;
    }
    for file in ["journal", "journal.new"] {
        let odd = folder::set_aside_unless_file(folder, &live.join(file))?;
        shared.counters.set_aside.fetch_add(odd.into(), Relaxed);
    }
    move_other_version_away(folder, &live)?;
    let listed = Generation::list(&live)?;
    let path = live.join("journal");
    // all at once: sled may have to catch up with what was written since it was last opened
    let (read, opened) = std::thread::scope(|threads| {
        let open = |(number, class)| threads.spawn(move || open_generation(shared, class, number));
        let opening: Vec<_> = listed.iter().copied().map(open).collect();
        let read = read_journal(shared, &path, !listed.is_empty());
        (read, opening.into_iter().map(|thread| thread.join()).collect::<Vec<_>>())
    });
    let mut read = read?;
    shared.catalog.index_known.store(true, Relaxed);
    let named = shared.catalog.index.generations();
    // also above those that the journal names and that are lost: they would seem to be there again
    let known = listed.iter().map(|(number, _)| number).chain(&named).max();
    let next_number = known.map_or(1, |number| number + 1).max(next_number.unwrap_or(1));
    let mut open = Vec::with_capacity(opened.len());
    let mut furthest = Mark::default();
    for (opened, (number, class)) in opened.into_iter().zip(&listed) {
        let opened = opened.map_err(|_| io::Error::other("opening a database panicked"))?;
        match opened? {
            Ok((generation, mark)) => {
                open.push(Arc::new(generation));
                furthest = furthest.max(mark);
            }
            Err(damage) => {
                // a full or read-only disk can look like damage
                probe(&live)?;
                log::debug!("{damage}");
                let why = match damage {
                    DatabaseError::Odd(odd) => format!("part of the cache was damaged, because {odd}"),
                    _ => "part of the cache was damaged".to_owned(),
                };
                set_aside(shared, &live.join(Generation::folder_name(*class, *number)), &why)?;
            }
        }
    }
    // only now: one that a cut journal does not name any more is the one that knows of the cut
    open.retain(|generation| named.contains(&generation.number));
    for (number, class) in listed.into_iter().filter(|(number, _)| !named.contains(number)) {
        let unnamed = live.join(Generation::folder_name(class, number));
        // a damaged one is set aside already
        if unnamed.exists() {
            folder::move_away(folder, &unnamed)?;
        }
    }
    if furthest > read.mark {
        // what its lost lines replaced or forgot is not known
        read.damaged = true;
        shared.catalog.index.remove_all();
    }
    if read.unknown > 0 {
        log::warn!("{} lines of the cache's journal are from a newer Larder; they are skipped", read.unknown);
    }
    if read.damaged {
        log::warn!("the cache's journal is damaged; what it does not vouch for is forgotten");
        shared.counters.damaged.fetch_add(1, Relaxed);
    }
    let random = folder::random()?;
    let renewed =
        shared.purges.were_read(read.rules_lost || furthest > read.mark, std::array::from_fn(|at| random[at]));
    shared.catalog.index.keep_generations(&open.iter().map(|generation| generation.number).collect::<Vec<_>>());
    shared.reconcile_variants();
    let journal = if read.damaged || read.mark.lines == 0 || renewed {
        let (serial, summary) = (read.mark.serial.max(furthest.serial) + 1, shared.catalog.index.lines());
        Journal::summarize(&path, serial, &shared.purges.state(), &summary)?
    } else {
        Journal::open(&path, read.mark, furthest)?
    };
    shared.space.note_set_aside(set_aside_bytes(folder)?);
    folder::gone(folder)?.into_iter().for_each(|path| shared.remover.remove(path, None));
    start(shared, open, journal, next_number, commands)
}

/// Gives disk space back for an opening that found none: what is to be removed anyway, then one generation after the other.
/// Returns false if nothing is left that could be removed, or if the error has another cause.
pub fn give_room_back(folder: &Path, error: &io::Error) -> io::Result<bool> {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    if ![StorageFull, QuotaExceeded].contains(&error.kind()) {
        return Ok(false);
    }
    let live = folder.join("live");
    let mut useless = folder::gone(folder)?;
    useless.extend(folder::numbered(folder, "set-aside-")?.into_iter().map(|(_, path)| path));
    if useless.is_empty() {
        // the index forgets what was there
        let mut generations = Generation::list(&live)?;
        generations.sort_by_key(|(number, class)| (*class == Class::Proven, *number));
        useless.extend(generations.first().map(|(number, class)| live.join(Generation::folder_name(*class, *number))));
    }
    useless.iter().for_each(|path| folder::remove(path));
    Ok(useless.iter().any(|path| path.symlink_metadata().is_err()))
}

/// Moves away what a Larder with another format has stored, because none of it can be used. Its room is given back behind.
fn move_other_version_away(folder: &Path, live: &Path) -> io::Result<()> {
    let mut beginning = Vec::new();
    // an error comes again when the whole journal is read, and is reported then
    let _ = File::open(live.join("journal")).and_then(|file| file.take(LINE as u64).read_to_end(&mut beginning));
    let version = match lines::version(&beginning) {
        None | Some(lines::VERSION) => return Ok(()),
        Some(version) => version,
    };
    let whose = if version < lines::VERSION { "an older" } else { "a newer" };
    log::warn!(
        "the cache was written by {whose} Larder (format {version}; this one uses format {}); the cache starts empty and \
         the disk space is given back",
        lines::VERSION
    );
    folder::move_away(folder, live)?;
    folder::create(live)
}

/// Shows the generations to readers, and goes on writing to those that have room.
fn start(
    shared: &Arc<Shared>,
    open: Vec<Arc<Generation>>,
    journal: Journal,
    mut next_number: u32,
    commands: Sender<Command>,
) -> io::Result<Generations> {
    let large = shared.catalog.index.bytes_by_generation(LARGE);
    let guess = |generation: &Generation| large.get(&generation.number).copied().unwrap_or(0);
    open.iter().for_each(|generation| generation.correct(0, guess(generation)));
    let occupied: u64 = open.iter().map(|generation| generation.bytes()).sum();
    shared.space.set_measured(occupied + shared.space.set_aside(), &shared.options.folder);
    let share = shared.space.share();
    let last = |class| open.iter().rev().find(|generation| generation.class() == class).cloned();
    let resumed = |class| last(class).filter(|generation| generation.bytes() < share).map(Active::resume).transpose();
    let (fresh, proven) = (resumed(Class::Fresh)?, resumed(Class::Proven)?);
    let until = |number| {
        let active = [&fresh, &proven].into_iter().flatten().find(|active| active.generation.number == number);
        active.map(Active::next_file)
    };
    let guessed = open.iter().map(|it| Guessed::new(it, guess(it), until(it.number))).collect();
    *shared.catalog.generations_mut() = open;
    let fresh = match fresh {
        Some(fresh) => fresh,
        None => {
            next_number += 1;
            Active::begin(shared, Class::Fresh, next_number - 1).map_err(io)?
        }
    };
    count_behind(guessed, commands);
    let generations = Generations::new(shared.clone(), journal, fresh, proven, next_number);
    generations.measure().map_err(io)?;
    Ok(generations)
}

fn io(error: StoreError) -> io::Error {
    match error {
        StoreError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// Builds the index from the journal. Sets a journal aside that cannot be read at all.
fn read_journal(shared: &Shared, path: &Path, expected: bool) -> io::Result<Read> {
    let read = fs::read(path).map(|bytes| {
        shared.catalog.index_known.store(false, Relaxed);
        shared.catalog.index.remove_all();
        shared.catalog.index.read_journal(&bytes, |line| shared.purges.take(line))
    });
    match read {
        Ok(read) if read.damaged && read.mark.lines == 0 => {
            set_aside(shared, path, "the cache's journal cannot be read")?;
            Ok(read)
        }
        Ok(read) => Ok(read),
        Err(error) if is_the_disks(&error) => Err(error),
        Err(_) => {
            shared.catalog.index.remove_all();
            let there = path.symlink_metadata().is_ok();
            if there {
                set_aside(shared, path, "the cache's journal cannot be read")?;
            }
            Ok(Read { damaged: there || expected, ..Read::default() })
        }
    }
}

/// Opens one generation. Returns how far the journal must have come, or how the generation is damaged.
fn open_generation(
    shared: &Shared,
    class: Class,
    number: u32,
) -> io::Result<Result<(Generation, Mark), DatabaseError>> {
    let Shared { options, remover, counters, .. } = shared;
    let opened = Generation::open(class, number, options, shared.space.share(), remover, &counters.set_aside);
    Ok(match opened {
        Ok(generation) => {
            let mark = generation.database.records().journal();
            mark.map(|mark| (generation, mark)).map_err(|error| DatabaseError::Damaged(error.to_string()))
        }
        Err(DatabaseError::Io(error)) if is_the_disks(&error) => return Err(error),
        Err(damage) => Err(damage),
    })
}

/// Tries to write to the disk.
fn probe(folder: &Path) -> io::Result<()> {
    let path = folder.join("probe");
    let probed = folder::create_anew(&path).and_then(|mut file| {
        file.write_all(&[0; 64 * 1024])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    probed.and(removed)
}

/// Sets something aside, and says why. If it occupies too much to be kept, moves it away instead.
fn set_aside(shared: &Shared, what: &Path, why: &str) -> io::Result<()> {
    let cache = &shared.options.folder;
    shared.counters.set_aside.fetch_add(1, Relaxed);
    if folder::occupied(what) > shared.options.disk / 8 {
        folder::move_away(cache, what)?;
        log::warn!("{why}; it is removed, because it is too large to be kept");
    } else {
        let name = folder::set_aside(cache, what)?;
        log::warn!("{why}; it is moved to {name} and can be deleted");
    }
    Ok(())
}

fn set_aside_bytes(folder: &Path) -> io::Result<u64> {
    Ok(folder::numbered(folder, "set-aside-")?.iter().map(|(_, path)| folder::occupied(path)).sum())
}

/// A generation, and a guess of what its files of one body each occupy.
struct Guessed {
    generation: Weak<Generation>,
    folder: PathBuf,
    /// The files with this number or a later one came after the guess.
    until: u32,
    /// Bytes.
    guess: u64,
}

impl Guessed {
    /// `until`: the number of the next file, if the generation is written to.
    fn new(generation: &Arc<Generation>, guess: u64, until: Option<u32>) -> Guessed {
        let until = until.unwrap_or(u32::MAX);
        Guessed { generation: Arc::downgrade(generation), folder: generation.folder.clone(), until, guess }
    }

    fn count(&self) -> u64 {
        let files = segment::body_files(&self.folder).unwrap_or_default().into_iter();
        let older = files.filter(|file| file.number() < self.until);
        older.map(|file| folder::occupied(&file.path(&self.folder))).sum()
    }
}

/// Counts what the files of bodies occupy, on a thread of its own, which tells the writer. Nobody waits for it, because many
/// files take long. If there is no thread, the guesses stand.
fn count_behind(guessed: Vec<Guessed>, commands: Sender<Command>) {
    let count = move || {
        for guessed in guessed {
            let counted = guessed.count();
            let Guessed { generation, guess, .. } = guessed;
            // an error: the store is gone
            let _ = commands.send(Command::Counted { generation, guess, counted });
        }
    };
    if let Err(error) = std::thread::Builder::new().name("larder-counting".to_owned()).spawn(count) {
        log::debug!("what bodies occupy is not counted: {error}");
    }
}
