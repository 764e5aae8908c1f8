//! The names of fields that many responses have, by number: in a record one byte stands for such a name. The numbers stay
//! as they are for ever. A new name goes to the end (there is room for 128), and needs a new version of the record.

use crate::message::FieldName;

/// The first number. No name of a field has such a byte.
const FIRST: u8 = 0x80;

static NUMBERS: [u8; COUNT] = {
    let mut numbers = [FIRST; COUNT];
    let mut at = 0;
    while at < numbers.len() {
        numbers[at] += at as u8;
        at += 1;
    }
    numbers
};

macro_rules! names {
    ($($name:literal)*) => { [$(FieldName::from_static($name)),*] };
}

const COUNT: usize = 82;

#[rustfmt::skip]
static NAMES: [FieldName; COUNT] = names! {
    // 0x80
    "content-type" "content-length" "date" "cache-control" "etag" "last-modified" "expires" "vary"
    "server" "content-encoding" "age" "accept-ranges" "via" "link" "location" "content-language"
    // 0x90
    "content-disposition" "content-location" "content-range" "content-security-policy"
    "content-security-policy-report-only" "strict-transport-security" "x-content-type-options" "x-frame-options"
    "x-xss-protection" "referrer-policy" "permissions-policy" "cross-origin-opener-policy"
    "cross-origin-embedder-policy" "cross-origin-resource-policy" "access-control-allow-origin"
    "access-control-allow-methods"
    // 0xa0
    "access-control-allow-headers" "access-control-allow-credentials" "access-control-expose-headers"
    "access-control-max-age" "timing-allow-origin" "server-timing" "report-to" "reporting-endpoints"
    "nel" "alt-svc" "set-cookie" "pragma" "warning" "retry-after" "allow" "surrogate-control"
    // 0xb0
    "surrogate-key" "cache-tag" "cdn-cache-control" "cache-status" "no-vary-search" "p3p" "x-powered-by" "x-cache"
    "x-cache-hits" "x-served-by" "x-timer" "x-request-id" "x-robots-tag" "x-ua-compatible" "x-dns-prefetch-control"
    "x-download-options"
    // 0xc0
    "x-permitted-cross-domain-policies" "x-varnish" "x-runtime" "x-amz-request-id" "x-amz-id-2" "x-amz-version-id"
    "x-amz-cf-id" "x-amz-cf-pop" "cf-ray" "cf-cache-status" "accept" "accept-encoding"
    "accept-language" "origin" "user-agent" "cookie"
    // 0xd0
    "authorization" "host"
};

/// Returns the bytes that stand for a name in a record: its number, if it has one, else the name itself.
pub fn form(name: &FieldName) -> &[u8] {
    match NAMES.iter().position(|known| known == name) {
        Some(at) => &NUMBERS[at..=at],
        None => name.as_str().as_bytes(),
    }
}

/// Returns the name that `form` wrote.
pub fn read(form: &[u8]) -> Option<FieldName> {
    match form {
        [number @ FIRST..=u8::MAX] => NAMES.get(usize::from(number - FIRST)).cloned(),
        name => FieldName::from_bytes(name).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::store::format::tests::golden;

    #[test]
    fn numbers_mean_for_ever_the_names_that_they_mean_now() {
        let mut list = String::new();
        for (at, known) in NAMES.iter().enumerate() {
            assert_eq!((form(known), read(&[FIRST + at as u8]).as_ref()), (&[FIRST + at as u8][..], Some(known)));
            writeln!(list, "{:02x} {known}", form(known)[0]).expect("text");
        }
        assert_eq!(golden("names-v2", list.as_bytes()), list.as_bytes());
        for unknown in [&[][..], &[FIRST - 1], &[FIRST + NAMES.len() as u8], &[u8::MAX], &[FIRST, FIRST]] {
            assert_eq!(read(unknown), None, "{unknown:?}");
        }
        let of_nobody = FieldName::from_static("x-of-nobody");
        assert_eq!((form(&of_nobody), read(b"x-of-nobody")), (&b"x-of-nobody"[..], Some(of_nobody.clone())));
    }
}
