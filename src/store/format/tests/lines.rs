use std::path::PathBuf;

use proptest::{collection::vec, prelude::*};

use super::{POSITION, golden};
use crate::{
    purge::Position,
    store::format::{
        lines::{self, Event, Line, Mark, Read, RuleKind, RuleLine},
        print::{Entry, Print, Size},
    },
};

const KINDS: &[RuleKind] = &[RuleKind::All, RuleKind::Url, RuleKind::Prefix, RuleKind::Tag, RuleKind::Path];

fn rules() -> impl Strategy<Value = RuleLine> {
    (proptest::sample::select(KINDS), any::<bool>(), any::<(u64, u64)>(), vec(any::<u8>(), 0..100)).prop_map(
        |(kind, soft, (milliseconds, sequence), value)| RuleLine {
            kind,
            soft,
            position: Position { milliseconds, sequence },
            value,
        },
    )
}

fn lines() -> impl Strategy<Value = Line> {
    let position = || any::<(u64, u64)>().prop_map(|(milliseconds, sequence)| Position { milliseconds, sequence });
    prop_oneof![
        (any::<(u64, u32, u32, u64)>(), -(1 << 23) + 1..1 << 23).prop_map(
            |((print, generation, size, primary), distance)| Line::Record {
                print: Print(print),
                entry: Entry { generation, size: Size(size), body: generation.saturating_add_signed(distance) },
                primary: Print(primary),
            }
        ),
        any::<u64>().prop_map(|print| Line::Forgotten(Print(print))),
        rules().prop_map(|rule| Line::Rule(Box::new(rule))),
        position().prop_map(Line::HighWater),
        any::<[u8; 16]>().prop_map(Line::Identity),
    ]
}

/// A journal of these lines without a summary, and at which of its lines of 32 bytes each of them begins.
fn journal(lines: &[Line]) -> (Vec<u8>, Vec<u64>) {
    let mut bytes = lines::header(9, 0, 0).to_vec();
    let mut position = 1;
    let starts = lines.iter().map(|line| {
        let start = position;
        position += lines::append(&mut bytes, line, 9, start);
        start
    });
    let starts = starts.collect();
    assert_eq!(bytes.len() as u64, position * 32);
    (bytes, starts)
}

fn read(journal: &[u8]) -> (Vec<Event>, Read) {
    let mut events = Vec::new();
    let read = lines::read(journal, |event| events.push(event));
    (events, read)
}

fn said(lines: &[Line]) -> Vec<Event> {
    lines.iter().cloned().map(Event::Line).collect()
}

fn some_lines() -> Vec<Line> {
    let record = |print, generation, size, primary| Line::Record {
        print: Print(print),
        entry: Entry { generation, size: Size(size), body: generation },
        primary: Print(primary),
    };
    let rule = |kind, soft, value: &[u8]| {
        Line::Rule(Box::new(RuleLine { kind, soft, position: POSITION, value: value.to_vec() }))
    };
    vec![
        Line::Identity([0xee; 16]),
        Line::HighWater(POSITION),
        record(0x0102_0304_0506_0708, 0x0a0b_0c0d, 1 << 14, 0x0102_0304_0506_0708),
        record(u64::MAX, 3, u32::MAX, 5),
        Line::Forgotten(Print(2)),
        rule(RuleKind::All, false, b""),
        rule(RuleKind::Prefix, true, b"http://origin.test/a/b/c/d/e/f/g/h/i/j/k/l/m"),
        rule(RuleKind::Tag, false, &[b't'; 27]),
        rule(RuleKind::Url, false, b"http://origin.test/"),
        rule(RuleKind::Path, true, &[0; 28]),
    ]
}

#[test]
fn a_golden_journal_of_version_2_is_read_and_written_byte_for_byte() {
    let lines = some_lines();
    let mut bytes = lines::header(9, 2, 2).to_vec();
    let mut position = 1;
    lines.iter().for_each(|line| position += lines::append(&mut bytes, line, 9, position));
    let (events, read) = read(&golden("journal-v2", &bytes));
    assert_eq!(events, said(&lines));
    assert_eq!(read, Read { mark: Mark { serial: 9, lines: position }, ..Read::default() });
    assert_eq!(lines::version(&bytes), Some(2));
}

#[test]
fn the_journal_of_the_first_edition_is_told_from_damage_and_from_later_ones() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal");
    let first = std::fs::read(path).expect("a golden file");
    assert_eq!(lines::version(&first), Some(1));
    let mut damaged = first.clone();
    damaged[3] ^= 1;
    assert_eq!(lines::version(&damaged), None);
    let mut later = lines::header(9, 0, 0);
    later[4] = 3;
    assert_eq!(lines::version(&later), None, "a version without its sum");
    assert_eq!(lines::version(b"LRDJ"), None);
    for journal in [&first[..], &damaged, &later, b"L"] {
        assert_eq!(read(journal), (Vec::new(), Read { damaged: true, ..Read::default() }));
    }
    assert_eq!(read(b""), (Vec::new(), Read::default()));
}

#[test]
fn a_journal_that_is_cut_anywhere_says_what_stands_before_and_nothing_is_damage() {
    let lines = some_lines();
    let (bytes, starts) = journal(&lines);
    for cut in 32..bytes.len() {
        let zeroed = [&bytes[..cut / 32 * 32], &vec![0; bytes.len() - cut / 32 * 32]].concat();
        for journal in [&bytes[..cut], &zeroed] {
            let whole = starts.iter().skip(1).take_while(|end| **end * 32 <= cut as u64).count();
            let (events, read) = read(journal);
            assert_eq!(events, said(&lines[..whole]), "cut at {cut}");
            let mark = Mark { serial: 9, lines: starts[whole] };
            assert_eq!(read, Read { mark, ..Read::default() }, "cut at {cut}");
        }
    }
}

#[test]
fn a_flipped_bit_costs_its_line_and_the_belief_in_what_was_said_before() {
    let lines = some_lines();
    let (bytes, starts) = journal(&lines);
    for at in 32..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let (events, read) = read(&changed);
        let line = starts.iter().rposition(|start| *start * 32 <= at as u64).expect("a line");
        let expected = [said(&lines[..line]), vec![Event::Forget], said(&lines[line + 1..])].concat();
        assert_eq!(events, expected, "byte {at}");
        assert!(read.damaged && read.rules_lost && read.mark.lines * 32 == bytes.len() as u64, "byte {at}");
    }
}

#[test]
fn a_damaged_line_of_the_summary_costs_its_key_alone_and_one_of_the_state_may_be_a_rule() {
    let lines = some_lines();
    let (mut bytes, _) = journal(&lines);
    bytes[..32].copy_from_slice(&lines::header(9, 2, 2));
    for (line, state) in [(2, true), (3, false), (4, false), (5, true)] {
        let mut changed = bytes.clone();
        changed[line * 32 + 5] ^= 1;
        let (events, read) = read(&changed);
        assert_eq!((read.damaged, read.rules_lost), (true, state), "line {line}");
        assert_eq!(events.contains(&Event::Forget), state, "line {line}");
        assert_eq!(events.len(), lines.len() - usize::from(!state), "line {line}");
    }
}

/// A line of these bytes, with the sum that belongs to them, at the end of a journal.
fn raw(journal: &mut Vec<u8>, bytes: &[u8]) {
    let mut said = [0; 44];
    said[..8].copy_from_slice(&9_u64.to_be_bytes());
    said[8..16].copy_from_slice(&(journal.len() as u64 / 32).to_be_bytes());
    said[16..16 + bytes.len()].copy_from_slice(bytes);
    journal.extend_from_slice(&said[16..]);
    journal.extend_from_slice(&crc32fast::hash(&said).to_be_bytes());
}

#[test]
fn lines_of_unknown_kinds_are_skipped_with_their_continuations() {
    let known = Line::Forgotten(Print(1));
    for (kind, rules_lost) in
        [(&[7][..], false), (&[0], false), (&[255], false), (&[3, 6, 0], true), (&[3, 0, 2], true)]
    {
        let (mut bytes, _) = journal(std::slice::from_ref(&known));
        raw(&mut bytes, kind);
        raw(&mut bytes, &[4; 28]);
        raw(&mut bytes, &[4; 28]);
        let position = bytes.len() as u64 / 32;
        lines::append(&mut bytes, &known, 9, position);
        let (events, read) = read(&bytes);
        assert_eq!(events, said(&[known.clone(), known.clone()]), "{kind:?}");
        let mark = Mark { serial: 9, lines: position + 1 };
        assert_eq!(read, Read { mark, damaged: false, rules_lost, unknown: 1 }, "{kind:?}");
    }
}

#[test]
fn a_rule_that_another_line_interrupts_is_lost_and_its_rest_is_no_line() {
    let (bytes, starts) = journal(&some_lines());
    let rule = starts[6] as usize;
    let mut interrupted = bytes[..32 * (rule + 1)].to_vec();
    raw(&mut interrupted, &[2]);
    raw(&mut interrupted, &[4; 28]);
    let (events, read) = read(&interrupted);
    assert_eq!(events.last_chunk::<2>(), Some(&[Event::Forget, Event::Line(Line::Forgotten(Print(0)))]));
    assert!(read.damaged && read.rules_lost);
}

#[test]
fn the_longest_value_of_a_rule_survives() {
    let value = vec![b'/'; lines::VALUE_LIMIT];
    let rule = Line::Rule(Box::new(RuleLine { kind: RuleKind::Prefix, soft: false, position: POSITION, value }));
    let (bytes, _) = journal(std::slice::from_ref(&rule));
    assert_eq!(read(&bytes).0, said(&[rule]));
}

proptest! {
    #[test]
    fn journals_survive_a_round_trip(lines in vec(lines(), 0..20)) {
        let (bytes, _) = journal(&lines);
        let (events, read) = read(&bytes);
        prop_assert_eq!(events, said(&lines));
        let mark = Mark { serial: 9, lines: bytes.len() as u64 / 32 };
        prop_assert_eq!(read, Read { mark, ..Read::default() });
    }

    #[test]
    fn no_bytes_make_reading_a_journal_panic(lines in vec(vec(any::<u8>(), 0..28), 0..20), tail in vec(any::<u8>(), 0..100)) {
        let mut bytes = lines::header(9, 3, 3).to_vec();
        lines.iter().for_each(|line| raw(&mut bytes, line));
        bytes.extend_from_slice(&tail);
        let _ = read(&bytes);
        let _ = read(&tail);
    }
}
