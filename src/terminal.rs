//! Output for people: colours, columns and the local time where a terminal shows it, none of these anywhere else.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::LazyLock,
};

use jiff::tz::TimeZone;

use crate::clock::{self, Timestamp};

/// The style of what is written to one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// True on a terminal: aligned columns and the local time. False in a pipe or a file: one stable form.
    pub columns: bool,
    /// True on a terminal that has colours, unless the variable NO_COLOR forbids them.
    pub colours: bool,
}

/// The colours of a terminal, by their ANSI numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

impl Style {
    /// The style of pipes and files.
    pub const PLAIN: Style = Style { columns: false, colours: false };

    fn of(stream: &impl IsTerminal) -> Style {
        if !stream.is_terminal() {
            return Style::PLAIN;
        }
        // https://no-color.org: any text but the empty one
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Style { columns: true, colours: !forbidden && !dumb }
    }

    /// Shows `text` in a colour, if there is one. Width and alignment of the format apply to the text alone.
    pub fn paint<T>(self, colour: impl Into<Option<Colour>>, text: T) -> Painted<T> {
        Painted { colour: colour.into().filter(|_| self.colours), text }
    }
}

/// The style of stderr. The first call looks.
pub fn stderr() -> Style {
    static STYLE: LazyLock<Style> = LazyLock::new(|| Style::of(&io::stderr()));
    *STYLE
}

/// The style of stdout. The first call looks.
pub fn stdout() -> Style {
    static STYLE: LazyLock<Style> = LazyLock::new(|| Style::of(&io::stdout()));
    *STYLE
}

/// A text in a colour.
pub struct Painted<T> {
    colour: Option<Colour>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(colour) = self.colour else { return self.text.fmt(f) };
        write!(f, "\x1b[{}m", colour as u8)?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

static ZONE: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Returns the local time of day, such as `19:29:43`. The time zone is that of the variable TZ, or else the machine's.
pub fn time_of_day(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(at) => at.to_zoned(ZONE.clone()).strftime("%H:%M:%S").to_string(),
        Err(_) => "--:--:--".to_owned(),
    }
}

/// Returns the local day, such as `26 Nov`, with the year if it is not the current one.
pub fn day(at: Timestamp) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(at.0) else { return "long ago".to_owned() };
    let at = at.to_zoned(ZONE.clone());
    let is_this_year = clock::wall().0 - at.timestamp().as_millisecond() < MOST_OF_A_YEAR;
    at.strftime(if is_this_year { "%-d %b" } else { "%-d %b %Y" }).to_string()
}

/// In milliseconds. An older day is shown with its year.
const MOST_OF_A_YEAR: i64 = 300 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_does_not_count_as_width_and_is_left_out_in_plain_text() {
        let coloured = Style { columns: true, colours: true };
        assert_eq!(format!("{:<5}|", coloured.paint(Colour::Green, "HIT")), "\x1b[32mHIT  \x1b[0m|");
        assert_eq!(format!("{:<5}|", Style::PLAIN.paint(Colour::Green, "HIT")), "HIT  |");
    }

    #[test]
    fn a_time_that_no_calendar_has_is_shown_all_the_same() {
        assert_eq!(time_of_day(Timestamp(i64::MAX)), "--:--:--");
        assert_eq!(time_of_day(Timestamp(0)).len(), 8);
    }
}
