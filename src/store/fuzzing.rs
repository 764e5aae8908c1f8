//! See [`crate::fuzzing`].

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use super::{
    DiskBody, StoreError,
    disk::{records::segment_size, removing::Remover},
    format::{
        lines::{self, Event, LINE, Line, Mark, RuleKind, RuleLine},
        location::{FileName, Home, Location},
        prefix::{self, Flags, Prefix},
        print::{Entry, Print, Size},
        record::{self, BodyForm, Record, RecordBody, Variant},
        sums::{Algorithm, WRITTEN, behind},
    },
    tiers::index::Index,
};
use crate::{key::CacheKey, purge::Position};

/// Makes a record of any bytes, with the version, the flags, the lengths, the key and the sums that a valid one has. What
/// stands behind them is from the input.
pub fn mended(key: &CacheKey, data: &[u8]) -> Vec<u8> {
    let byte = |at: usize| data.get(at).copied().unwrap_or_default();
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|place| byte(at + place))) >> (byte(at) % 64);
    let flag = |bit: u8| byte(0) & bit != 0;
    let flags = Flags { invalidated: flag(1), credentials: flag(2), part: flag(4) };
    let primary = if flag(8) { CacheKey([!key.0[0]; 32]) } else { *key };
    let position = Position { milliseconds: number(1), sequence: number(9) };
    // a head of 64 KiB at most is not too long
    let rest = data.get(17..).unwrap_or_default();
    let (head, inline) = rest.split_at(rest.len().min(usize::from(byte(1)) * 256));
    let file = if flag(32) { FileName::Body } else { FileName::Segment };
    let location = Location {
        file: file(number(1) as u32),
        offset: number(9),
        length: number(17),
        piece: 1 << (byte(25) % 32),
        sums: [byte(26); 16],
        algorithm: if flag(64) { Algorithm::Blake3 } else { WRITTEN },
    };
    let body = match flag(16) {
        true => BodyForm::Beside(Home { generation: number(17) as u32, location }),
        false => BodyForm::Inline(inline),
    };
    let record = prefix::record(key, &Prefix { flags, primary, position }, body, |record| {
        record.extend_from_slice(head);
        Some(())
    });
    record.expect("the head is not too long")
}

/// A record of any bytes, and the same with all put right that stands before the head, so that what is behind is looked at.
pub fn record(data: &[u8]) {
    let key = CacheKey([7; 32]);
    let _ = record::decode(&key, data);
    let mended = mended(&key, data);
    assert!(record::parts(&key, &mended).is_some(), "prefix and sums are right");
    let Some(Record { primary, head, body }) = record::decode(&key, &mended) else { return };
    let variant = Variant::of(key, &head);
    assert_eq!(record::decode_variant(&key, &mended), Some((primary, variant)), "both read the same");
    let form = match &body {
        RecordBody::Inline(bytes) => BodyForm::Inline(bytes),
        RecordBody::Beside(home) => BodyForm::Beside(*home),
    };
    let again = record::encode(&key, &primary, &head, form).expect("what was read can be written");
    assert!(record::decode(&key, &again).is_some(), "what was written can be read again");
    let home = Home {
        generation: 1,
        location: Location {
            file: FileName::Body(2),
            offset: 3,
            length: 4,
            piece: 8,
            sums: [6; 16],
            algorithm: WRITTEN,
        },
    };
    match prefix::relocated(&key, &again, home) {
        Some(moved) => {
            let found = record::parts(&key, &moved).and_then(|parts| parts.home());
            assert_eq!(found, Some(home), "a moved record says where its body is");
        }
        None => assert!(matches!(form, BodyForm::Inline(_)), "a body in a file can be moved"),
    }
}

/// A journal, and what becomes of it: an operation on each three bytes of the input. What was written is read; where it is cut
/// or has lost its tail, what stands before; where a line is damaged, nothing that it may have outdated.
pub fn journal(data: &[u8]) {
    let _ = Index::new().read_journal(data, |_| {});
    let Some(([serial, summarized, damage, high, low], operations)) = data.split_first_chunk::<5>() else { return };
    let serial = u64::from(*serial);
    let print = |byte: u8| Print(u64::from(byte).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let written: Vec<Line> = operations
        .chunks_exact(3)
        .map(|chunk| match [chunk[0], chunk[1], chunk[2]] {
            [key, _, 255] => Line::Forgotten(print(key)),
            [length, kind, 254] => Line::Rule(Box::new(RuleLine {
                kind: if kind % 2 == 0 { RuleKind::Prefix } else { RuleKind::Tag },
                soft: kind % 4 > 1,
                position: Position { milliseconds: kind.into(), sequence: length.into() },
                value: vec![kind; length.into()],
            })),
            [high, low, 253] => Line::HighWater(Position { milliseconds: high.into(), sequence: low.into() }),
            [key, generation, size] => Line::Record {
                print: print(key),
                entry: Entry {
                    generation: generation.into(),
                    size: Size(size.into()),
                    body: (generation ^ (size % 2)).into(),
                },
                primary: print(generation),
            },
        })
        .collect();
    // in the summary each key stands once, and none that is forgotten
    let mut seen = HashSet::new();
    let once = |line: &&Line| matches!(line, Line::Record { print, .. } if seen.insert(print.0));
    let summary = written.iter().take(usize::from(*summarized)).take_while(once).count();
    let mut bytes = lines::header(serial, 0, summary as u64).to_vec();
    let mut starts = Vec::new();
    for line in &written {
        let start = bytes.len() / LINE;
        starts.push(start);
        lines::append(&mut bytes, line, serial, start as u64);
    }
    starts.push(bytes.len() / LINE);
    let at = usize::from(u16::from_be_bytes([*high, *low])) % bytes.len();
    let mut spoiled = bytes.clone();
    // which lines count, whether it can be told that others do not, and where it goes on
    let (counting, damaged, goes_on) = match damage % 4 {
        0 => (written.clone(), false, written.len()),
        1 | 2 => {
            spoiled.truncate(if damage % 4 == 2 { at / 512 * 512 } else { at });
            if damage % 4 == 2 {
                spoiled.resize(bytes.len(), 0);
            }
            let end = |line: usize| starts.get(line).map(|end| end * LINE);
            let is_whole = |line: &usize| end(*line).is_some_and(|end| spoiled.get(..end) == Some(&bytes[..end]));
            let whole = (0..=written.len()).take_while(is_whole).count();
            (written[..whole.saturating_sub(1)].to_vec(), whole == 0 && !spoiled.is_empty(), whole.saturating_sub(1))
        }
        _ => {
            spoiled[at] ^= 1 << (damage / 4 % 8);
            let line = starts.iter().rposition(|start| *start <= at / LINE);
            match line {
                None => (Vec::new(), true, 0),
                Some(line) if at / LINE > summary => (written[line + 1..].to_vec(), true, written.len()),
                Some(line) => ([&written[..line], &written[line + 1..]].concat(), true, written.len()),
            }
        }
    };
    let (mut found, mut rules) = (HashMap::new(), Vec::new());
    let mut apply = |found: &mut HashMap<Print, Line>, line: Line| match line {
        Line::Record { print, .. } => _ = found.insert(print, line),
        Line::Forgotten(print) => _ = found.remove(&print),
        line => rules.push(line),
    };
    let read = lines::read(&spoiled, |event| match event {
        Event::Line(line) => apply(&mut found, line),
        Event::Forget => found.clear(),
    });
    let mut expected = HashMap::new();
    counting.into_iter().for_each(|line| apply(&mut expected, line));
    assert_eq!(found, expected);
    assert!(rules.iter().all(|rule| written.contains(rule)), "no rule is made up");
    assert_eq!((read.damaged, read.unknown), (damaged, 0));
    let header = spoiled.get(..LINE) == Some(&bytes[..LINE]);
    let mark = if header { Mark { serial, lines: starts[goes_on] as u64 } } else { Mark::default() };
    assert_eq!(read.mark, mark, "it goes on where it is whole");
}

thread_local! {
    static FILE: Arc<File> = {
        let path = std::env::temp_dir().join(format!("larder-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()));
        let file = File::options().create_new(true).read(true).write(true).open(&path).expect("a file to fuzz with");
        std::fs::remove_file(path).expect("its name is not needed");
        Arc::new(file)
    };
}

/// A body on the disk, at an offset that the input says, in pieces of a size that it says: it reads as it was written; with
/// one bit of it turned, or at a place that is none, no other byte is ever read.
pub fn body(data: &[u8]) {
    let Some(([piece, offset, high, low, bit, wild @ ..], body)) = data.split_first_chunk::<9>() else { return };
    let piece = u32::from(*piece) + 1;
    let algorithm = if bit % 16 < 8 { WRITTEN } else { Algorithm::Blake3 };
    let sums = algorithm.of_pieces(body, piece);
    let mut bytes = vec![0xaa; usize::from(*offset)];
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(behind(&sums));
    let end = bytes.len();
    bytes.extend_from_slice(b"what comes next");
    let location = Location {
        file: FileName::Segment(0),
        offset: u64::from(*offset),
        length: body.len() as u64,
        piece,
        sums: algorithm.of_sums(&sums),
        algorithm,
    };
    let whole = stored(&bytes, location).expect("it is what was written");
    assert_eq!(whole.read_whole().expect("all of it"), body);
    let (from, length) = (u64::from(*high), usize::from(*low));
    let part = whole.read_now(from, length).expect("a part of it");
    assert_eq!(part, body[body.len().min(usize::from(*high))..][..part.len()]);
    assert_eq!(part.len(), length.min(body.len().saturating_sub(usize::from(*high))));
    let at =
        usize::from(*offset) + usize::from(u16::from_be_bytes([*high, *low])) % (end - usize::from(*offset)).max(1);
    if at < end {
        bytes[at] ^= 1 << (bit % 8);
        let within = (at - usize::from(*offset)) as u64;
        match stored(&bytes, location) {
            Err(_) => assert!(within >= location.length, "the sums are as they were"),
            Ok(body_of_bytes) => {
                assert!(within < location.length, "a sum is not as it was");
                for (number, right) in (0..).zip(body.chunks(piece as usize)) {
                    let read = body_of_bytes.read_now(number * u64::from(piece), piece as usize);
                    match number == within / u64::from(piece) {
                        true => assert!(matches!(read, Err(StoreError::Damaged(_)))),
                        false => assert_eq!(read.expect("another piece"), right),
                    }
                }
            }
        }
        bytes[at] ^= 1 << (bit % 8);
    }
    let [a, b, c, d] = wild;
    let elsewhere = Location {
        offset: u64::from(*a) << (b % 64),
        length: u64::from(*c) << (d % 64),
        piece: u32::from(*d) << (b % 32),
        ..location
    };
    if let Ok(found) = stored(&bytes, elsewhere) {
        // the sums bear this name: it is the body, however it is called
        let first = found.read_now(0, 1).unwrap_or_default();
        assert!(first.is_empty() || body.starts_with(&first));
    }
}

fn stored(bytes: &[u8], location: Location) -> Result<DiskBody, StoreError> {
    let file = FILE.with(Arc::clone);
    file.set_len(0).and_then(|()| file.write_all_at(bytes, 0)).expect("the file takes it");
    DiskBody::stored(file, 0, location, None, Remover::default())
}

/// The names and the settings that are read back from the cache folder.
pub fn folder(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for name in [text.to_string(), format!("{text}.seg"), format!("{text}.body")] {
        if let Some(file) = FileName::parse(&name) {
            assert_eq!(file.path(Path::new("")), Path::new(&name), "no name that is written");
        }
    }
    if let Some(size) = segment_size(data) {
        assert!(size.is_power_of_two());
    }
    let size = 1_usize << (data.len() % 30);
    let conf = [format!("segment_size: {size}\nuse_compression: false\nversion: 0.34\n").as_bytes(), data].concat();
    assert_eq!(segment_size(&conf), Some(size), "whatever the sum is");
}
