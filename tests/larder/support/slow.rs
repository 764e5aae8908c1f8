//! A slow disk: tests/slow-disk/slow.c, preloaded into the program, delays or refuses chosen calls on chosen files.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Bytes of the file of rules (`RULES` in slow.c).
const RULES: usize = 4096;

/// The rules for the disk of one program. They can change while it runs.
pub struct SlowDisk {
    path: PathBuf,
    file: File,
}

impl SlowDisk {
    /// A disk without rules. `folder`: where the file of rules may be, beside the cache folder.
    pub fn new(folder: &Path) -> SlowDisk {
        let path = folder.join("slow-disk");
        let file = File::options().create_new(true).write(true).open(&path).unwrap();
        file.set_len(RULES as u64).unwrap();
        SlowDisk { path, file }
    }

    /// Makes the program run on this disk.
    pub fn under<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", library()).env("SLOW_DISK", &self.path)
    }

    /// Replaces all rules. Each is three words: a call (unlink, sync, write, open, link), a part of the file's path, and
    /// the delay in milliseconds, or EPERM. None: the disk is as fast as it is.
    pub fn rules(&self, rules: &[&str]) {
        let text = rules.join("\n");
        assert!(text.len() < RULES, "the rules are too long");
        let mut bytes = text.into_bytes();
        bytes.resize(RULES, 0);
        // the program reads none until the first byte is there
        self.file.write_all_at(&[0], 0).unwrap();
        self.file.write_all_at(&bytes[1..], 1).unwrap();
        self.file.write_all_at(&bytes[..1], 0).unwrap();
    }
}

/// The compiled library. It is compiled once in each process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slow-disk/slow.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (library, new) = (folder.join("slow.so"), folder.join(format!("slow-{}.so", std::process::id())));
        let mut command = Command::new("cc");
        command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&new).arg(&source);
        assert!(command.status().expect("a C compiler: cc").success(), "cc does not compile {}", source.display());
        // another process may be running with the library that is there
        std::fs::rename(&new, &library).unwrap();
        library
    })
}
