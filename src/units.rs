//! Sizes and durations as people write them.

use std::{fmt, time::Duration};

const SIZES: [(&str, u64); 14] = [
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("gib", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1 << 40),
    ("tib", 1 << 40),
    ("bytes", 1),
];

const SIZE_FORMS: &str = "write a whole number and a unit, like 512K, 256MiB or 10G (each unit is binary: 1K is 1024)";

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const DURATION_FORMS: &str = "write a whole number and a unit, like 30s, 5m, 1h or 2d";

/// The longest duration, in milliseconds. A cache takes any longer one for this (RFC 9111 §1.2.2).
const LONGEST: u64 = (1 << 31) * 1000;

/// Shows a count for people: `1 stored response`, `2 stored responses`.
pub fn show_responses(count: u64) -> String {
    format!("{} stored response{}", show_count(count), if count == 1 { "" } else { "s" })
}

/// Parses a size and returns it in bytes. `10G`, `10GiB` and `10GB` are the same, since every unit is binary; case does
/// not matter. The error says what is wrong and what would be right.
pub fn size(text: &str) -> Result<u64, String> {
    let bytes = quantity(text, "size", &SIZES, SIZE_FORMS)?;
    // with this limit no sum or product of sizes overflows
    if bytes > 1 << 60 {
        return Err(format!("{text:?} is more than any disk holds; {SIZE_FORMS}"));
    }
    Ok(bytes)
}

/// Parses a duration such as `500ms`, `30s`, `5m`, `1h`, `2d` or `0s`. The error says what is wrong and what would be
/// right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let ms = quantity(text, "duration", &DURATIONS, DURATION_FORMS)?;
    if ms > LONGEST {
        return Err(format!("{text:?} is longer than 68 years; {DURATION_FORMS}"));
    }
    Ok(Duration::from_millis(ms))
}

/// Parses a whole number and one of `units`.
fn quantity(text: &str, what: &str, units: &[(&str, u64)], forms: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    if number.is_empty() || unit.starts_with(|c: char| !c.is_ascii_alphabetic()) {
        return Err(format!("{text:?} is no {what}; {forms}"));
    }
    if unit.is_empty() {
        return Err(format!("{text:?} has no unit; {forms}"));
    }
    // the case of a size's unit does not matter; that of a duration's does, so that `1M` is not read as a minute
    let same = |known: &str| if what == "size" { known.eq_ignore_ascii_case(unit) } else { known == unit };
    let Some((_, factor)) = units.iter().find(|(known, _)| same(known)) else {
        return Err(format!("{unit:?} in {text:?} is no unit of a {what}; {forms}"));
    };
    let product = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor));
    product.ok_or_else(|| format!("{text:?} is too large; {forms}"))
}

/// Shows bytes for people: `10 GiB`, `1.5 MiB`, `12 B`.
pub fn show_size(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut name) = (bytes as f64, 0);
    while value >= 1024.0 && name + 1 < NAMES.len() {
        value /= 1024.0;
        name += 1;
    }
    let tenths = (value * 10.0).round() / 10.0;
    if tenths.fract() == 0.0 { format!("{tenths:.0} {}", NAMES[name]) } else { format!("{tenths:.1} {}", NAMES[name]) }
}

/// Shows a duration for people, in the largest unit that divides it: `1h`, `90s`.
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let (unit, factor) = DURATIONS.iter().rev().find(|(_, factor)| ms % factor == 0).unwrap_or(&("ms", 1));
    format!("{}{unit}", ms / factor)
}

/// Shows a number for people: `1,204`.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Shows a number of seconds for people, in one unit: `5s`, `59m`, `1h`, `3d`. What is less than the unit is left out.
pub fn show_seconds(seconds: u64) -> impl fmt::Display {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (number, unit) = match seconds {
        MINUTE => (1, "m"),
        0..100 => (seconds, "s"),
        _ if seconds.is_multiple_of(DAY) || seconds >= 2 * DAY => (seconds / DAY, "d"),
        _ if seconds.is_multiple_of(HOUR) || seconds >= 100 * MINUTE => (seconds / HOUR, "h"),
        _ => (seconds / MINUTE, "m"),
    };
    fmt::from_fn(move |f| write!(f, "{number}{unit}"))
}

/// Shows how long something took, for people: `0.1 ms`, `152 ms`, `1.9 s`, `3m 59s`, `3h 12m`.
pub fn show_took(took: Duration) -> String {
    let (ms, seconds) = (took.as_secs_f64() * 1e3, took.as_secs());
    match seconds {
        0 if ms < 10.0 => format!("{ms:.1} ms"),
        0 => format!("{ms:.0} ms"),
        1..100 => format!("{:.1} s", ms / 1e3),
        100..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_a_size_is_binary() {
        for text in ["10G", "10GiB", "10GB", "10g", "10 GiB", " 10gib "] {
            assert_eq!(size(text), Ok(10 << 30), "{text}");
        }
        assert_eq!((size("0B"), size("7k"), size("3MiB"), size("2T")), (Ok(0), Ok(7 << 10), Ok(3 << 20), Ok(2 << 40)));
    }

    #[test]
    fn a_size_that_is_none_says_what_would_be_one() {
        for (text, wrong) in [
            ("256", "\"256\" has no unit;"),
            ("10X", "\"X\" in \"10X\" is no unit of a size;"),
            ("1.5G", "\"1.5G\" is no size;"),
            ("-1G", "\"-1G\" is no size;"),
            ("", "\"\" is no size;"),
            ("G", "\"G\" is no size;"),
            ("99999999999999999999G", "\"99999999999999999999G\" is too large;"),
            ("9999999T", "\"9999999T\" is more than any disk holds;"),
        ] {
            let error = size(text).unwrap_err();
            assert!(error.starts_with(wrong) && error.contains("256MiB"), "{text}: {error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn a_duration_has_one_unit_and_its_case_matters() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!(
            (seconds("30s"), seconds("5m"), seconds("1h"), seconds("2d")),
            (Ok(30), Ok(300), Ok(3600), Ok(172_800))
        );
        assert_eq!((duration("0s"), duration("250ms")), (Ok(Duration::ZERO), Ok(Duration::from_millis(250))));
        for text in ["1M", "1h30m", "60", "soon", "", "1w", "1.5h", "99999999999d"] {
            let error = duration(text).unwrap_err();
            assert!(error.contains("30s, 5m, 1h or 2d"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_reads_well() {
        assert_eq!(
            [0, 12, 1024, 1536, 10 << 30, (1 << 20) - 1].map(show_size),
            ["0 B", "12 B", "1 KiB", "1.5 KiB", "10 GiB", "1024 KiB"]
        );
        assert_eq!(
            [0, 1500, 90_000, 3_600_000, 172_800_000].map(|ms| show_duration(Duration::from_millis(ms))),
            ["0s", "1500ms", "90s", "1h", "2d"]
        );
    }

    #[test]
    fn thousands_are_separated() {
        let shown = [0, 999, 1_204, 12_345, 1_000_000].map(show_count);
        assert_eq!(shown, ["0", "999", "1,204", "12,345", "1,000,000"]);
    }

    #[test]
    fn a_lifetime_is_shown_in_its_largest_unit_and_an_old_one_without_what_is_less() {
        for (seconds, shown) in [
            (0, "0s"),
            (5, "5s"),
            (60, "1m"),
            (90, "90s"),
            (600, "10m"),
            (3588, "59m"),
            (3600, "1h"),
            (5400, "90m"),
            (7199, "1h"),
            (86_399, "23h"),
            (86_400, "1d"),
            (90_000, "25h"),
            (31_536_000, "365d"),
        ] {
            assert_eq!(show_seconds(seconds).to_string(), shown);
        }
    }

    #[test]
    fn what_something_took_is_shown_with_two_figures_or_three() {
        for (us, shown) in [
            (84, "0.1 ms"),
            (6_120, "6.1 ms"),
            (152_400, "152 ms"),
            (1_900_000, "1.9 s"),
            (61_000_000, "61.0 s"),
            (239_000_000, "3m 59s"),
            (11_520_000_000, "3h 12m"),
            (180_000_000_000, "2d 2h"),
        ] {
            assert_eq!(show_took(Duration::from_micros(us)), shown);
        }
    }
}
