use std::path::PathBuf;

use proptest::{collection::vec, option, prelude::*};

use super::support::*;
use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
    message::{FieldName, FieldValue, Fields, Nominated, Part, ResponseHead, StatusCode, StoredHead},
    store::{
        Variant,
        disk::journal::Journal,
        format::{
            journal_lines::Mark,
            location::{FileName, Location},
            print::{Entry, Print, Size},
            record::{BodyForm, Record, RecordBody, decode, encode_response, encode_variants},
        },
        tiers::index::Index,
    },
};

fn location() -> Location {
    Location { file: FileName::Body(7), offset: 4_096, length: 1 << 40, piece: 65_536, sums: [9; 16] }
}

/// A key that golden records bear, whatever keys are made from by now.
fn golden_key(hex: &str) -> CacheKey {
    let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal digits");
    CacheKey(std::array::from_fn(byte))
}

fn variants() -> Vec<Variant> {
    let variant = |key: &str, language: &str, at| {
        let nominated = variant("golden", language, at).head.nominated;
        Variant { key: golden_key(key), nominated, response_time: Timestamp(at) }
    };
    vec![
        variant("1a83d1761903bfce97f56891aae5e1d85061005ae44942fbfe2fd56a5b3ff7f1", "de", 5),
        variant("28c9aae0f42cad7209f227964e8394a71806d9f08046fb95c933eacd52724b15", "", -3),
    ]
}

fn full_head() -> StoredHead {
    StoredHead {
        part: Some(Part { first: 10, last: 19, complete: Some(100) }),
        nominated: vec![(FieldName::from_static("accept"), None)],
        invalidated: true,
        credentials: true,
        request_time: Timestamp(-1),
        initial_age: Seconds(u64::MAX),
        ..head("golden")
    }
}

/// What was written once and for all, under this name. `LARDER_BLESS=1` writes it.
fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("LARDER_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, written).expect("written");
    }
    let stored = std::fs::read(&path).expect("a golden file");
    assert_eq!(stored, written, "{name}");
    stored
}

/// What each version wrote can be read for ever, and this version writes what it always wrote.
#[test]
fn golden_records_of_version_1_are_read_and_written_byte_for_byte() {
    let key = golden_key("62ab60142c9ceb96dccc6b675e10a619c90a55e70d3fc60fbdd91f5138198180");
    let golden = |name: &str, record: Vec<u8>| decode(&key, &golden(name, &record)).expect("a record");
    let inline = encode_response(&key, &head("golden"), BodyForm::Inline(b"the body")).expect("encoded");
    match golden("record-v1-inline", inline) {
        Record::Response(found, RecordBody::Inline(body)) => {
            assert_eq!((found, &body[..]), (head("golden"), &b"the body"[..]));
        }
        other => panic!("{other:?}"),
    }
    let beside = encode_response(&key, &full_head(), BodyForm::Beside(location())).expect("encoded");
    match golden("record-v1-beside", beside) {
        Record::Response(found, RecordBody::Beside(place)) => assert_eq!((found, place), (full_head(), location())),
        other => panic!("{other:?}"),
    }
    match golden("record-v1-variants", encode_variants(&key, &variants()).expect("encoded")) {
        Record::Variants(found) => assert_eq!(found, variants()),
        other => panic!("{other:?}"),
    }
}

/// Behind a summary of one key: put, forgotten, a list of variants, and the largest size that there is.
#[test]
fn a_golden_journal_is_read_and_written_byte_for_byte() {
    const PRINTS: [Print; 4] = [Print(0x0102_0304_0506_0708), Print(2), Print(3), Print(u64::MAX)];
    let entry = |generation, size| Entry { generation, size };
    let folder = folder();
    let path = folder.path().join("journal");
    let summary = Index::new();
    summary.set(PRINTS[0], entry(1, Size::of_response(100)));
    let mut journal = Journal::summarize(&path, 9, &summary.entries()).expect("a journal");
    journal.append(&[
        (PRINTS[1], Some(entry(0x0a0b_0c0d, Size::of_response(1 << 20)))),
        (PRINTS[0], None),
        (PRINTS[2], Some(entry(2, Size::LIST))),
        (PRINTS[3], Some(entry(3, Size::of_response(u64::MAX)))),
    ]);
    journal.sync().expect("written");
    let index = Index::new();
    let read = index.read_journal(&golden("journal", &std::fs::read(&path).expect("a journal")));
    assert_eq!((read.mark, read.damaged), (Mark { serial: 9, lines: 6 }, false));
    let found = PRINTS.map(|print| index.find(print).map(|entry| (entry.generation, entry.size.0)));
    assert_eq!(found, [None, Some((0x0a0b_0c0d, 1 << 14)), Some((2, 0)), Some((3, u32::MAX - 1))]);
}

#[test]
fn another_version_another_key_and_any_changed_byte_are_no_record() {
    let (key, other) = (key("a"), key("b"));
    let record = encode_response(&key, &full_head(), BodyForm::Inline(b"body")).expect("encoded");
    assert!(decode(&key, &record).is_some());
    assert!(decode(&other, &record).is_none());
    for at in 0..record.len() {
        for bit in 0..8 {
            let mut changed = record.clone();
            changed[at] ^= 1 << bit;
            assert!(decode(&key, &changed).is_none(), "bit {bit} of byte {at}");
        }
        assert!(decode(&key, &record[..at]).is_none(), "cut at {at}");
    }
    assert!(decode(&key, &[&record[..], &[0]].concat()).is_none());
}

fn field_names() -> impl Strategy<Value = FieldName> {
    "[a-z][a-z0-9-]{0,20}".prop_map(|name| FieldName::from_bytes(name.as_bytes()).expect("a field name"))
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![32_u8..=126, 128_u8..=255, Just(b'\t')], 0..200)
}

fn nominated() -> impl Strategy<Value = Vec<Nominated>> {
    vec((field_names(), option::of(vec(any::<u8>(), 0..50))), 0..4)
}

prop_compose! {
    fn heads()(
        asked in ".{0,60}",
        status in 100_u16..600,
        fields in vec((field_names(), values()), 0..30),
        times in any::<[i64; 3]>(),
        initial_age in any::<u64>(),
        nominated in nominated(),
        part in option::of((any::<u64>(), any::<u64>(), any::<Option<u64>>())),
        flags in any::<(bool, bool)>(),
    ) -> StoredHead {
        let fields = fields.into_iter().map(|(name, value)| {
            (name, FieldValue::from_bytes(&value).expect("a field value"))
        });
        StoredHead {
            asked,
            head: ResponseHead {
                status: StatusCode::from_u16(status).expect("a status"),
                fields: fields.collect::<Fields>(),
            },
            request_time: Timestamp(times[0]),
            response_time: Timestamp(times[1]),
            received: Timestamp(times[2]),
            initial_age: Seconds(initial_age),
            nominated,
            part: part.map(|(first, last, complete)| Part { first, last, complete }),
            invalidated: flags.0,
            credentials: flags.1,
        }
    }
}

proptest! {
    #[test]
    fn records_survive_a_round_trip(
        head in heads(),
        body in option::of(vec(any::<u8>(), 0..3_000)),
        key in any::<[u8; 32]>(),
    ) {
        let key = CacheKey(key);
        let form = body.as_deref().map_or(BodyForm::Beside(location()), BodyForm::Inline);
        let record = encode_response(&key, &head, form).expect("encoded");
        let Some(Record::Response(found, found_body)) = decode(&key, &record) else { panic!("no record") };
        prop_assert_eq!(found, head);
        match (body, found_body) {
            (Some(body), RecordBody::Inline(found)) => prop_assert_eq!(&found[..], &body[..]),
            (None, RecordBody::Beside(found)) => prop_assert_eq!(found, location()),
            _ => prop_assert!(false, "the body's form changed"),
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(key in any::<[u8; 32]>(), bytes in vec(any::<u8>(), 0..400)) {
        let _ = decode(&CacheKey(key), &bytes);
    }
}
