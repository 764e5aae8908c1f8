//! The syntax of field values. The parsers accept every input, and make no decisions.

pub mod age;
pub mod authentication;
pub mod cache_control;
pub mod cache_status;
pub mod control;
pub mod credentials;
pub mod date;
pub mod etag;
pub mod forwarded;
#[doc(hidden)]
pub mod fuzzing;
pub mod graphql;
pub mod hop_by_hop;
pub mod lines;
mod list;
pub mod method;
pub mod range;
pub mod spelling;
pub mod surrogate;
pub mod tags;
mod token;
pub mod trailer;

pub use list::members;
pub use token::{is_text, is_token};

use std::borrow::Cow;

use crate::message::FieldName;

/// The field with directives for caches such as this one (RFC 9213).
pub static CDN_CACHE_CONTROL: FieldName = FieldName::from_static("cdn-cache-control");
/// The field that says what caches did (RFC 9211).
pub static CACHE_STATUS: FieldName = FieldName::from_static("cache-status");
/// The digest of a message's content (RFC 9530).
pub static CONTENT_DIGEST: FieldName = FieldName::from_static("content-digest");
pub static CONTENT_MD5: FieldName = FieldName::from_static("content-md5");
pub static SET_COOKIE2: FieldName = FieldName::from_static("set-cookie2");
/// The fields from which an origin may read another method than the one that was sent.
pub const METHOD_OVERRIDES: [&str; 5] =
    ["x-http-method", "x-http-method-override", "x-http-verb", "x-method", "x-method-override"];

/// For each byte: it is a hyphen, a letter or a digit. A table, because each request asks for each byte of its names.
const STAYS: [bool; 256] = {
    let (mut stays, mut byte) = ([false; 256], 0);
    while byte < 256 {
        stays[byte] = byte == b'-' as usize || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    stays
};

/// Returns the name of a field with a hyphen for each character that is neither a letter nor a digit. Servers that make
/// variables of names (CGI, RFC 3875 §4.1.18) cannot tell such names apart.
pub fn hyphened(name: &FieldName) -> Cow<'_, str> {
    match name.as_str() {
        name if name.bytes().all(|byte| STAYS[byte as usize]) => name.into(),
        name => name.replace(|c: char| !STAYS[c as usize & 0xff], "-").into(),
    }
}

/// Returns true if the field holds a digest of the content that a message carries (RFC 9530 §2). The digest is wrong
/// for any part of the content.
pub fn digests_content(name: &FieldName) -> bool {
    *name == CONTENT_DIGEST || *name == CONTENT_MD5
}
