//! Vary: the fields of the request that a response depends on (RFC 9111 §4.1).

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, COOKIE, ORIGIN, VARY, VIA,
};

use super::{Options, Reason, negotiation, remembered::normal_form};
use crate::{
    fields::{credentials, members},
    message::{FieldName, Fields, Nominated, Request, Version},
};

/// The most nominated fields. A response with more is not stored.
const MOST_NAMES: usize = 8;

/// The fields in which Larder tells the origin the client's address. A response that varies by one of them is for one
/// client alone.
const BY_CLIENT: [&str; 2] = ["forwarded", "x-forwarded-for"];

/// The name that stands for the content of a QUERY among the nominated fields: the responses to QUERY are variants of
/// the URL by content.
const CONTENT: FieldName = FieldName::from_static("larder-content");

/// The first byte of a normal form says how the form was made. No field value holds such a byte, so that normal forms
/// of different kinds are never equal.
const AS_IT_IS: u8 = 1;
const LIST: u8 = 2;
const PREFERENCES: u8 = 3;

/// Marks the codings of the response itself. They match every request that accepts all of them.
const CODINGS: u8 = 4;

/// Marks the keyed digest of another normal form. The values of credentials are never stored.
const DIGEST: u8 = 5;

/// The byte between the members of a list.
const NEXT: u8 = 1;

/// The byte between the languages that were asked for and the language of the response.
const LANGUAGE: u8 = b'\n';

/// Returns the nominated fields of a response, sorted by name, with the values that the request gives them. The content
/// of a QUERY comes first. Fails if the response can match no other request (`*`, the client's address), or hardly any
/// (too many names).
pub fn nominate(response: &Fields, request: &Request, options: &Options) -> Result<Vec<Nominated>, Reason> {
    let names = names(response, options)?.into_iter();
    let values = names.map(|name| nominated(name, request, response, options));
    Ok(content(request).into_iter().chain(values).collect())
}

/// Returns the nominated fields of a stored response that the answer to this request has validated (RFC 9111 §4.3.4).
/// `answer` is what the origin sent now, `fields` is what the stored response has from now on. Names that the answer
/// adds take the values of this request, and the lines of Vary that hold them are added to `fields`. Names that the
/// answer leaves out stay: many origins send a shorter Vary with a 304. Fails if the response matches no other request
/// any more.
pub(super) fn nominate_more(
    stored: &[Nominated],
    answer: &Fields,
    fields: &mut Fields,
    request: &Request,
    options: &Options,
) -> Result<Vec<Nominated>, Reason> {
    let mut added = names(answer, options)?;
    added.retain(|name| stored.iter().all(|(known, _)| known != name));
    if added.is_empty() {
        return Ok(stored.to_vec());
    }
    for line in answer.values(&VARY) {
        fields.append(VARY, line.clone());
    }
    let (mut all, rest): (Vec<_>, Vec<_>) = stored.iter().cloned().partition(|(name, _)| *name == CONTENT);
    let mut by_name: Vec<Nominated> =
        added.into_iter().map(|name| nominated(name, request, fields, options)).chain(rest).collect();
    if by_name.len() > MOST_NAMES {
        return Err(Reason::VaryTooLong);
    }
    by_name.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    all.append(&mut by_name);
    Ok(all)
}

/// Returns a field that a response nominates, with the value that the request gives it. If a coded response has no
/// Accept-Encoding in its Vary, only the codings of the response are the value.
fn nominated(name: FieldName, request: &Request, response: &Fields, options: &Options) -> Nominated {
    let mut value = normalised(&name, request, options);
    if name == ACCEPT_ENCODING && !is_named(&name, response) {
        let codings = codings(response);
        if accepts(value.as_deref(), &codings) {
            value = Some(tagged(CODINGS, &codings));
        }
    }
    if name == ACCEPT_LANGUAGE
        && let (Some(value), Some(language)) = (&mut value, language(response))
    {
        value.push(LANGUAGE);
        value.extend(language);
    }
    (name, value)
}

/// Returns true if the response was stored for the same content of a QUERY as the request has, or if both have none.
pub fn is_for_content(nominated: &[Nominated], request: &Request) -> bool {
    nominated.iter().find(|(name, _)| *name == CONTENT) == content(request).as_ref()
}

/// Returns true if the stored response answers QUERY.
pub(super) fn answers_query(nominated: &[Nominated]) -> bool {
    nominated.iter().any(|(name, _)| *name == CONTENT)
}

/// Returns the fields of the request that a response varies by.
pub fn names_of(nominated: &[Nominated]) -> impl Iterator<Item = &FieldName> {
    nominated.iter().map(|(name, _)| name).filter(|name| **name != CONTENT)
}

/// Returns true if a response varies by fields of the request. The content of a QUERY does not count.
pub fn varies(nominated: &[Nominated]) -> bool {
    nominated.iter().any(|(name, _)| *name != CONTENT)
}

/// Returns true if the nominated fields of a stored response match those of this request (RFC 9111 §4.1).
pub fn matches(nominated: &[Nominated], request: &Request, options: &Options) -> bool {
    let fits = |(name, stored): &Nominated| {
        let presented = normalised(name, request, options);
        if let Some([CODINGS, codings @ ..]) = stored.as_deref() {
            return accepts(presented.as_deref(), codings);
        }
        if *name != ACCEPT_LANGUAGE {
            return presented == *stored;
        }
        let (Some(presented), Some(stored)) = (&presented, stored) else { return presented == *stored };
        let mut parts = stored.splitn(2, |byte| *byte == LANGUAGE);
        let asked_then = parts.next().unwrap_or_default();
        presented == asked_then
            || parts.next().is_some_and(|language| both_prefer(language, [presented.as_slice(), asked_then]))
    };
    is_for_content(nominated, request) && nominated.iter().filter(|(name, _)| *name != CONTENT).all(fits)
}

/// Returns true if both of these normal forms of Accept-Language prefer the language of the response to all others.
/// Then the origin would send the same page to either client. A page in another language may be made for its own
/// client: its prices, its links.
fn both_prefer(language: &[u8], normal: [&[u8]; 2]) -> bool {
    normal
        .iter()
        .all(|normal| normal.strip_prefix(&[PREFERENCES]).is_some_and(|normal| negotiation::prefers(normal, language)))
}

/// Returns the same nominated fields with the values that another request gives them, behind the content of that
/// request. Codings that the request accepts stay.
pub fn renominate(nominated: &[Nominated], request: &Request, options: &Options) -> Vec<Nominated> {
    let value = |name: &FieldName, stored: &Option<Vec<u8>>| {
        let presented = normalised(name, request, options);
        match stored.as_deref() {
            Some([CODINGS, codings @ ..]) if accepts(presented.as_deref(), codings) => stored.clone(),
            _ => presented,
        }
    };
    let fields = nominated.iter().filter(|(name, _)| *name != CONTENT);
    let values = fields.map(|(name, stored)| (name.clone(), value(name, stored)));
    content(request).into_iter().chain(values).collect()
}

fn content(request: &Request) -> Option<Nominated> {
    request.content.map(|digest| (CONTENT, Some(digest.to_vec())))
}

/// Returns the names in Vary, and names that most likely are missing from it, sorted, each of them once.
fn names(response: &Fields, options: &Options) -> Result<Vec<FieldName>, Reason> {
    let mut names = Vec::new();
    let followed = !options.steering.ignored.vary;
    for member in response.values(&VARY).filter(|_| followed).flat_map(|line| members(line.as_bytes())) {
        match FieldName::from_bytes(member) {
            _ if member.is_empty() => {}
            Ok(name) if BY_CLIENT.contains(&name.as_str()) => return Err(Reason::VaryByClient),
            Ok(name) if member != b"*" && name != CONTENT => names.push(name),
            // an invalid name may stand for anything
            _ => return Err(Reason::VaryStar),
        }
    }
    if !options.strict {
        names.extend(allows_one_origin(response).then_some(ORIGIN));
        names.extend((!codings(response).is_empty()).then_some(ACCEPT_ENCODING));
    }
    names.sort_by(|a: &FieldName, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.len() > MOST_NAMES { Err(Reason::VaryTooLong) } else { Ok(names) }
}

/// Returns true if Access-Control-Allow-Origin names an origin. Most likely that is the one that sent the request.
fn allows_one_origin(response: &Fields) -> bool {
    response.values(&ACCESS_CONTROL_ALLOW_ORIGIN).any(|value| value.as_bytes().trim_ascii() != b"*")
}

/// Returns true if Vary names the field.
fn is_named(name: &FieldName, response: &Fields) -> bool {
    let mut named = response.values(&VARY).flat_map(|line| members(line.as_bytes()));
    named.any(|member| member.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// Returns the codings of a response, which a client may not understand. Most likely Accept-Encoding asked for them.
/// Empty if there are none.
fn codings(response: &Fields) -> Vec<u8> {
    let mut codings: Vec<Vec<u8>> = response
        .values(&CONTENT_ENCODING)
        .flat_map(|value| members(value.as_bytes()))
        .map(negotiation::coding)
        .filter(|coding| !coding.is_empty() && coding != b"identity")
        .collect();
    codings.sort_unstable();
    codings.dedup();
    codings.join(&NEXT)
}

/// Returns true if a normal form of Accept-Encoding accepts all of these codings by name, or all others with them.
fn accepts(presented: Option<&[u8]>, codings: &[u8]) -> bool {
    let Some([PREFERENCES, normal @ ..]) = presented else { return false };
    !codings.is_empty() && codings.split(|byte| *byte == NEXT).all(|coding| negotiation::accepts(normal, coding))
}

/// Returns the language of a response in lower case, if it has exactly one.
fn language(response: &Fields) -> Option<Vec<u8>> {
    let language = response.only(&CONTENT_LANGUAGE)?.as_bytes().trim_ascii();
    (!language.is_empty() && !language.contains(&b',')).then(|| language.to_ascii_lowercase())
}

/// Returns the normal form of a request field as the origin sees it. It is the same for all values that mean the same.
/// Returns `None` if the field is missing.
fn normalised(name: &FieldName, request: &Request, options: &Options) -> Option<Vec<u8>> {
    let fields = &request.fields;
    // of the fields that Larder writes, only Via differs between requests with the same key
    if *name == VIA {
        // stored records contain these bytes, so they must not change
        let version = if request.version == Version::Http10 { b"0" } else { b"1" };
        return Some([&lines(name, fields), &version[..]].concat());
    }
    if !fields.contains(name) {
        return None;
    }
    let preferences = |form: fn(&Fields) -> Option<Vec<u8>>| {
        normal_form(name, fields, |fields| Some(tagged(PREFERENCES, &form(fields)?)))
    };
    let preferences = match name {
        name if *name == ACCEPT_ENCODING => preferences(negotiation::codings),
        name if *name == ACCEPT_LANGUAGE => preferences(negotiation::languages),
        _ => None,
    };
    if preferences.is_some() {
        return preferences;
    }
    let normal = match is_list(name) || (options.strict && holds_tokens(name, fields)) {
        true => as_list(name, fields),
        false => lines(name, fields),
    };
    Some(if tells_who_asks(name) { tagged(DIGEST, &options.digest_key.digest(&normal)) } else { normal })
}

/// Returns true for the fields whose values are credentials.
fn tells_who_asks(name: &FieldName) -> bool {
    *name == COOKIE || credentials::is_in_field(name)
}

fn tagged(tag: u8, normal: &[u8]) -> Vec<u8> {
    [&[tag], normal].concat()
}

/// Returns true for the fields in which whitespace around commas means nothing. For other fields that is not known
/// (RFC 9111 §4.1).
fn is_list(name: &FieldName) -> bool {
    static LISTS: [FieldName; 4] = [ACCEPT, ACCEPT_CHARSET, ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL];
    LISTS.contains(name) || matches!(name.as_str(), "prefer" | "sec-ch-ua" | "sec-ch-ua-full-version-list")
}

/// Returns true if a field holds nothing but tokens. With `strict` such a field is taken for a list, as the conformance
/// suite expects.
fn holds_tokens(name: &FieldName, fields: &Fields) -> bool {
    let mut members = fields.values(name).flat_map(|line| members(line.as_bytes()));
    members.all(|member| FieldName::from_bytes(member).is_ok())
}

/// Joins all lines into one list, without the whitespace around its commas.
fn as_list(name: &FieldName, fields: &Fields) -> Vec<u8> {
    let members: Vec<&[u8]> = fields.values(name).flat_map(|line| members(line.as_bytes())).collect();
    tagged(LIST, &members.join(&NEXT))
}

/// Joins all lines into one value, as RFC 9110 §5.3 allows for every field.
fn lines(name: &FieldName, fields: &Fields) -> Vec<u8> {
    let lines: Vec<&[u8]> = fields.values(name).map(|line| line.as_bytes().trim_ascii()).collect();
    tagged(AS_IT_IS, &lines.join(&b", "[..]))
}
