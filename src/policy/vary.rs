//! Vary (RFC 9111 §4.1).

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_LANGUAGE, ORIGIN, VARY};

use super::{Options, Reason, negotiation};
use crate::{
    fields::members,
    message::{FieldName, Fields, Nominated},
};

/// More nominated fields than this and the response is not stored.
const MOST_NAMES: usize = 8;

/// Stands between the languages that were asked for and the one that the response is in.
const LANGUAGE: u8 = b'\n';

/// The nominated fields of a response with the values that the request gave them, by name. Errs where it cannot match
/// another request (`*`), or hardly ever (too many names).
pub fn nominate(response: &Fields, request: &Fields, options: &Options) -> Result<Vec<Nominated>, Reason> {
    let mut nominated: Vec<Nominated> = Vec::new();
    for name in names(response, options)? {
        let mut value = normalised(&name, request);
        if name == ACCEPT_LANGUAGE
            && let (Some(value), Some(language)) = (&mut value, language(response))
        {
            value.push(LANGUAGE);
            value.extend(language);
        }
        nominated.push((name, value));
    }
    Ok(nominated)
}

/// Do the nominated fields of a stored response match this request's (RFC 9111 §4.1)?
pub fn matches(nominated: &[Nominated], request: &Fields) -> bool {
    nominated.iter().all(|(name, stored)| {
        let presented = normalised(name, request);
        if *name != ACCEPT_LANGUAGE {
            return presented == *stored;
        }
        let (Some(presented), Some(stored)) = (&presented, stored) else { return presented == *stored };
        let mut parts = stored.splitn(2, |byte| *byte == LANGUAGE);
        let asked_then = parts.next().unwrap_or_default();
        // a response in the one language that this client likes best is what it would be sent
        presented == asked_then || parts.next().is_some_and(|language| negotiation::likes_best(request, language))
    })
}

/// The same nominated fields, with the values that another request gives them.
pub fn renominate(nominated: &[Nominated], request: &Fields) -> Vec<Nominated> {
    nominated.iter().map(|(name, _)| (name.clone(), normalised(name, request))).collect()
}

/// The names in Vary, sorted, each once.
pub(super) fn names(response: &Fields, options: &Options) -> Result<Vec<FieldName>, Reason> {
    let mut names = Vec::new();
    for member in response.values(&VARY).flat_map(|line| members(line.as_bytes())) {
        match FieldName::from_bytes(member) {
            _ if member.is_empty() => {}
            Ok(name) if member != b"*" => names.push(name),
            // what is no name may stand for anything
            _ => return Err(Reason::VaryStar),
        }
    }
    if !options.strict && allows_one_origin(response) {
        names.push(ORIGIN);
    }
    names.sort_by(|a: &FieldName, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.len() > MOST_NAMES { Err(Reason::VaryTooLong) } else { Ok(names) }
}

/// Access-Control-Allow-Origin names an origin: it was most likely made for the one that asked.
fn allows_one_origin(response: &Fields) -> bool {
    response.values(&ACCESS_CONTROL_ALLOW_ORIGIN).any(|value| value.as_bytes().trim_ascii() != b"*")
}

/// The one language that a response is in, lower case.
fn language(response: &Fields) -> Option<Vec<u8>> {
    let language = response.only(&CONTENT_LANGUAGE)?.as_bytes().trim_ascii();
    (!language.is_empty() && !language.contains(&b',')).then(|| language.to_ascii_lowercase())
}

/// A request field's value in a form that is equal for all values that mean the same; `None`: it is not there.
fn normalised(name: &FieldName, request: &Fields) -> Option<Vec<u8>> {
    if !request.contains(name) {
        return None;
    }
    let known = match name {
        name if *name == ACCEPT_ENCODING => negotiation::codings(request),
        name if *name == ACCEPT_LANGUAGE => negotiation::languages(request),
        _ => None,
    };
    Some(known.unwrap_or_else(|| as_list(name, request)))
}

/// All lines as one list, without the whitespace around its commas.
fn as_list(name: &FieldName, request: &Fields) -> Vec<u8> {
    let members: Vec<&[u8]> = request.values(name).flat_map(|line| members(line.as_bytes())).collect();
    members.join(&b","[..])
}
