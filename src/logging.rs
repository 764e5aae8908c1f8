//! The log: its level, its form, and that nobody but Larder can write a line of it.

use std::{borrow::Cow, io::Write};

use log::LevelFilter;

/// The longest piece of foreign text in a log line, in bytes.
const LONGEST: usize = 1024;
/// The longest line, in bytes.
const LONGEST_LINE: usize = 8192;

/// Starts the log on stderr. `-v` and `-q` decide the level; without them RUST_LOG does; without that it is `info`.
/// Does nothing where a log was started before.
pub fn start(verbose: u8, quiet: u8) {
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level(verbose, quiet));
    // actix_http reports each malformed request as an error: with a stranger's bytes, at a stranger's pace.
    builder.filter_module("actix_http", if verbose > 1 { LevelFilter::Trace } else { LevelFilter::Off });
    for target in ["actix_server", "actix_web", "awc", "sled", "mio", "rustls"] {
        builder.filter_module(target, if verbose > 1 { LevelFilter::Trace } else { LevelFilter::Warn });
    }
    if verbose == 0 && quiet == 0 {
        builder.parse_default_env();
    }
    builder.format(|out, record| {
        let message = record.args().to_string();
        let time = out.timestamp_millis();
        writeln!(out, "{time} {:5} {}", record.level(), escape_within(&message, LONGEST_LINE))
    });
    let _ = builder.try_init();
}

fn level(verbose: u8, quiet: u8) -> LevelFilter {
    match i16::from(verbose) - i16::from(quiet) {
        ..=-2 => LevelFilter::Error,
        -1 => LevelFilter::Warn,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        2.. => LevelFilter::Trace,
    }
}

/// Text from outside, fit for a log line: control characters and all that is not ASCII as `\x1b` or `\u{202e}`; what
/// is longer than 1 KiB is cut, and ends in `...`.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_within(text, LONGEST)
}

fn escape_within(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len().min(longest) + 16);
    for c in text.chars() {
        if escaped.len() >= longest {
            escaped.push_str("...");
            break;
        }
        match c {
            ' '..='~' => escaped.push(c),
            '\0'..='\x7f' => escaped.push_str(&format!("\\x{:02x}", c as u32)),
            _ => escaped.push_str(&format!("\\u{{{:x}}}", c as u32)),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert!(matches!(escape("GET /a?b=~%20 \\ \"c\""), Cow::Borrowed("GET /a?b=~%20 \\ \"c\"")));
    }

    #[test]
    fn no_text_can_begin_a_line_move_the_cursor_or_turn_the_direction() {
        assert_eq!(escape("a\r\nINFO forged"), "a\\x0d\\x0aINFO forged");
        assert_eq!(escape("\x1b[2J\0\t\x7f"), "\\x1b[2J\\x00\\x09\\x7f");
        assert_eq!(escape("ü\u{202e}\u{85}"), "\\u{fc}\\u{202e}\\u{85}");
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            assert!(escape(&c.to_string()).bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{c:?}");
        }
    }

    #[test]
    fn escaping_twice_changes_nothing() {
        let once = escape("a\r\nü").into_owned();
        assert_eq!(escape(&once), once);
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(escape(&"x".repeat(LONGEST)).len(), LONGEST);
        let cut = escape(&"x".repeat(1 << 20)).into_owned();
        assert!(cut.len() == LONGEST + 3 && cut.ends_with("x..."));
        assert!(escape(&"\n".repeat(1 << 20)).len() <= LONGEST + 16);
    }

    #[test]
    fn verbose_and_quiet_cancel_each_other() {
        assert_eq!(
            [(0, 0), (1, 0), (9, 0), (0, 1), (0, 9), (1, 1)].map(|(v, q)| level(v, q)),
            [
                LevelFilter::Info,
                LevelFilter::Debug,
                LevelFilter::Trace,
                LevelFilter::Warn,
                LevelFilter::Error,
                LevelFilter::Info
            ]
        );
    }
}
