//! One line of the log: formatted in place, escaped as it is written, cut where it grows too long.

use std::{
    cell::Cell,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use log::Level;

use super::{
    stderr,
    text::{LONGEST_LINE, escape, is_plain, push_escaped},
};
use crate::clock::{self, Timestamp};

/// A thread keeps its buffer unless a line made it larger than this.
const KEPT: usize = 2 * LONGEST_LINE;

/// True if [`line()`] may pass env_logger by, because its filter decides by level and target alone.
static DIRECT: AtomicBool = AtomicBool::new(false);

thread_local! {
    static BUFFER: Cell<Buffer> = const { Cell::new(Buffer::EMPTY) };
}

/// What a thread keeps from line to line.
#[derive(Default)]
struct Buffer {
    text: String,
    second: Second,
}

impl Buffer {
    const EMPTY: Buffer = Buffer { text: String::new(), second: Second { number: 0, text: String::new() } };
}

/// The text of a log line. All text is escaped as [`escape`] does it. A line that grows longer than 8 KiB is cut there and
/// ends in `...`.
pub struct Line {
    text: String,
    /// Where the text begins that is escaped and counted.
    begins: usize,
    cut: bool,
}

impl Line {
    fn after(head: String) -> Line {
        Line { begins: head.len(), text: head, cut: false }
    }

    pub fn push(&mut self, text: &str) {
        let length = self.text.len() - self.begins;
        if !self.cut && length + text.len() <= LONGEST_LINE && is_plain(text) {
            self.text.push_str(text);
        } else {
            self.push_each(text);
        }
    }

    #[cold]
    fn push_each(&mut self, text: &str) {
        for c in text.chars() {
            if self.cut {
                break;
            }
            self.cut = self.text.len() - self.begins >= LONGEST_LINE;
            if self.cut { self.text.push_str("...") } else { push_escaped(&mut self.text, c) }
        }
    }

    /// Pushes text from outside, cut where it is longer than 1 KiB.
    pub fn push_foreign(&mut self, text: &str) {
        self.push(&escape(text));
    }

    pub fn push_number(&mut self, number: u64) {
        let mut digits = [0; 20];
        self.push(decimal(number, &mut digits));
    }

    /// Pushes a span of time in milliseconds, with one decimal.
    pub fn push_milliseconds(&mut self, span: Duration) {
        let tenths = (u64::from(span.subsec_nanos()) + 50_000) / 100_000;
        let tenths = span.as_secs().saturating_mul(10_000).saturating_add(tenths);
        self.push_number(tenths / 10);
        self.push(".");
        self.push_number(tenths % 10);
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return std::str::from_utf8(&digits[first..]).unwrap_or_default();
        }
    }
}

/// Lets [`line()`] write to stderr's queue by itself.
pub(super) fn allow_direct() {
    DIRECT.store(true, Ordering::Relaxed);
}

/// Logs a line as `log::log!` does, with the same bytes. It is formatted once, straight into a buffer of this thread's own.
/// `write` is called only where the line is logged.
pub fn line(level: Level, target: &str, write: impl FnOnce(&mut Line)) {
    if !log::log_enabled!(target: target, level) {
        return;
    }
    // a line that is logged while this one is written gets a buffer of its own
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    let mut head = std::mem::take(&mut buffer.text);
    head.clear();
    let direct = DIRECT.load(Ordering::Relaxed) && begin(&mut head, &mut buffer.second, level).is_ok();
    if !direct {
        head.clear();
    }
    let mut line = Line::after(head);
    write(&mut line);
    let mut text = line.text;
    if direct {
        text.push('\n');
        stderr::push(text.as_bytes());
    } else {
        log::log!(target: target, level, "{text}");
    }
    if text.capacity() <= KEPT {
        buffer.text = text;
    }
    let _ = BUFFER.try_with(|kept| kept.set(buffer));
}

/// Formats and escapes the text of a line.
pub(super) fn escaped(message: &fmt::Arguments) -> String {
    let mut line = Line::after(String::new());
    // a Line takes everything; what cannot be displayed is logged as far as it came
    let _ = fmt::Write::write_fmt(&mut line, *message);
    line.text
}

/// Writes what stands before each line: the time and the level.
fn begin(text: &mut String, second: &mut Second, level: Level) -> fmt::Result {
    let Timestamp(now) = clock::wall();
    second.write(text, now)?;
    let level = level.as_str();
    text.push_str(level);
    text.push_str(&"      "[level.len()..]);
    Ok(())
}

/// The second that was written last, and its text: a thread writes many lines in each.
#[derive(Default)]
struct Second {
    number: i64,
    /// Up to the full stop before the milliseconds; empty: none was written yet.
    text: String,
}

impl Second {
    /// Writes a time, in milliseconds since 1970, and a space. Fails on years that RFC 3339 has no form for.
    fn write(&mut self, text: &mut String, time: i64) -> fmt::Result {
        let (number, millisecond) = (time.div_euclid(1000), time.rem_euclid(1000));
        if number != self.number || self.text.is_empty() {
            self.number = number;
            self.text = second(number).ok_or(fmt::Error)?;
        }
        let digit = |of: i64| b'0' + (millisecond / of % 10) as u8;
        let digits = [digit(100), digit(10), digit(1), b'Z', b' '];
        text.push_str(&self.text);
        text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
        Ok(())
    }
}

/// The text of a second since 1970, up to the full stop before the milliseconds: `2026-11-29T21:45:44.`.
fn second(number: i64) -> Option<String> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(number).ok()?))?;
    let mut text = String::new();
    fmt::Write::write_fmt(&mut text, format_args!("{}", humantime::format_rfc3339_seconds(time))).ok()?;
    Some(text.strip_suffix('Z')?.to_owned() + ".")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    fn line_of(pieces: &[String]) -> String {
        let mut line = Line::after("head ".to_owned());
        pieces.iter().for_each(|piece| line.push(piece));
        line.text
    }

    /// What a line holds of one long text, character by character.
    fn slowly(text: &str) -> String {
        let mut shown = String::new();
        for c in text.chars() {
            if shown.len() >= LONGEST_LINE {
                return shown + "...";
            }
            shown.push_str(&escape(&c.to_string()));
        }
        shown
    }

    proptest! {
        #[test]
        fn a_line_is_the_same_in_whatever_pieces_it_is_written(
            pieces in proptest::collection::vec(prop_oneof!["[ -~]{0,3000}", "\\PC{0,40}", "[\\x00-\\x1f\u{202e}a]{0,9}"], 0..9)
        ) {
            let whole = pieces.concat();
            prop_assert_eq!(line_of(&pieces), format!("head {}", slowly(&whole)));
            prop_assert_eq!(escaped(&format_args!("{whole}")), slowly(&whole));
        }

        #[test]
        fn numbers_are_written_as_display_writes_them(number: u64, nanoseconds in 0..1u64 << 50) {
            let mut line = Line::after(String::new());
            line.push_number(number);
            prop_assert_eq!(&line.text, &number.to_string());
            let mut line = Line::after(String::new());
            line.push_milliseconds(Duration::from_nanos(nanoseconds));
            let shown: f64 = line.text.parse().unwrap();
            prop_assert!((shown - nanoseconds as f64 / 1e6).abs() < 0.0511, "{}", line.text);
            prop_assert_eq!(line.text, format!("{shown:.1}"));
        }

        #[test]
        fn a_time_is_written_as_rfc_3339_has_it(times in proptest::collection::vec(0..253_402_300_800_000i64, 1..9)) {
            let mut second = Second::default();
            for time in times {
                for time in [time, time, (time - 1).max(0)] {
                    let mut text = String::new();
                    second.write(&mut text, time).unwrap();
                    let right = UNIX_EPOCH + Duration::from_millis(time as u64);
                    prop_assert_eq!(text, format!("{} ", humantime::format_rfc3339_millis(right)));
                }
            }
        }
    }

    #[test]
    fn a_time_that_rfc_3339_has_no_form_for_is_not_written() {
        let (mut second, mut text) = (Second::default(), String::new());
        for time in [-1, i64::MIN, 253_402_300_800_000, i64::MAX] {
            assert!(second.write(&mut text, time).is_err(), "{time}");
        }
        second.write(&mut text, 0).unwrap();
        assert_eq!(text, "1970-01-01T00:00:00.000Z ");
    }

    #[test]
    fn a_level_takes_five_columns() {
        for (level, shown) in [(Level::Warn, "Z WARN  "), (Level::Error, "Z ERROR ")] {
            let mut text = String::new();
            begin(&mut text, &mut Second::default(), level).unwrap();
            assert!(text.ends_with(shown), "{text}");
        }
    }

    #[test]
    fn a_piece_from_outside_is_cut_and_the_line_goes_on() {
        let mut line = Line::after(String::new());
        line.push_foreign(&"x".repeat(5000));
        line.write_str(" behind").unwrap();
        assert_eq!(line.text, format!("{}... behind", "x".repeat(1024)));
    }
}
