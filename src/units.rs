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

const SIZE_FORMS: &str = "expected a size such as 512K, 1.5G or 10GiB";

const SIZE_UNITS: &str = "use B, K, M, G or T";

const DURATIONS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

const DURATION_FORMS: &str = "expected a time such as 500ms, 30s, 1h30m, 2d or 1w";

const DURATION_UNITS: &str = "use ms, s, m, h, d or w";

/// The most digits behind the point of a size.
const DECIMALS: usize = 9;

/// The longest duration, in milliseconds. A cache takes any longer one for this (RFC 9111 §1.2.2).
const LONGEST: u64 = (1 << 31) * 1000;

/// Shows a count for people: `1 stored response`, `2 stored responses`.
pub fn show_responses(count: u64) -> String {
    format!("{} stored response{}", show_count(count), if count == 1 { "" } else { "s" })
}

/// Parses a size such as `10G` or `1.5GiB` and returns it in bytes. `10G`, `10GiB` and `10GB` are the same, since every
/// unit is binary; case does not matter. The error says what is wrong or what was expected, without the text itself.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text.trim()).ok_or(SIZE_FORMS)?;
    let factor = SIZES.iter().find(|(known, _)| known.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
    let factor = factor.ok_or_else(|| no_unit(unit, SIZE_UNITS))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let fraction = decimals.parse::<u64>().ok().filter(|_| decimals.len() <= DECIMALS).ok_or(SIZE_FORMS)?;
    let fraction = u128::from(fraction) * u128::from(factor) / 10u128.pow(decimals.len() as u32);
    let whole = whole.parse::<u64>().ok().and_then(|whole| u128::from(whole).checked_mul(u128::from(factor)));
    // with this limit no sum or product of sizes overflows
    let bytes = whole.map(|whole| whole + fraction).filter(|bytes| *bytes <= 1 << 60);
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(|| "expected at most 1048576T".to_owned())
}

/// Parses a duration such as `500ms`, `30s`, `1h30m`, `2d` or `0s`: whole numbers with units, the largest first. The error
/// says what is wrong or what was expected, without the text itself.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (mut rest, mut ms, mut smaller_than) = (text.trim(), 0, DURATIONS.len());
    loop {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let behind = rest[end..].trim_start();
        let next = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (number, unit) = (&rest[..end], behind[..next].trim_end());
        if number.is_empty() || unit.contains(|c: char| !c.is_ascii_alphabetic()) {
            return Err(DURATION_FORMS.to_owned());
        }
        // their case matters, so that `1M` is not read as a minute
        let Some(at) = DURATIONS.iter().position(|(known, _)| *known == unit) else {
            return Err(no_unit(unit, DURATION_UNITS));
        };
        if at >= smaller_than {
            return Err(format!("write each unit once, the largest first ({DURATION_FORMS})"));
        }
        smaller_than = at;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(DURATIONS[at].1));
        ms = part.and_then(|part| part.checked_add(ms)).filter(|ms| *ms <= LONGEST).ok_or("expected at most 24855d")?;
        rest = &behind[next..];
        if rest.is_empty() {
            return Ok(Duration::from_millis(ms));
        }
    }
}

/// Takes `1.5 GiB` apart. Returns `None` where the text is not a number and letters; the letters may be missing.
fn number_and_unit(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = !whole.is_empty() && !decimals.is_empty() && !decimals.contains('.');
    (is_number && unit.bytes().all(|b| b.is_ascii_alphabetic())).then_some((number, unit))
}

fn no_unit(unit: &str, units: &str) -> String {
    match unit {
        "" => format!("missing unit ({units})"),
        _ => format!("unknown unit {unit} ({units})"),
    }
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

/// Returns a size as it can be typed, in the largest unit that needs no fraction: `1000B`, `64KiB`, `2560MiB`.
pub fn exact_size(bytes: u64) -> String {
    let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let exact = units.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    exact.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Shows a duration for people, in the largest unit that divides it: `1h`, `90s`.
pub fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    // weeks are understood, but few would write them
    let divides = |(unit, factor): &&(&str, u64)| *unit != "w" && ms % factor == 0;
    let (unit, factor) = DURATIONS.iter().rev().find(divides).unwrap_or(&("ms", 1));
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
    fn a_size_may_have_a_point() {
        for (text, bytes) in [
            ("1.5G", 3 << 29),
            ("0.5k", 512),
            ("1.0GiB", 1 << 30),
            ("2.25 MiB", 9 << 18),
            ("0.1K", 102),
            ("1.50T", 3 << 39),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_size_that_is_invalid_says_what_would_be_right() {
        let units = "(use B, K, M, G or T)";
        for (text, problem) in [
            ("256", format!("missing unit {units}")),
            ("10X", format!("unknown unit X {units}")),
            ("1.5.1G", SIZE_FORMS.to_owned()),
            ("1.G", SIZE_FORMS.to_owned()),
            (".5G", SIZE_FORMS.to_owned()),
            ("1,5G", SIZE_FORMS.to_owned()),
            ("1.0000000001G", SIZE_FORMS.to_owned()),
            ("-1G", SIZE_FORMS.to_owned()),
            ("", SIZE_FORMS.to_owned()),
            ("G", SIZE_FORMS.to_owned()),
            ("99999999999999999999G", "expected at most 1048576T".to_owned()),
            ("9999999T", "expected at most 1048576T".to_owned()),
        ] {
            assert_eq!(size(text), Err(problem), "{text}");
        }
    }

    #[test]
    fn a_duration_has_units_of_which_the_largest_comes_first_and_their_case_matters() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        for (text, expected) in [
            ("30s", 30),
            ("5m", 300),
            ("1h", 3600),
            ("2d", 172_800),
            ("1w", 604_800),
            ("1h30m", 5400),
            ("1h 30m", 5400),
            ("1d12h", 129_600),
            ("1m 30 s", 90),
            ("0s", 0),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        assert_eq!(
            (duration("250ms"), duration("1s5ms")),
            (Ok(Duration::from_millis(250)), Ok(Duration::from_millis(1005)))
        );
        for text in ["soon", "", "1.5h", "-1s", "1h-5m", "s"] {
            assert_eq!(duration(text), Err(DURATION_FORMS.to_owned()), "{text}");
        }
        for (text, problem) in [
            ("1M", "unknown unit M (use ms, s, m, h, d or w)"),
            ("60", "missing unit (use ms, s, m, h, d or w)"),
            ("1h30", "missing unit (use ms, s, m, h, d or w)"),
            ("99999999999d", "expected at most 24855d"),
            ("99999999999999999999d", "expected at most 24855d"),
        ] {
            assert_eq!(duration(text), Err(problem.to_owned()), "{text}");
        }
        for text in ["30m1h", "1h1h", "1s1w"] {
            assert!(duration(text).unwrap_err().starts_with("write each unit once, the largest first"), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_well() {
        assert_eq!(
            [0, 12, 1024, 1536, 10 << 30, (1 << 20) - 1].map(show_size),
            ["0 B", "12 B", "1 KiB", "1.5 KiB", "10 GiB", "1024 KiB"]
        );
        assert_eq!(
            [0, 1500, 90_000, 3_600_000, 172_800_000, 604_800_000].map(|ms| show_duration(Duration::from_millis(ms))),
            ["0s", "1500ms", "90s", "1h", "2d", "7d"]
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
