//! Syntax of field values: total parsers. They never fail and never decide.

pub mod age;
pub mod authentication;
pub mod cache_control;
pub mod cache_status;
pub mod date;
pub mod etag;
#[doc(hidden)]
pub mod fuzzing;
pub mod hop_by_hop;
mod list;
pub mod range;

pub use list::members;

use crate::message::FieldName;

/// RFC 9213's field for caches such as this one.
pub static CDN_CACHE_CONTROL: FieldName = FieldName::from_static("cdn-cache-control");
/// RFC 9211.
pub static CACHE_STATUS: FieldName = FieldName::from_static("cache-status");
/// RFC 9530.
pub static CONTENT_DIGEST: FieldName = FieldName::from_static("content-digest");
pub static CONTENT_MD5: FieldName = FieldName::from_static("content-md5");
pub static SET_COOKIE2: FieldName = FieldName::from_static("set-cookie2");
/// What an origin may take for the method, in place of the one that was sent.
pub const METHOD_OVERRIDES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];

/// Is it a digest of the very bytes that a message carries (RFC 9530 §2), wrong for any part of them?
pub fn digests_content(name: &FieldName) -> bool {
    *name == CONTENT_DIGEST || *name == CONTENT_MD5
}
