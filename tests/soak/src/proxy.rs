//! The real program, started, stopped, killed and watched.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    log::Log,
    world::{Count, Side, World, pause},
};

pub struct Proxy {
    pub world: Arc<World>,
    /// Which of the world's two it is.
    pub side: usize,
    pub program: PathBuf,
    pub folder: PathBuf,
    pub log: Arc<Log>,
    pub flags: Vec<String>,
    pub child: Option<Child>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    pub rss_kib: u64,
    pub descriptors: u64,
    /// Of those, files in the cache folder, and of them those that are in no folder any more.
    pub files: u64,
    pub gone: u64,
    pub disk_kib: u64,
}

impl Proxy {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--cache-dir").arg(&self.folder).env_clear().env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null());
        command
    }

    fn side(&self) -> &Side {
        &self.world.sides[self.side]
    }

    /// Starts it, and waits until it takes connections.
    pub fn start(&mut self) {
        let mut command = self.command(&["--port", "0"]);
        let mut child = command.args(&self.flags).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (mut stderr, log) = (BufReader::new(child.stderr.take().unwrap()), self.log.clone());
        let (tell, told) = std::sync::mpsc::channel();
        let name = self.side().name;
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line);
                if let Some((_, address)) = text.split_once("listening on http://") {
                    let address = address.split_whitespace().next().unwrap_or_default();
                    let _ = tell.send(address.parse::<SocketAddr>());
                }
                log.take(name, text.trim_end());
                line.clear();
            }
        });
        match told.recv_timeout(Duration::from_secs(5)) {
            Ok(Ok(address)) if TcpStream::connect(address).is_ok() => {
                *self.side().address.lock().unwrap() = Some(address);
            }
            other => self.world.problem(format!("it did not start within 5 s: {other:?}; {:?}", self.log.newest())),
        }
        self.child = Some(child);
    }

    /// Nobody begins anything with it any more, and everybody knows.
    fn announce_end(&self) {
        let mut address = self.side().address.lock().unwrap();
        *address = None;
        self.side().ends.fetch_add(1, SeqCst);
    }

    /// SIGTERM, and a bound for its end.
    pub fn stop(&mut self) {
        self.announce_end();
        let Some(mut child) = self.child.take() else { return };
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        for _ in 0..1500 {
            if let Some(status) = child.try_wait().unwrap() {
                if !status.success() {
                    self.world.problem(format!("it ended with {status} after SIGTERM; {:?}", self.log.newest()));
                }
                self.world.count(Count::Stops);
                return;
            }
            pause(10);
        }
        self.world.problem("it did not end within 15 s of SIGTERM".to_owned());
        let _ = child.kill();
        let _ = child.wait();
    }

    pub fn kill(&mut self) {
        self.announce_end();
        if let Some(mut child) = self.child.take() {
            self.side().forget_newest_floors();
            let _ = child.kill();
            let _ = child.wait();
            // what was raised between the two is lost as well
            self.side().forget_newest_floors();
            self.world.count(Count::Kills);
        }
    }

    pub fn clear(&self) {
        let serial = self.world.serial.load(SeqCst);
        let output = self.command(&["--clear-cache"]).output().unwrap();
        for line in String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).lines() {
            self.log.take(self.side().name, line);
        }
        if output.status.success() {
            self.side().cleared.fetch_max(serial, SeqCst);
            self.world.count(Count::Clears);
        } else {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            self.world.problem(format!("--clear-cache ended with {}: {said}", output.status));
        }
    }

    pub fn held(&mut self) -> Option<Held> {
        let child = self.child.as_mut()?;
        if let Some(status) = child.try_wait().unwrap() {
            self.world.problem(format!("it ended by itself with {status}: {:?}", self.log.newest()));
            self.child = None;
            return None;
        }
        let process = PathBuf::from(format!("/proc/{}", self.child.as_ref()?.id()));
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let descriptors: Vec<_> = std::fs::read_dir(process.join("fd")).ok()?.flatten().map(|fd| fd.path()).collect();
        let in_folder = |fd: &&PathBuf| std::fs::read_link(fd).is_ok_and(|file| file.starts_with(&self.folder));
        let files = descriptors.iter().filter(in_folder);
        let gone = files.clone().filter(|fd| std::fs::metadata(fd).is_ok_and(|about| about.nlink() == 0));
        Some(Held {
            files: files.count() as u64,
            gone: gone.count() as u64,
            rss_kib: rss.trim().trim_end_matches(" kB").trim().parse().ok()?,
            descriptors: descriptors.len() as u64,
            disk_kib: disk(&self.folder) / 1024,
        })
    }
}

/// Bytes that a folder takes on the disk.
fn disk(folder: &Path) -> u64 {
    let Ok(children) = std::fs::read_dir(folder) else { return 0 };
    let size = |child: std::fs::DirEntry| match child.metadata() {
        Ok(data) if data.is_dir() => disk(&child.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    children.flatten().map(size).sum()
}
