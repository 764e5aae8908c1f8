use std::path::PathBuf;

use proptest::{collection::vec, option, prelude::*};

use super::{POSITION, golden};
use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
    message::{
        FieldName, FieldValue, Fields, Method, Nominated, Part, RequestLine, ResponseHead, Scheme, StatusCode,
        StoredHead,
    },
    purge::Position,
    store::format::{
        location::{FileName, Home, Location},
        prefix::{self, HEAD_LIMIT},
        record::{BodyForm, Record, RecordBody, Variant, decode, decode_variant, encode},
        sections,
    },
};

const KEY: CacheKey = CacheKey([0xab; 32]);
const PRIMARY: CacheKey = CacheKey([0xcd; 32]);

fn home() -> Home {
    let location = Location { file: FileName::Body(7), offset: 4_096, length: 1 << 40, piece: 65_536, sums: [9; 16] };
    Home { generation: 3, location }
}

/// A record of a response, read.
fn response(key: &CacheKey, record: &[u8]) -> (CacheKey, StoredHead, RecordBody) {
    match decode(key, record) {
        Some(Record { primary, head, body }) => (primary, head, body),
        other => panic!("no response: {other:?}"),
    }
}

fn small_head() -> StoredHead {
    let fields = [("content-type", "text/plain"), ("etag", "\"golden\""), ("link", "a"), ("link", "b")]
        .map(|(name, value)| (FieldName::from_static(name), FieldValue::from_static(value)));
    StoredHead {
        line: RequestLine::new("http://origin.test/base", Method::GET, Scheme::Http, "example.org", "/golden?a=1"),
        head: ResponseHead { status: StatusCode::OK, fields: fields.into_iter().collect() },
        request_time: Timestamp(1_000),
        response_time: Timestamp(1_200),
        received: Timestamp(1_201),
        initial_age: Seconds(3),
        nominated: Vec::new(),
        part: None,
        gaps: Box::default(),
        invalidated: false,
        credentials: false,
        position: POSITION,
        tags: Box::default(),
        unknown: Box::default(),
    }
}

fn unknown(tag: u16) -> Vec<u8> {
    let mut sections = Vec::new();
    sections::append(&mut sections, tag, b"of a later version").expect("short enough");
    sections
}

fn full_head() -> StoredHead {
    let nominated = vec![
        (FieldName::from_static("accept"), None),
        (FieldName::from_static("accept-language"), Some(b"\x03de".to_vec())),
    ];
    StoredHead {
        part: Some(Part { first: 10, last: 19, complete: Some(100) }),
        nominated,
        invalidated: true,
        credentials: true,
        request_time: Timestamp(-1),
        initial_age: Seconds(u64::MAX),
        tags: Box::new([1, 0x0123_4567_89ab_cdef, u64::MAX]),
        unknown: unknown(40).into(),
        ..small_head()
    }
}

fn inline(head: &StoredHead, body: &[u8]) -> Vec<u8> {
    encode(&KEY, &PRIMARY, head, BodyForm::Inline(body)).expect("encoded")
}

fn beside(head: &StoredHead) -> Vec<u8> {
    encode(&KEY, &KEY, head, BodyForm::Beside(home())).expect("encoded")
}

/// What each version wrote can be read for ever, and this version writes what it always wrote.
#[test]
fn golden_records_of_version_2_are_read_and_written_byte_for_byte() {
    let (primary, head, body) = response(&KEY, &golden("record-v2-inline", &inline(&small_head(), b"the body")));
    assert!(matches!(body, RecordBody::Inline(body) if body == b"the body"[..]));
    assert_eq!((primary, head), (PRIMARY, small_head()));
    let (primary, head, body) = response(&KEY, &golden("record-v2-beside", &beside(&full_head())));
    assert!(matches!(body, RecordBody::Beside(found) if found == home()));
    assert_eq!((primary, head), (KEY, full_head()));
}

#[test]
fn records_of_version_1_are_absent() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in ["record-v1-inline", "record-v1-beside", "record-v1-variants"] {
        let record = std::fs::read(folder.join(name)).expect("a golden file");
        let key = CacheKey(record[32..64].try_into().expect("a key"));
        assert!(decode(&key, &record).is_none(), "{name}");
    }
}

#[test]
fn another_version_another_key_and_any_changed_byte_are_no_record() {
    for record in [inline(&full_head(), b"body"), beside(&full_head())] {
        assert!(decode(&KEY, &record).is_some());
        assert!(decode(&PRIMARY, &record).is_none());
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut changed = record.clone();
                changed[at] ^= 1 << bit;
                assert!(decode(&KEY, &changed).is_none(), "bit {bit} of byte {at}");
            }
            assert!(decode(&KEY, &record[..at]).is_none(), "cut at {at}");
        }
        assert!(decode(&KEY, &[&record[..], &[0]].concat()).is_none());
    }
}

/// The same record with other bytes at a place of its prefix, and with the sum that belongs to them.
fn resealed(record: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut record = record.to_vec();
    let head = u32::from_le_bytes(record[8..12].try_into().expect("four bytes")) as usize;
    record[at..at + bytes.len()].copy_from_slice(bytes);
    if prefix::seal(&mut record, head).is_none() {
        record.clear();
    }
    record
}

#[test]
fn a_sound_record_of_another_version_or_with_an_unknown_flag_or_kind_is_no_record() {
    let record = inline(&small_head(), b"body");
    assert!(decode(&KEY, &resealed(&record, 4, &[2])).is_some());
    // one that stands in for the other kind or is no variant any more has its head elsewhere
    for (at, byte) in [(4, 1), (4, 3), (5, 1), (5, 2), (6, 0), (6, 16), (7, 1)] {
        assert!(decode(&KEY, &resealed(&record, at, &[byte])).is_none(), "{byte} at {at}");
    }
    assert!(decode(&KEY, &resealed(&record, 96, &KEY.0)).is_none(), "a variant of its own");
    let record = beside(&small_head());
    for (at, byte) in [(84, 2), (85, 1), (87, 1)] {
        assert!(decode(&KEY, &resealed(&record, at, &[byte])).is_none(), "{byte} at {at}");
    }
}

#[test]
fn unknown_sections_are_kept_at_their_places_and_written_again() {
    let both = StoredHead { unknown: [unknown(0), unknown(7), unknown(u16::MAX)].concat().into(), ..full_head() };
    let record = inline(&both, b"");
    let (_, found, _) = response(&KEY, &record);
    assert_eq!(found, both);
    assert_eq!(inline(&found, b""), record);
    let mut tags = Vec::new();
    let head = prefix::parse(&record).expect("a record").head;
    sections::read(head, |tag, _| {
        tags.push(tag);
        Some(())
    })
    .expect("sections");
    assert_eq!(tags, [0, 1, 2, 3, 4, 5, 6, 7, u16::MAX]);
}

/// The length of the prefix of a variant with an inline body.
const PREFIX: usize = 128;

/// A record whose head is these bytes.
fn with_head(head: &[u8]) -> Option<Record> {
    let mut record = inline(&small_head(), b"");
    record.truncate(PREFIX);
    record.extend_from_slice(head);
    prefix::seal(&mut record, head.len())?;
    decode(&KEY, &record)
}

#[test]
fn sections_that_are_too_long_missing_out_of_order_or_not_all_used_make_the_record_invalid() {
    let record = inline(&small_head(), b"");
    let head = &record[PREFIX..];
    let mut known = Vec::new();
    sections::read(head, |tag, section| {
        known.push((tag, section));
        Some(())
    })
    .expect("sections");
    let of = |sections: &[(u16, &[u8])]| {
        let mut head = Vec::new();
        sections.iter().for_each(|(tag, section)| sections::append(&mut head, *tag, section).expect("short"));
        head
    };
    assert!(with_head(&of(&known)).is_some());
    for missing in 0..known.len() {
        let rest: Vec<_> = [&known[..missing], &known[missing + 1..]].concat();
        assert!(with_head(&of(&rest)).is_none(), "without section {missing}");
        let doubled: Vec<_> = [&known[..=missing], &known[missing..]].concat();
        assert!(with_head(&of(&doubled)).is_none(), "section {missing} twice");
        let mut longer = known.clone();
        let section = [known[missing].1, &[0]].concat();
        longer[missing].1 = &section;
        assert!(with_head(&of(&longer)).is_none(), "a byte behind section {missing}");
    }
    let mut claims = of(&known);
    claims[2..6].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(with_head(&claims).is_none(), "a length beyond the end");
    let tags = |hashes: &[u8]| of(&[&known[..], &[(6, hashes)]].concat());
    assert!(with_head(&tags(&[1; 8])).is_some());
    for (hashes, why) in [(&[1; 16][..], "a tag twice"), (&[1; 7], "half a tag")] {
        assert!(with_head(&tags(hashes)).is_none(), "{why}");
    }
    let unknown = vec![0; HEAD_LIMIT - head.len() - 6];
    assert!(with_head(&of(&[&known[..], &[(9, &unknown)]].concat())).is_some(), "as long as it may be");
    let longer = StoredHead { unknown: of(&[(9, &[&unknown[..], &[0]].concat())]).into(), ..small_head() };
    assert!(encode(&KEY, &KEY, &longer, BodyForm::Inline(b"")).is_none(), "a byte longer");
}

#[test]
fn a_body_is_moved_without_its_head_and_a_damaged_record_is_not_touched() {
    let location = Location { file: FileName::Segment(1), offset: 5, length: 6, piece: 7, sums: [8; 16] };
    let moved = Home { generation: 99, location };
    let mut record = beside(&full_head());
    prefix::relocate(&mut record, &moved).expect("moved");
    assert_eq!(record, encode(&KEY, &KEY, &full_head(), BodyForm::Beside(moved)).expect("encoded"));
    for mut record in [inline(&small_head(), b"body"), resealed(&record, 4, &[3]), [&record[..], &[0]].concat()] {
        let before = record.clone();
        assert_eq!(prefix::relocate(&mut record, &moved), None);
        assert_eq!(record, before);
    }
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
        line in (".{0,60}", "[!-9;A-Z^-z|~]{1,12}", any::<bool>(), ".{0,30}", ".{0,60}"),
        status in 100_u16..600,
        fields in vec((field_names(), values()), 0..30),
        times in any::<[i64; 3]>(),
        initial_age in any::<u64>(),
        nominated in nominated(),
        part in option::of((any::<u64>(), any::<u64>(), any::<Option<u64>>())),
        flags in any::<(bool, bool)>(),
        tags in proptest::collection::btree_set(any::<u64>(), 0..5),
        unknown in proptest::collection::btree_map(7_u16.., vec(any::<u8>(), 0..30), 0..4),
        position in any::<(u64, u64)>(),
    ) -> StoredHead {
        let fields = fields.into_iter().map(|(name, value)| {
            (name, FieldValue::from_bytes(&value).expect("a field value"))
        });
        let (site, method, secure, authority, path) = line;
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let scheme = if secure { Scheme::Https } else { Scheme::Http };
        let line = RequestLine::new(&site, method, scheme, &authority, &path);
        let mut sections = Vec::new();
        unknown.iter().for_each(|(tag, bytes)| sections::append(&mut sections, *tag, bytes).expect("short"));
        StoredHead {
            line,
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
            gaps: Box::default(),
            invalidated: flags.0,
            credentials: flags.1,
            position: Position { milliseconds: position.0, sequence: position.1 },
            tags: tags.into_iter().collect(),
            unknown: sections.into(),
        }
    }
}

proptest! {
    #[test]
    fn records_survive_a_round_trip(
        head in heads(),
        body in option::of(vec(any::<u8>(), 0..3_000)),
        keys in any::<[[u8; 32]; 2]>(),
    ) {
        let [key, primary] = keys.map(CacheKey);
        let form = body.as_deref().map_or(BodyForm::Beside(home()), BodyForm::Inline);
        let record = encode(&key, &primary, &head, form).expect("encoded");
        let (found_primary, found, found_body) = response(&key, &record);
        let variant = Variant::of(key, &head);
        prop_assert_eq!(decode_variant(&key, &record), Some((primary, variant)));
        prop_assert_eq!((found_primary, found), (primary, head));
        match (body, found_body) {
            (Some(body), RecordBody::Inline(found)) => prop_assert_eq!(&found[..], &body[..]),
            (None, RecordBody::Beside(found)) => prop_assert_eq!(found, home()),
            _ => prop_assert!(false, "the body's form changed"),
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic_also_where_sums_and_lengths_are_right(bytes in vec(any::<u8>(), 0..600)) {
        let _ = decode(&KEY, &bytes);
        let mut mended = bytes;
        prefix::mend(&mut mended, &KEY);
        prop_assert!(prefix::parse(&mended).is_some());
        let _ = decode(&KEY, &mended);
    }
}
