//! See [`crate::fuzzing`].

use std::collections::HashMap;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, ETAG, IF_NONE_MATCH, IF_RANGE};

use super::{
    negotiation::{codings, languages, prefers, weighted},
    selection::{if_none_match_finds, if_range_holds},
};
use crate::{
    clock::{Seconds, Timestamp},
    message::{FieldName, FieldValue, Fields, Method, RequestLine, ResponseHead, Scheme, StatusCode, StoredHead},
};

fn lines<'a>(name: &FieldName, values: impl IntoIterator<Item = &'a [u8]>) -> Fields {
    let values = values.into_iter().filter_map(|value| FieldValue::from_bytes(value).ok());
    values.map(|value| (name.clone(), value)).collect()
}

/// Checks that the normal form of Accept-Encoding or Accept-Language accepts what the field accepts, and does not
/// depend on how the field is written.
pub fn negotiation(data: &[u8]) {
    let values: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let mut members: Vec<&[u8]> = values.iter().flat_map(|line| line.split(|byte| *byte == b',')).collect();
    let is_value = |line: &&[u8]| FieldValue::from_bytes(line).is_ok();
    if !values.iter().all(is_value) || data.contains(&b'"') {
        return;
    }
    let upper = data.to_ascii_uppercase();
    let upper = upper.split(|byte| *byte == b'\n');
    let in_order = members.clone();
    members.reverse();
    let (name, encodings) = (ACCEPT_ENCODING, lines(&ACCEPT_ENCODING, values.iter().copied()));
    let normal = codings(&encodings);
    assert_eq!(codings(&lines(&name, upper.clone())), normal, "case means nothing");
    assert_eq!(codings(&lines(&name, members.iter().copied())), normal, "neither do order and lines");
    if let Some(normal) = normal {
        let said: HashMap<Vec<u8>, bool> = members.iter().filter_map(|member| weight(member)).collect();
        let mut asked: Vec<&[u8]> = said.keys().map(|name| &name[..]).filter(|name| *name != b"*").collect();
        asked.extend([&b"br"[..], b"gzip", b"zstd", b"deflate", b"identity", b"unheard-of"]);
        for coding in asked {
            assert_eq!(accepts(&normal, coding), accepted(&said, coding), "{:?}", coding.escape_ascii().to_string());
        }
    }
    let (name, spoken) = (ACCEPT_LANGUAGE, lines(&ACCEPT_LANGUAGE, values.iter().copied()));
    let normal = languages(&spoken);
    assert_eq!(languages(&lines(&name, upper)), normal, "case means nothing");
    assert_eq!(languages(&lines(&name, in_order.iter().copied())), normal, "neither do lines");
    for language in [&b"en"[..], b"de", b"*", b"fr-ch"] {
        let preferred = normal.as_deref().is_some_and(|normal| prefers(normal, language));
        assert_eq!(preferred, likes_best(&spoken, language));
    }
}

/// Returns true if a request prefers this language (in lower case) to every other one.
fn likes_best(request: &Fields, language: &[u8]) -> bool {
    let Some(said) = weighted(request, &ACCEPT_LANGUAGE) else { return false };
    let best = said.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
    let mut liked = said.iter().filter(|(_, weight)| *weight == best);
    best > 0 && liked.next().is_some_and(|(name, _)| name == language) && liked.next().is_none()
}

/// Returns the name of a member, and whether its weight is more than zero.
fn weight(member: &[u8]) -> Option<(Vec<u8>, bool)> {
    let text = std::str::from_utf8(member).ok()?.trim_ascii().to_ascii_lowercase();
    let (name, weight) = text.split_once(';').unwrap_or((&text, "q=1"));
    let name = name.trim_ascii_end().strip_prefix("x-").filter(|rest| *rest == "gzip").unwrap_or(name.trim_ascii_end());
    let excluded = weight.trim_ascii().strip_prefix("q=")?.bytes().all(|byte| byte == b'0' || byte == b'.');
    (!name.is_empty()).then(|| (name.as_bytes().to_vec(), !excluded))
}

/// Returns whether a coding is acceptable (RFC 9110 §12.5.3).
fn accepted(said: &HashMap<Vec<u8>, bool>, coding: &[u8]) -> bool {
    let any = said.get(&b"*"[..]).copied();
    said.get(coding).copied().or(any).unwrap_or(coding == b"identity")
}

fn accepts(normal: &[u8], coding: &[u8]) -> bool {
    let mut names = normal.split(|byte| *byte == 1);
    let excluded = names.clone().any(|name| name.strip_prefix(&[3]) == Some(coding));
    let any = names.clone().any(|name| name == b"*") && coding != b"identity";
    names.any(|name| name == coding) || (any && !excluded)
}

/// Checks conditions with the entity tag on the first line and those on the others: only the same tag matches.
pub fn conditions(data: &[u8]) {
    let mut tags = data.split(|byte| *byte == b'\n');
    let stored_tag = tags.next().unwrap_or_default();
    let tags: Vec<&[u8]> = tags.collect();
    let fields = lines(&ETAG, [stored_tag]);
    let stored = StoredHead {
        line: RequestLine::new("", Method::GET, Scheme::Http, "", ""),
        head: ResponseHead { status: StatusCode::OK, fields },
        request_time: Timestamp(0),
        response_time: Timestamp(0),
        received: Timestamp(0),
        initial_age: Seconds(0),
        nominated: Vec::new(),
        part: None,
        gaps: Box::default(),
        invalidated: false,
        credentials: false,
        position: Default::default(),
        tags: Box::default(),
        unknown: Box::default(),
    };
    let request = lines(&IF_NONE_MATCH, tags.iter().copied());
    let well_formed = |tag: &[u8]| {
        let opaque = tag.strip_prefix(b"W/").unwrap_or(tag);
        let inside = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        inside.is_some_and(|inside| inside.iter().all(|byte| *byte > b' ' && !b"\"\x7f".contains(byte)))
    };
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    if !well_formed(stored_tag) || !tags.iter().all(|tag| well_formed(tag)) {
        return;
    }
    let expected = tags.iter().any(|tag| opaque(tag) == opaque(stored_tag));
    assert_eq!(if_none_match_finds(&request, &stored.head.fields), expected);
    let joined = tags.join(&b" ,, "[..]);
    assert_eq!(if_none_match_finds(&lines(&IF_NONE_MATCH, [&joined[..]]), &stored.head.fields), expected);
    for tag in tags {
        let strong = tag == stored_tag && !tag.starts_with(b"W/");
        assert_eq!(
            if_range_holds(&lines(&IF_RANGE, [tag]), &stored),
            strong,
            "only the very same, and only if it is strong"
        );
    }
}
