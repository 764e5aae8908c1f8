//! The fields that an origin sends only to the cache in front of it: Surrogate-Control, X-Accel-Expires and
//! Edge-Control.

use super::list;
use crate::{
    clock::{Seconds, Timestamp},
    message::{FieldName, Fields},
};

/// Directives for a surrogate (Edge Architecture Specification). [`super::cache_control`] reads them.
pub static SURROGATE_CONTROL: FieldName = FieldName::from_static("surrogate-control");
static X_ACCEL_EXPIRES: FieldName = FieldName::from_static("x-accel-expires");
static EDGE_CONTROL: FieldName = FieldName::from_static("edge-control");

/// The meaning of X-Accel-Expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccelExpires {
    /// `0` or `off`: the response must not be stored.
    Off,
    /// A number of seconds.
    For(Seconds),
    /// `@` and the seconds since the Unix epoch.
    At(Timestamp),
}

/// Parses X-Accel-Expires. An invalid value, or one of several, is a lifetime of zero.
pub fn accel_expires(response: &Fields) -> Option<AccelExpires> {
    if !response.contains(&X_ACCEL_EXPIRES) {
        return None;
    }
    let value = response.only(&X_ACCEL_EXPIRES).map_or(&b""[..], |value| value.as_bytes().trim_ascii());
    let parsed = match value {
        value if value.eq_ignore_ascii_case(b"off") => Some(AccelExpires::Off),
        [b'@', epoch @ ..] => list::digits(epoch)
            .map(|seconds| AccelExpires::At(Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))),
        value => list::digits(value).map(|seconds| match seconds {
            0 => AccelExpires::Off,
            seconds => AccelExpires::For(Seconds(seconds).min(Seconds::MAX)),
        }),
    };
    Some(parsed.unwrap_or(AccelExpires::For(Seconds(0))))
}

/// Returns true if Edge-Control says no-store.
pub fn edge_no_store(response: &Fields) -> bool {
    let mut members = response.values(&EDGE_CONTROL).flat_map(|line| list::members(line.as_bytes()));
    members.any(|member| member.eq_ignore_ascii_case(b"no-store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &FieldName, lines: &[&str]) -> Fields {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn x_accel_expires_is_a_number_of_seconds_or_a_point_in_time_or_off() {
        let read = |lines: &[&str]| accel_expires(&one(&X_ACCEL_EXPIRES, lines));
        let seconds = |n| Some(AccelExpires::For(Seconds(n)));
        assert_eq!(read(&[]), None);
        for off in ["0", "000", "off", "OFF"] {
            assert_eq!(read(&[off]), Some(AccelExpires::Off), "{off}");
        }
        assert_eq!((read(&["60"]), read(&["99999999999999999999"])), (seconds(60), seconds(1 << 31)));
        assert_eq!(read(&["@5"]), Some(AccelExpires::At(Timestamp(5000))));
        assert_eq!(read(&["@99999999999999999999"]), Some(AccelExpires::At(Timestamp(i64::MAX))));
        for invalid in [&[""][..], &["-1"], &["@"], &["@-1"], &["1.5"], &["x"], &["60", "60"]] {
            assert_eq!(read(invalid), seconds(0), "{invalid:?}");
        }
    }

    #[test]
    fn edge_control_is_read_for_no_store_alone() {
        for (line, expected) in [
            ("no-store", true),
            ("bypass-cache, No-Store", true),
            ("!no-store", false),
            ("cache-maxage=30m", false),
            ("x=\"no-store\"", false),
        ] {
            assert_eq!(edge_no_store(&one(&EDGE_CONTROL, &[line])), expected, "{line}");
        }
        assert!(!edge_no_store(&Fields::new()));
    }
}
