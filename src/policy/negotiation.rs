//! Brings Accept-Encoding and Accept-Language into a normal form, which is the same for all values that mean the same
//! (RFC 9110 §12.5).

use std::cmp::Reverse;

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE};

use crate::{
    fields::{is_token, members},
    message::{FieldName, Fields},
};

// These bytes stand between and before the names in a normal form. No name and no field value can hold them.
const ALIKE: u8 = 1;
const LESS_LIKED: u8 = 2;
const EXCLUDED: u8 = 3;

/// A weight in thousandths (RFC 9110 §12.4.2).
type Weight = u16;

/// Returns the codings that a request accepts, sorted. If it accepts all others, too, the codings that it excludes are
/// added. Returns `None` if the field is malformed, or accepts and excludes the same coding.
pub(super) fn codings(request: &Fields) -> Option<Vec<u8>> {
    const KNOWN: [&[u8]; 4] = [b"br", b"deflate", b"gzip", b"zstd"];
    let mut said = weighted(request, &ACCEPT_ENCODING)?;
    for (name, _) in &mut said {
        *name = coding(name);
    }
    let weight = |coding: &[u8]| said.iter().find(|(name, _)| name == coding).map(|(_, weight)| *weight);
    if said.iter().any(|(name, other)| weight(name).is_some_and(|weight| (weight > 0) != (*other > 0))) {
        return None;
    }
    let others = weight(b"*");
    let (accepted, excluded): (Vec<_>, Vec<_>) =
        said.iter().filter(|(name, _)| name != b"*").partition(|(_, weight)| *weight > 0);
    let mut normal: Vec<Vec<u8>> = accepted.iter().map(|(name, _)| name.clone()).collect();
    if others.is_some_and(|weight| weight > 0) {
        normal.extend(KNOWN.iter().filter(|coding| weight(coding).is_none()).map(|coding| coding.to_vec()));
        normal.extend(excluded.iter().map(|(name, _)| [&[EXCLUDED], &name[..]].concat()));
        normal.push(b"*".to_vec());
    }
    // identity is acceptable unless it is excluded
    if weight(b"identity").or(others).is_none_or(|weight| weight > 0) {
        normal.push(b"identity".to_vec());
    }
    normal.sort_unstable();
    normal.dedup();
    Some(normal.join(&ALIKE))
}

/// Returns the name of a coding in lower case. The old names of gzip and compress stand for the new ones (RFC 9110
/// §8.4.1).
pub(super) fn coding(name: &[u8]) -> Vec<u8> {
    let name = name.to_ascii_lowercase();
    match &name[..] {
        b"x-gzip" => b"gzip".to_vec(),
        b"x-compress" => b"compress".to_vec(),
        _ => name,
    }
}

/// Returns true if a normal form of [`codings`] accepts this coding, as [`coding`] writes it.
pub(super) fn accepts(normal: &[u8], coding: &[u8]) -> bool {
    let has = |name: &[u8]| normal.split(|byte| *byte == ALIKE).any(|accepted| accepted == name);
    has(coding) || (has(b"*") && !has(&[&[EXCLUDED], coding].concat()))
}

/// Returns the languages that a request asks for, the most preferred first. Those with the same weight keep their
/// order: some origins prefer the first of them (RFC 9110 §12.5.4). Returns `None` if the field is malformed.
pub(super) fn languages(request: &Fields) -> Option<Vec<u8>> {
    let mut said = weighted(request, &ACCEPT_LANGUAGE)?;
    said.sort_by_key(|(_, weight)| Reverse(*weight));
    let mut normal = Vec::new();
    let mut above = None;
    for (language, weight) in said {
        normal.extend(above.map(|above| if above == weight { ALIKE } else { LESS_LIKED }));
        normal.extend((weight == 0).then_some(EXCLUDED));
        normal.extend(language);
        above = Some(weight);
    }
    Some(normal)
}

/// Returns true if a normal form of [`languages`] prefers this language (in lower case) to every other one.
pub(super) fn prefers(normal: &[u8], language: &[u8]) -> bool {
    normal.strip_prefix(language).is_some_and(|rest| matches!(rest, [] | [LESS_LIKED, ..]))
}

/// Returns the members of a list with their weights, the names in lower case. Returns `None` if a member is malformed.
pub(super) fn weighted(request: &Fields, name: &FieldName) -> Option<Vec<(Vec<u8>, Weight)>> {
    let lines = request.values(name).flat_map(|line| members(line.as_bytes()));
    lines.filter(|member| !member.is_empty()).map(member_weight).collect()
}

fn member_weight(member: &[u8]) -> Option<(Vec<u8>, Weight)> {
    let mut parts = member.split(|byte| *byte == b';').map(|part| part.trim_ascii());
    let name = parts.next()?;
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return None;
    }
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', value @ ..]) => qvalue(value)?,
        Some(_) => return None,
    };
    parts.next().is_none().then(|| (name.to_ascii_lowercase(), weight))
}

fn qvalue(text: &[u8]) -> Option<Weight> {
    let (whole, decimals) = match text {
        [whole] => (whole, &b""[..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = (0..3).fold(0, |n, at| n * 10 + decimals.get(at).map_or(0, |digit| Weight::from(digit - b'0')));
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}
