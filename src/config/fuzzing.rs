//! See [`crate::fuzzing`].

use std::time::Duration;

use super::origin::{self, Origin};
use crate::units::{duration, show_duration, show_size, size};

/// Checks sizes and durations: a second parser finds the same value, and what is shown can be parsed again.
pub fn units(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (read, again) = (size(&text), binary(&text));
    assert_eq!(read.as_ref().ok(), again.filter(|bytes| *bytes <= 1 << 60).map(|bytes| bytes as u64).as_ref());
    if let Ok(bytes) = read {
        assert_eq!(size(&format!("{bytes} bytes")), Ok(bytes));
        let (shown, unit) = (show_size(bytes), bytes.max(1).ilog2() / 10);
        if bytes % (1 << (unit.min(4) * 10)) == 0 {
            assert_eq!(size(&shown), Ok(bytes), "{shown}");
        }
    }
    let passed = duration(&text);
    if let Ok(time) = passed {
        assert!(time <= Duration::from_secs(1 << 31));
        assert_eq!(duration(&show_duration(time)), Ok(time), "{text:?}");
        let typed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(humantime::parse_duration(&typed).ok(), Some(time), "{text:?}");
        assert!(typed.ends_with(['s', 'm', 'h', 'd', 'w']), "the case of its unit matters");
    }
    for error in [read.err(), passed.err()].into_iter().flatten() {
        one_line(&error);
        assert!(!error.is_empty());
    }
}

/// Parses digits, maybe with a point, and the name of a power of 1024: the second parser of sizes.
fn binary(text: &str) -> Option<u128> {
    let text = text.trim().to_ascii_lowercase();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &text[..text.len() - unit.len()];
    // without the point, it is the size in parts of a power of ten
    let decimals = number.find('.').map_or(0, |point| number.len() - point - 1);
    let is_number = number.starts_with(|c: char| c.is_ascii_digit()) && number.ends_with(|c: char| c.is_ascii_digit());
    let digits = number.replacen('.', "", 1);
    let digits = digits.trim_start_matches('0');
    if !is_number || decimals > 9 || digits.contains('.') || digits.len() > 20 + decimals {
        return None;
    }
    let number = if digits.is_empty() { 0 } else { digits.parse::<u128>().ok()? };
    let parts = 10u128.pow(decimals as u32);
    let unit = unit.trim_start();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(unit) {
        "" if unit == "b" => 0,
        "yte" | "bytes" => (unit == "bytes").then_some(0)?,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    u64::try_from(number / parts).ok().and_then(|_| number.checked_mul(1 << (10 * power))).map(|size| size / parts)
}

/// Checks that a URL has one normal form, that the crate `http` parses it alike, and that no error shows what may be a
/// password.
pub fn origin_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Origin::parse(&text) {
        Ok(origin) => {
            assert_eq!(Origin::parse(&origin.url).as_ref(), Ok(&origin), "one normal form");
            assert!(origin.url.bytes().all(|byte| byte.is_ascii_graphic()) && !origin.url.contains(['?', '#']));
            assert!(origin.base.is_empty() || origin.base.starts_with('/') && !origin.base.ends_with('/'));
            let (host, port) = origin::host_and_port(&origin.authority(), if origin.https { 443 } else { 80 }).unwrap();
            assert_eq!((&host, port), (&origin.host, origin.port));
            let uri: http::Uri = origin.url.parse().unwrap_or_else(|error| panic!("{}: {error}", origin.url));
            assert_eq!((uri.scheme_str(), uri.host()), (Some(origin.scheme()), Some(&*origin.host)), "{}", origin.url);
            assert_eq!(uri.port_u16().unwrap_or(if origin.https { 443 } else { 80 }), origin.port);
            assert_eq!(uri.path().trim_end_matches('/'), origin.base);
        }
        Err(error) => one_line(&error),
    }
    const SECRET: &str = "s3cr3t-9Q";
    if !text.contains(SECRET) {
        let middle = text.floor_char_boundary(text.len() / 2);
        let (front, back) = text.split_at(middle);
        for planted in
            [format!("{SECRET}@{text}"), format!("http://{SECRET}@{text}"), format!("{front}{SECRET}@{back}")]
        {
            if let Err(error) = Origin::parse(&planted) {
                assert!(!error.contains(SECRET), "{planted:?}: {error}");
            }
        }
    }
}

fn one_line(error: &str) {
    assert!(error.lines().count() == 1 && !error.contains(char::is_control), "{error:?}");
}
