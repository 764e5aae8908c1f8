//! The lines of the journal, version 2, integers big-endian. Each line is 32 bytes, so that none crosses a sector:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 1 | kind |
//! | 1 | 27 | what the kind says; zeros behind |
//! | 28 | 4 | sum: CRC-32 over serial (8), position in the journal (8) and bytes 0..28 |
//!
//! | kind | | what it says |
//! |---|---|---|
//! | 1 | record | print of the key (8), generation (4), size in units of 64 bytes (4; the highest bit: the body has a file of its own), print of the primary key (8), how many generations later the body is (3, signed; 0 in the same one) |
//! | 2 | forgotten | print of the key (8) |
//! | 3 | purge rule | kind of rule (1: 0 all, 1 URL, 2 prefix, 3 tag, 4 path, 5 floor), 0 hard or 1 soft (1), length of the value (2), position (16); continued |
//! | 4 | continuation | 27 bytes of the value of the rule before it |
//! | 5 | high-water mark | position (16): no higher one was handed out before |
//! | 6 | identity | of the purge log (16) |
//!
//! Line 0 is the header: `LRDJ`, version (1), zeros (3), serial number of the journal (8), lines of state (4), lines of the
//! summary (8), sum (4). The lines of state (rules, marks, identity) come first, then the summary, in which each key stands
//! once, then what happened since. A journal that grew long is replaced by one with the next serial number.
//!
//! A line of an unknown kind is skipped, with its continuations, and never taken for damage. A rule of an unknown kind
//! counts as lost. At the end of a journal, zeros, a part of a line and a rule without all of its continuations never
//! reached the disk: they are no damage. Any other line whose sum is wrong is damage. In the summary it costs one key.
//! Elsewhere it may have replaced or forgotten a key, or been a rule: no line before it is believed, and a rule may be
//! lost.

use super::print::{Entry, Print, Size};
use crate::purge::Position;

pub const VERSION: u8 = 2;
pub const LINE: usize = 32;
const MAGIC: &[u8; 4] = b"LRDJ";
/// The bytes of a line without its sum.
const SAID: usize = 28;
/// The bytes of a value in each of its continuations.
const PAYLOAD: usize = SAID - 1;
/// The longest value of a rule.
pub const VALUE_LIMIT: usize = u16::MAX as usize;

const RECORD: u8 = 1;
const FORGOTTEN: u8 = 2;
const RULE: u8 = 3;
const CONTINUATION: u8 = 4;
const HIGH_WATER: u8 = 5;
const IDENTITY: u8 = 6;

/// A line of the journal, without its continuations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The newest record of a key, and the print of its primary key: its own, if it is not a variant.
    Record {
        print: Print,
        entry: Entry,
        primary: Print,
    },
    Forgotten(Print),
    Rule(Box<RuleLine>),
    /// No higher position was handed out before this line.
    HighWater(Position),
    /// The purge log that all positions are of.
    Identity([u8; 16]),
}

/// A purge rule as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLine {
    pub kind: RuleKind,
    pub soft: bool,
    pub position: Position,
    /// What the rule matches; at most [`VALUE_LIMIT`] bytes.
    pub value: Vec<u8>,
}

/// The kind of a purge rule, which says what its value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    All,
    Url,
    Prefix,
    Tag,
    Path,
    /// Everything, or what shares a bucket of an index, has to be validated.
    Floor,
}

const RULE_KINDS: [(RuleKind, u8); 6] = [
    (RuleKind::All, 0),
    (RuleKind::Url, 1),
    (RuleKind::Prefix, 2),
    (RuleKind::Tag, 3),
    (RuleKind::Path, 4),
    (RuleKind::Floor, 5),
];

/// A place in a journal: its serial number, and the number of lines before the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    pub serial: u64,
    pub lines: u64,
}

/// The state of a journal that was read, besides its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Read {
    /// The journal can be continued here. No lines: there is no header that can be believed.
    pub mark: Mark,
    /// Some lines are not what was written.
    pub damaged: bool,
    /// A rule is of an unknown kind, or a damaged line may have been a rule: what is stored may have been purged.
    pub rules_lost: bool,
    /// Lines of kinds that this version does not know.
    pub unknown: u64,
}

/// An event while a journal is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Line(Line),
    /// None of the records before can be believed. Rules, marks and the identity can.
    Forget,
}

/// Returns the format version that the journal was written in, as its first line says it: 1 for what the first edition
/// wrote, `None` if it is not the beginning of a journal.
pub fn version(journal: &[u8]) -> Option<u8> {
    /// A line of the first edition: 16 bytes and their sum; the serial number came first.
    const FIRST: usize = 20;
    if let Some(line) = journal.get(..LINE).filter(|line| line.starts_with(MAGIC)) {
        return is_written(line, be_u64(&line[8..]), 0).then_some(line[4]);
    }
    let line = journal.get(..FIRST)?;
    let digest = blake3::hash(&[&line[..8], &[0; 8], &line[..16]].concat());
    (line[16..] == digest.as_bytes()[..4]).then_some(1)
}

/// Returns line 0 of a journal with so many lines of state and a summary of so many lines.
pub fn header(serial: u64, state: u32, summary: u64) -> [u8; LINE] {
    let mut said = [0; SAID];
    said[..4].copy_from_slice(MAGIC);
    said[4] = VERSION;
    said[8..16].copy_from_slice(&serial.to_be_bytes());
    said[16..20].copy_from_slice(&state.to_be_bytes());
    said[20..].copy_from_slice(&summary.to_be_bytes());
    seal(said, serial, 0)
}

/// Returns true if the record of a generation can name a body in another one: their numbers are near enough to each other.
pub fn can_name(generation: u32, body: u32) -> bool {
    generation.abs_diff(body) < 1 << 23
}

/// Returns how many lines of 32 bytes a line takes, with its continuations.
pub fn count(line: &Line) -> u64 {
    match line {
        Line::Rule(rule) => 1 + rule.value.len().min(VALUE_LIMIT).div_ceil(PAYLOAD) as u64,
        _ => 1,
    }
}

/// Appends the bytes of a line that comes at this position in the journal. Returns how many lines of 32 bytes they are.
pub fn append(journal: &mut Vec<u8>, line: &Line, serial: u64, position: u64) -> u64 {
    let mut said = [0; SAID];
    let mut put = |kind, parts: &[&[u8]]| {
        said[0] = kind;
        let mut at = 1;
        for part in parts {
            said[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    };
    match line {
        Line::Record { print, entry: Entry { generation, size, body }, primary } => {
            debug_assert!(can_name(*generation, *body), "a body was named that is too far away");
            let numbers = [generation.to_be_bytes(), size.0.to_be_bytes()];
            let [_, distance @ ..] = body.wrapping_sub(*generation).to_be_bytes();
            put(RECORD, &[&print.0.to_be_bytes(), numbers.as_flattened(), &primary.0.to_be_bytes(), &distance]);
        }
        Line::Forgotten(print) => put(FORGOTTEN, &[&print.0.to_be_bytes()]),
        Line::Rule(rule) => {
            let RuleLine { kind, soft, position, value } = &**rule;
            let kind = RULE_KINDS.iter().find(|(known, _)| known == kind).map_or(0, |(_, number)| *number);
            let length = value.len().min(VALUE_LIMIT) as u16;
            put(RULE, &[&[kind, u8::from(*soft)], &length.to_be_bytes(), &position.to_bytes()]);
        }
        Line::HighWater(position) => put(HIGH_WATER, &[&position.to_bytes()]),
        Line::Identity(identity) => put(IDENTITY, &[identity]),
    }
    journal.extend_from_slice(&seal(said, serial, position));
    if let Line::Rule(rule) = line {
        debug_assert!(rule.value.len() <= VALUE_LIMIT, "a rule was admitted that is too long");
        let payloads = rule.value[..rule.value.len().min(VALUE_LIMIT)].chunks(PAYLOAD);
        for (position, payload) in (position + 1..).zip(payloads) {
            let mut said = [0; SAID];
            said[0] = CONTINUATION;
            said[1..=payload.len()].copy_from_slice(payload);
            journal.extend_from_slice(&seal(said, serial, position));
        }
    }
    count(line)
}

/// A rule whose continuations are being read.
struct Begun {
    rule: Box<RuleLine>,
    length: usize,
    /// Where it began.
    position: u64,
}

/// Reads a journal. Calls `take` for each event, in the order of the journal.
pub fn read(journal: &[u8], mut take: impl FnMut(Event)) -> Read {
    let (lines, _) = journal.as_chunks::<LINE>();
    let Some((header, lines)) = lines.split_first().filter(|_| version(journal) == Some(VERSION)) else {
        return Read { damaged: !journal.is_empty(), ..Read::default() };
    };
    let (serial, state) = (be_u64(&header[8..]), u64::from(be_u32(&header[16..])));
    let summary = state.saturating_add(be_u64(&header[20..]));
    let mut read = Read { mark: Mark { serial, lines: 1 }, ..Read::default() };
    let mut begun: Option<Begun> = None;
    // continuations of what cannot be understood are skipped
    let mut skipping = false;
    for line in lines {
        let position = read.mark.lines;
        if !is_written(line, serial, position) {
            if is_lost_tail(journal, position as usize * LINE) {
                break;
            }
            read.damaged = true;
            begun = None;
            skipping = true;
            if position <= state || position > summary {
                read.rules_lost = true;
                take(Event::Forget);
            }
            read.mark.lines += 1;
            continue;
        }
        read.mark.lines += 1;
        if let (CONTINUATION, Some(rule)) = (line[0], &mut begun) {
            let left = rule.length - rule.rule.value.len();
            rule.rule.value.extend_from_slice(&line[1..1 + left.min(PAYLOAD)]);
            if left <= PAYLOAD
                && let Some(whole) = begun.take()
            {
                take(Event::Line(Line::Rule(whole.rule)));
            }
            continue;
        }
        if begun.take().is_some() {
            // the rest of a rule is missing
            (read.damaged, read.rules_lost) = (true, true);
            take(Event::Forget);
        }
        if line[0] == CONTINUATION {
            // of a damaged line, or of one of an unknown kind
            read.damaged |= !skipping;
            continue;
        }
        skipping = false;
        match parse(line) {
            Parsed::Line(line) => take(Event::Line(line)),
            Parsed::Rule(rule, 0) => take(Event::Line(Line::Rule(rule))),
            Parsed::Rule(rule, length) => begun = Some(Begun { rule, length, position }),
            parsed @ (Parsed::Unknown | Parsed::UnknownRule) => {
                read.unknown += 1;
                read.rules_lost |= matches!(parsed, Parsed::UnknownRule);
                skipping = true;
            }
        }
    }
    if let Some(begun) = begun {
        read.mark.lines = begun.position;
    }
    read
}

enum Parsed {
    Line(Line),
    /// A rule without its value, and the length of that.
    Rule(Box<RuleLine>, usize),
    Unknown,
    UnknownRule,
}

/// Parses a line whose sum is right.
fn parse(line: &[u8; LINE]) -> Parsed {
    let said = &line[1..];
    Parsed::Line(match line[0] {
        RECORD => Line::Record {
            print: Print(be_u64(said)),
            entry: {
                let generation = be_u32(&said[8..]);
                // signed, in the upper three bytes of four
                let distance = i32::from_be_bytes([said[24], said[25], said[26], 0]) >> 8;
                let body = generation.wrapping_add_signed(distance);
                Entry { generation, size: Size(be_u32(&said[12..])), body }
            },
            primary: Print(be_u64(&said[16..])),
        },
        FORGOTTEN => Line::Forgotten(Print(be_u64(said))),
        RULE => {
            let kind = RULE_KINDS.iter().find(|(_, number)| *number == said[0]);
            let (Some((kind, _)), soft @ 0..=1) = (kind, said[1]) else { return Parsed::UnknownRule };
            let rule = RuleLine { kind: *kind, soft: soft == 1, position: position(&said[4..]), value: Vec::new() };
            return Parsed::Rule(Box::new(rule), usize::from(u16::from_be_bytes([said[2], said[3]])));
        }
        HIGH_WATER => Line::HighWater(position(said)),
        IDENTITY => Line::Identity(sixteen(said)),
        _ => return Parsed::Unknown,
    })
}

/// Returns true if nothing was written from here on.
fn is_lost_tail(journal: &[u8], at: usize) -> bool {
    journal[at.min(journal.len())..].iter().all(|byte| *byte == 0)
}

fn seal(said: [u8; SAID], serial: u64, position: u64) -> [u8; LINE] {
    let mut line = [0; LINE];
    line[..SAID].copy_from_slice(&said);
    line[SAID..].copy_from_slice(&sum(&said, serial, position));
    line
}

/// Returns true if the line is what was written at this position.
fn is_written(line: &[u8], serial: u64, position: u64) -> bool {
    line[SAID..] == sum(&line[..SAID], serial, position)
}

fn sum(said: &[u8], serial: u64, position: u64) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update([serial.to_be_bytes(), position.to_be_bytes()].as_flattened());
    hasher.update(said);
    hasher.finalize().to_be_bytes()
}

fn position(bytes: &[u8]) -> Position {
    Position::from_bytes(sixteen(bytes))
}

fn sixteen(bytes: &[u8]) -> [u8; 16] {
    let mut sixteen = [0; 16];
    sixteen.copy_from_slice(&bytes[..16]);
    sixteen
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}
