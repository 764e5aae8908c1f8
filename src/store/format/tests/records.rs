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
        numbers,
        prefix::{self, HEAD_LIMIT, Prefix},
        record::{BodyForm, Record, RecordBody, Variant, decode, decode_variant, encode},
        sections,
        sums::{Algorithm, WRITTEN},
    },
    store::fuzzing::mended,
};

const KEY: CacheKey = CacheKey([0xab; 32]);
const PRIMARY: CacheKey = CacheKey([0xcd; 32]);

fn home() -> Home {
    let location = Location {
        file: FileName::Body(7),
        offset: 4_096,
        length: 1 << 40,
        piece: 65_536,
        sums: [9; 16],
        algorithm: WRITTEN,
    };
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
    sections::append(&mut sections, tag, b"of a later version");
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
fn golden_records_of_version_3_are_read_and_written_byte_for_byte() {
    let (primary, head, body) = response(&KEY, &golden("record-v3-inline", &inline(&small_head(), b"the body")));
    assert!(matches!(body, RecordBody::Inline(body) if body == b"the body"[..]));
    assert_eq!((primary, head), (PRIMARY, small_head()));
    let (primary, head, body) = response(&KEY, &golden("record-v3-beside", &beside(&full_head())));
    assert!(matches!(body, RecordBody::Beside(found) if found == home()));
    assert_eq!((primary, head), (KEY, full_head()));
}

/// Its sums are of blake3. It is written again where a body of that time gets a new head.
#[test]
fn golden_records_of_version_2_are_read_and_those_of_its_bodies_written_byte_for_byte() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let record = std::fs::read(folder.join("record-v2-inline")).expect("a golden file");
    let (primary, head, body) = response(&KEY, &record);
    assert!(matches!(body, RecordBody::Inline(body) if body == b"the body"[..]));
    assert_eq!((primary, head), (PRIMARY, small_head()));
    let mut damaged = record;
    *damaged.last_mut().expect("a body") ^= 1;
    assert!(decode(&KEY, &damaged).is_none(), "its body is verified");
    let Home { generation, location } = home();
    let old = Home { generation, location: Location { algorithm: Algorithm::Blake3, ..location } };
    let written = encode(&KEY, &KEY, &full_head(), BodyForm::Beside(old)).expect("encoded");
    let (primary, head, body) = response(&KEY, &golden("record-v2-beside", &written));
    assert!(matches!(body, RecordBody::Beside(found) if found == old));
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

/// The same record with other bytes at a place of its prefix, and with the sum that belongs to them. The last `inline` bytes
/// are the inline body.
fn resealed(record: &[u8], at: usize, bytes: &[u8], inline: usize) -> Vec<u8> {
    let mut record = record.to_vec();
    record[at..at + bytes.len()].copy_from_slice(bytes);
    let end = record.len() - inline;
    prefix::seal(&KEY, WRITTEN, &mut record[..end]);
    record
}

#[test]
fn a_sound_record_of_another_version_or_with_an_unknown_flag_is_no_record() {
    let record = inline(&small_head(), b"body");
    assert!(decode(&KEY, &resealed(&record, 0, &[3], 4)).is_some());
    // one that is no variant any more, or says that its body is in a file, has its head elsewhere
    for (at, byte) in [(0, 1), (0, 2), (0, 4), (1, 0), (1, 24), (1, 40), (2, 1)] {
        assert!(decode(&KEY, &resealed(&record, at, &[byte], 4)).is_none(), "{byte} at {at}");
    }
    let primary = record.windows(32).position(|bytes| bytes == PRIMARY.0).expect("its primary key");
    assert!(decode(&KEY, &resealed(&record, primary, &KEY.0, 4)).is_none(), "a variant of its own");
    let record = beside(&small_head());
    let piece = record.windows(17).position(|bytes| bytes == [&[16][..], &[9; 16]].concat()).expect("its pieces");
    assert!(decode(&KEY, &resealed(&record, piece, &[31], 0)).is_some());
    assert!(decode(&KEY, &resealed(&record, piece, &[32], 0)).is_none(), "pieces of 4 GiB");
}

#[test]
fn unknown_sections_are_kept_at_their_places_and_written_again() {
    let both = StoredHead { unknown: [unknown(0), unknown(7), unknown(u16::MAX)].concat().into(), ..full_head() };
    let record = inline(&both, b"");
    let (_, found, _) = response(&KEY, &record);
    assert_eq!(found, both);
    assert_eq!(inline(&found, b""), record);
    let mut tags = Vec::new();
    let head = prefix::parse(&KEY, &record).expect("a record").head;
    sections::read(head, |tag, _| {
        tags.push(tag);
        Some(())
    })
    .expect("sections");
    assert_eq!(tags, [0, 1, 2, 3, 4, 5, 6, 7, u16::MAX]);
}

/// A record whose head is these bytes.
fn with_head(head: &[u8]) -> Option<Record> {
    let prefix = Prefix { flags: Default::default(), primary: PRIMARY, position: POSITION };
    let record = prefix::record(&KEY, &prefix, BodyForm::Inline(b""), |record| {
        record.extend_from_slice(head);
        Some(())
    });
    decode(&KEY, &record?)
}

#[test]
fn sections_that_are_too_long_missing_out_of_order_or_not_all_used_make_the_record_invalid() {
    let record = inline(&small_head(), b"");
    let head = prefix::parse(&KEY, &record).expect("a record").head;
    let mut known = Vec::new();
    sections::read(head, |tag, section| {
        known.push((tag, section));
        Some(())
    })
    .expect("sections");
    let of = |sections: &[(u16, &[u8])]| {
        let mut head = Vec::new();
        sections.iter().for_each(|(tag, section)| sections::append(&mut head, *tag, section));
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
    claims[1] += 1;
    assert!(with_head(&claims).is_none(), "a length that is not true");
    for (tag, length) in [(7, 1), (7, u64::MAX), (1 << 16, 0), (u64::MAX, 0)] {
        let mut claims = of(&known);
        [tag, length].into_iter().for_each(|number| numbers::append(&mut claims, number));
        assert!(with_head(&claims).is_none(), "a section of tag {tag} and {length} bytes");
    }
    let tags = |hashes: &[u8]| of(&[&known[..], &[(6, hashes)]].concat());
    assert!(with_head(&tags(&[1; 8])).is_some());
    for (hashes, why) in [(&[1; 16][..], "a tag twice"), (&[1; 7], "half a tag")] {
        assert!(with_head(&tags(hashes)).is_none(), "{why}");
    }
    // a tag of one byte, a length of three
    let unknown = vec![0; HEAD_LIMIT - head.len() - 4];
    assert!(with_head(&of(&[&known[..], &[(9, &unknown)]].concat())).is_some(), "as long as it may be");
    let longer = StoredHead { unknown: of(&[(9, &[&unknown[..], &[0]].concat())]).into(), ..small_head() };
    assert!(encode(&KEY, &KEY, &longer, BodyForm::Inline(b"")).is_none(), "a byte longer");
}

#[test]
fn a_body_is_moved_without_its_head_and_a_damaged_record_is_not() {
    let location =
        Location { file: FileName::Segment(1), offset: 5, length: 6, piece: 8, sums: [8; 16], algorithm: WRITTEN };
    let moved = Home { generation: 99, location };
    let record = prefix::relocated(&KEY, &beside(&full_head()), moved).expect("moved");
    assert_eq!(record, encode(&KEY, &KEY, &full_head(), BodyForm::Beside(moved)).expect("encoded"));
    assert!(prefix::relocated(&PRIMARY, &record, moved).is_none(), "of another key");
    for other in [inline(&small_head(), b"body"), resealed(&record, 0, &[4], 0), [&record[..], &[0]].concat()] {
        assert_eq!(prefix::relocated(&KEY, &other, moved), None);
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
        unknown.iter().for_each(|(tag, bytes)| sections::append(&mut sections, *tag, bytes));
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
        let mended = mended(&KEY, &bytes);
        prop_assert!(prefix::parse(&KEY, &mended).is_some());
        let _ = decode(&KEY, &mended);
    }
}
