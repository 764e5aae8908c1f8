//! What a process did to the files of a folder, as strace saw it, and what a disk may hold of that.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::support::Random;

const SECTOR: usize = 512;

/// What was done, in the order in which it was done.
#[derive(Debug)]
pub enum Op {
    Folder(PathBuf),
    /// A file that was not there.
    File(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
    Write(usize, usize, Vec<u8>),
    Truncate(usize, usize),
    /// Makes what was done to the file before this operation reach the disk.
    Sync(Option<usize>, usize),
    /// Printed.
    Said(String),
}

/// What is left of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kept {
    /// What was done before some moment, and a beginning of the last write.
    InOrder,
    /// Any of it, as a whole or any sectors.
    Any,
    /// Of all that was ever done most, much or little, as a whole or any sectors: syncs were lies.
    AnyOfAll,
}

#[derive(Clone, Copy, PartialEq)]
enum Stays {
    Whole,
    /// A beginning of it.
    Begun,
    InPart,
    No,
}

#[derive(Default)]
pub struct Trace {
    pub ops: Vec<Op>,
    /// As they are now, for who does something to them next.
    names: BTreeMap<PathBuf, Option<usize>>,
    lengths: Vec<usize>,
}

impl Trace {
    pub const CALLS: &str = "trace=openat,mkdir,rename,linkat,unlink,unlinkat,rmdir,write,writev,pwrite64,pwritev,ftruncate,\
                             fallocate,fsync,fdatasync";

    /// What was done below this folder.
    pub fn read(log: &Path, folder: &Path) -> Trace {
        let mut trace = Trace::default();
        let mut begun: HashMap<String, (String, usize)> = HashMap::new();
        for line in fs::read_to_string(log).expect("a trace").lines() {
            let (thread, call) = line.split_once(' ').expect("a thread");
            let (thread, call) = (thread.to_owned(), call.trim_start());
            if let Some(call) = call.strip_suffix("<unfinished ...>") {
                begun.insert(thread, (call.trim_end().to_owned(), trace.ops.len()));
            } else if call.starts_with("<...") {
                let rest = call.split_once("resumed>").expect("the rest of a call").1;
                let (call, since) = begun.remove(&thread).expect("a call that was begun");
                trace.add(&(call + rest), since, folder);
            } else {
                trace.add(call, trace.ops.len(), folder);
            }
        }
        trace
    }

    fn add(&mut self, line: &str, since: usize, folder: &Path) {
        let Some((name, rest)) = line.split_once('(') else { return };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return };
        if result.trim_start().starts_with('-') {
            return;
        }
        let strings: Vec<Vec<u8>> = arguments.split('"').skip(1).step_by(2).map(unescaped).collect();
        let named = |at: usize| PathBuf::from(String::from_utf8_lossy(&strings[at]).into_owned());
        let inside = |path: PathBuf| path.strip_prefix(folder).ok().map(Path::to_owned);
        let opened = || {
            let path = arguments.split_once('<')?.1.split_once('>')?.0;
            Some(PathBuf::from(String::from_utf8_lossy(&unescaped(path)).into_owned()))
        };
        let last =
            || arguments.trim_end().trim_end_matches(')').rsplit(", ").next().and_then(|number| number.parse().ok());
        match name {
            "write" if arguments.starts_with("1<") => {
                self.ops.push(Op::Said(String::from_utf8_lossy(&strings[0]).into_owned()));
            }
            "openat" if arguments.contains("O_CREAT") => {
                let Some(path) = inside(named(0)) else { return };
                let known = self.names.get(&path).copied().flatten();
                let file = known.unwrap_or_else(|| {
                    self.lengths.push(0);
                    let file = self.lengths.len() - 1;
                    self.names.insert(path.clone(), Some(file));
                    self.ops.push(Op::File(path, file));
                    file
                });
                if known.is_some() && arguments.contains("O_TRUNC") {
                    self.truncate(file, 0);
                }
            }
            "openat" => assert!(!arguments.contains("O_TRUNC"), "a call that is not understood: {line:.200}"),
            "mkdir" => {
                let Some(path) = inside(named(0)) else { return };
                self.names.insert(path.clone(), None);
                self.ops.push(Op::Folder(path));
            }
            "rename" | "linkat" | "unlink" | "rmdir" | "unlinkat" => {
                let from = match name {
                    "unlinkat" => opened().unwrap_or_default().join(named(0)),
                    _ => named(0),
                };
                let Some(from) = inside(from) else { return };
                let op = match name {
                    "rename" => Op::Rename(from, inside(named(1)).expect("a place inside")),
                    "linkat" => Op::Link(from, inside(named(1)).expect("a place inside")),
                    _ => Op::Remove(from),
                };
                name_op(&mut self.names, &op);
                self.ops.push(op);
            }
            "write" | "writev" | "pwrite64" | "ftruncate" | "fsync" | "fdatasync" => {
                let Some(path) = opened().and_then(inside) else { return };
                let file = self.names.get(&path).copied().flatten();
                match (name, file) {
                    ("fsync" | "fdatasync", _) => self.ops.push(Op::Sync(file, since)),
                    ("ftruncate", Some(file)) => self.truncate(file, last().expect("a length")),
                    (_, Some(file)) => {
                        // what is not written at an offset is appended
                        let at = if name != "pwrite64" { self.lengths[file] } else { last().expect("an offset") };
                        let bytes = strings.concat();
                        self.lengths[file] = self.lengths[file].max(at + bytes.len());
                        self.ops.push(Op::Write(file, at, bytes));
                    }
                    // removed while it was open
                    (_, None) => assert!(path.to_string_lossy().contains("(deleted)"), "{line:.200}"),
                }
            }
            _ => assert!(inside(opened().unwrap_or_default()).is_none(), "a call that is not understood: {line:.200}"),
        }
    }

    fn truncate(&mut self, file: usize, length: usize) {
        self.lengths[file] = length;
        self.ops.push(Op::Truncate(file, length));
    }

    /// Makes the folder as it may be found after the power went behind so many operations.
    pub fn build(&self, at: usize, kept: Kept, folder: &Path, random: &mut Random) {
        let ops = &self.ops[..at];
        // one write of so many is lost, where syncs are lies
        let lost_of = [2, 30, 400, 4000][random.below(4) as usize];
        let mut synced = vec![0; self.lengths.len()];
        let mut all_synced = 0;
        for op in ops.iter().filter(|_| kept != Kept::AnyOfAll) {
            if let Op::Sync(file, since) = op {
                all_synced = *since;
                file.iter().for_each(|file| synced[*file] = *since);
            }
        }
        // names change in order, and a sync of anything makes them durable
        let until = all_synced + random.below((at - all_synced) as u64 + 1) as usize;
        let mut names: BTreeMap<PathBuf, Option<usize>> = BTreeMap::new();
        let mut contents = vec![Vec::new(); self.lengths.len()];
        for (number, op) in ops.iter().enumerate() {
            let stays = |file: usize, random: &mut Random| match kept {
                _ if number < synced[file] => Stays::Whole,
                Kept::InOrder if number + 1 == until => Stays::Begun,
                Kept::InOrder if number < until => Stays::Whole,
                Kept::InOrder => Stays::No,
                Kept::AnyOfAll if random.below(lost_of) > 0 => Stays::Whole,
                Kept::Any | Kept::AnyOfAll => {
                    [Stays::Whole, Stays::InPart, Stays::No, Stays::No][random.below(4) as usize]
                }
            };
            match op {
                Op::Write(file, at, bytes) => match stays(*file, random) {
                    Stays::Whole => write(&mut contents[*file], *at, bytes),
                    Stays::Begun => {
                        write(&mut contents[*file], *at, &bytes[..random.below(bytes.len() as u64) as usize]);
                    }
                    Stays::InPart => {
                        for (at, sector) in sectors(*at, bytes).filter(|_| random.below(2) == 0) {
                            write(&mut contents[*file], at, sector);
                        }
                    }
                    Stays::No => {}
                },
                Op::Truncate(file, length) if stays(*file, random) == Stays::Whole => {
                    contents[*file].resize(*length, 0);
                }
                _ if number < until => name_op(&mut names, op),
                _ => {}
            }
        }
        fs::create_dir_all(folder).expect("a folder");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("permissions");
        for (path, file) in names {
            match file {
                None => fs::create_dir_all(folder.join(path)).expect("a folder"),
                Some(file) => fs::write(folder.join(path), &contents[file]).expect("a file"),
            }
        }
    }
}

/// What a disk writes as a whole, each with its place.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let here = at + done;
        let sector = &bytes[done..bytes.len().min(done + SECTOR - here % SECTOR)];
        done += sector.len();
        (!sector.is_empty()).then_some((here, sector))
    })
}

fn name_op(names: &mut BTreeMap<PathBuf, Option<usize>>, op: &Op) {
    match op {
        Op::Folder(path) => _ = names.insert(path.clone(), None),
        Op::File(path, file) => _ = names.insert(path.clone(), Some(*file)),
        Op::Link(from, to) => {
            if let Some(file) = names.get(from).copied() {
                names.insert(to.clone(), file);
            }
        }
        Op::Rename(from, to) => {
            let moved: Vec<PathBuf> = names.keys().filter(|path| path.starts_with(from)).cloned().collect();
            for path in moved {
                let file = names.remove(&path).expect("a name");
                let rest = path.strip_prefix(from).expect("a prefix");
                names.insert(if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) }, file);
            }
        }
        Op::Remove(path) => _ = names.remove(path),
        _ => {}
    }
}

fn write(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    content.resize(content.len().max(at + bytes.len()), 0);
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

/// What strace writes as `\x` and two digits for each byte.
fn unescaped(text: &str) -> Vec<u8> {
    if !text.contains("\\x") {
        return text.as_bytes().to_vec();
    }
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
    text.as_bytes().chunks_exact(4).map(|byte| digit(byte[2]) << 4 | digit(byte[3])).collect()
}
