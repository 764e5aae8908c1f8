//! What the program writes down: every line is looked at, few are kept.

use std::{collections::VecDeque, fs::File, io::Write, sync::Mutex};

use crate::{resource::CANARY, world::World};

/// What stands in a line in place of a parameter's value that may not be there (SECURITY.md, 9).
const REDACTED: &str = "=***";

#[derive(Default)]
pub struct Log(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    lines: u64,
    /// Lines that the program left out because they were read too slowly.
    missing: u64,
    redacted: u64,
    /// With a credential in them.
    leaking: Vec<String>,
    /// Panics and errors.
    bad: Vec<String>,
    newest: VecDeque<String>,
    file: Option<File>,
}

impl Log {
    /// `to`: a file for all lines.
    pub fn new(to: Option<File>) -> Log {
        Log(Mutex::new(Seen { file: to, ..Seen::default() }))
    }

    pub fn take(&self, side: &str, line: &str) {
        let leaks = line.contains(CANARY);
        let bad = line.contains("panicked") || line.contains("ERROR");
        let mut seen = self.0.lock().unwrap();
        seen.lines += 1;
        let missing =
            line.split_once(" lines are missing here").and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok());
        seen.missing += missing.unwrap_or(0);
        seen.redacted += u64::from(line.contains(REDACTED));
        let line = format!("{side}: {line}");
        if let Some(file) = &mut seen.file {
            let _ = writeln!(file, "{line}");
        }
        if leaks && seen.leaking.len() < 20 {
            seen.leaking.push(line.clone());
        }
        if bad && seen.bad.len() < 20 {
            seen.bad.push(line.clone());
        }
        seen.newest.push_front(line);
        seen.newest.truncate(5);
    }

    pub fn newest(&self) -> Vec<String> {
        self.0.lock().unwrap().newest.iter().cloned().collect()
    }

    /// `requests`: it holds a line for each, so some were redacted.
    pub fn judge(&self, world: &World, requests: bool) {
        let seen = self.0.lock().unwrap();
        let Seen { lines, missing, redacted, .. } = &*seen;
        println!("soak: {lines} lines in the logs, {redacted} of them redacted; {missing} were left out");
        for line in &seen.leaking {
            world.problem(format!("a credential is in its log: {line}"));
        }
        for line in &seen.bad {
            world.problem(format!("in its log: {line}"));
        }
        if requests && seen.redacted == 0 {
            world.problem("no line of its log was redacted: nothing was looked for".to_owned());
        }
    }
}
