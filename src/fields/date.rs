//! HTTP-date (RFC 9110 §5.6.7).

use crate::{
    clock::Timestamp,
    message::{FieldValue, Fields},
};

const DAY: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Returns the date in a field. Returns `None` if the date is invalid, or if the field has not exactly one line.
pub fn only(fields: &Fields, name: &http::HeaderName, now: Timestamp) -> Option<Timestamp> {
    parse(fields.only(name)?.as_bytes(), now)
}

/// Parses the three forms of a date; letters may have any case. `now` determines the century of a year with two digits.
/// The day of the week is not compared with the date.
pub fn parse(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    imf_fixdate(text).or_else(|| rfc850_date(text, now)).or_else(|| asctime_date(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &str) -> Option<Timestamp> {
    let [weekday, day, month, year, time, zone] = words(text)?;
    let weekday = weekday.strip_suffix(',')?;
    if !is_short_weekday(weekday) || !zone.eq_ignore_ascii_case("GMT") {
        return None;
    }
    timestamp(number(year, 4)?, self::month(month)?, number(day, 2)?, time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let [weekday, date, time, zone] = words(text)?;
    let weekday = weekday.strip_suffix(',')?;
    if !WEEKDAYS.iter().any(|name| name.eq_ignore_ascii_case(weekday)) || !zone.eq_ignore_ascii_case("GMT") {
        return None;
    }
    let mut date = date.split('-');
    let (day, month, year) = (date.next()?, date.next()?, date.next()?);
    if date.next().is_some() {
        return None;
    }
    let (day, month, short) = (number(day, 2)?, self::month(month)?, number(year, 2)?);
    // a date more than 50 years ahead means the latest year in the past with these digits (RFC 9110 §5.6.7)
    let this_year = civil(now.0.div_euclid(1000).div_euclid(DAY)).0;
    let mut year = this_year.div_euclid(100) * 100 + short;
    if year < this_year - 49 {
        year += 100;
    }
    let fifty_years_on = Timestamp(now.0.saturating_add(50 * 365 * DAY * 1000 + 12 * DAY * 1000));
    if timestamp(year, month, day, time).is_some_and(|at| at > fifty_years_on) {
        year -= 100;
    }
    timestamp(year, month, day, time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &str) -> Option<Timestamp> {
    // the day of the month is padded with a space
    let (head, day, tail) = (text.get(..8)?, text.get(8..10)?, text.get(10..)?);
    let (weekday, month) = (head.get(..3)?, head.get(4..7)?);
    let shaped = head.as_bytes()[3] == b' ' && head.as_bytes()[7] == b' ' && tail.starts_with(' ');
    if !shaped || !is_short_weekday(weekday) {
        return None;
    }
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    let [time, year] = words(&tail[1..])?;
    timestamp(number(year, 4)?, self::month(month)?, day, time)
}

/// Splits the text into exactly `N` words with one space between them.
fn words<const N: usize>(text: &str) -> Option<[&str; N]> {
    let mut words = text.split(' ');
    let mut found = [""; N];
    for word in &mut found {
        *word = words.next()?;
    }
    words.next().is_none().then_some(found)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn is_short_weekday(text: &str) -> bool {
    WEEKDAYS.iter().any(|name| name[..3].eq_ignore_ascii_case(text))
}

/// Returns the number of a month, from 1 to 12.
fn month(text: &str) -> Option<i64> {
    let position = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    Some(position as i64 + 1)
}

fn timestamp(year: i64, month: i64, day: i64, time: &str) -> Option<Timestamp> {
    let mut time = time.split(':');
    let (hour, minute, second) = (time.next()?, time.next()?, time.next()?);
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    // second 60 is a leap second
    if time.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(year, month, day);
    // if the month does not have this day, the reverse gives another date
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(Timestamp::from_seconds(days * DAY + hour * 3600 + minute * 60 + second))
}

/// Returns the days from 1970-01-01 to a date in the proleptic Gregorian calendar. The calculation lets years begin in
/// March, so that the leap day is their last day.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// Returns the year, month and day. This is the reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

/// Writes an IMF-fixdate. The form has four digits for the year. A date outside of them becomes the nearest date
/// within.
pub fn format(at: Timestamp) -> FieldValue {
    let seconds = at.0.div_euclid(1000).clamp(days(0, 1, 1) * DAY, days(10_000, 1, 1) * DAY - 1);
    let (day_count, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = civil(day_count);
    // 1970-01-01 was a Thursday
    let weekday = &WEEKDAYS[(day_count + 3).rem_euclid(7) as usize][..3];
    let month = MONTHS[month as usize - 1];
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let text = format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
    FieldValue::try_from(text).unwrap_or_else(|_| FieldValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000); // November 2026

    fn seconds(text: &str) -> Option<i64> {
        parse(text.as_bytes(), NOW).map(|at| at.0 / 1000)
    }

    #[test]
    fn the_three_forms_name_one_point_in_time() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "sUN, 06 NOV 1994 08:49:37 gMT",
        ] {
            assert_eq!(seconds(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn dates_work_beyond_32_bits_and_before_1970() {
        assert_eq!(seconds("Tue, 19 Jan 2038 03:14:08 GMT"), Some(1 << 31));
        assert_eq!(seconds("Sat, 20 Nov 2286 17:46:40 GMT"), Some(10_000_000_000));
        assert_eq!(seconds("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
        assert_eq!(seconds("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
        assert_eq!(seconds("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
    }

    #[test]
    fn two_digits_of_a_year_mean_at_most_fifty_years_ahead() {
        for (text, year) in [
            ("Thursday, 18-Aug-50 02:01:18 GMT", 2050),
            ("Monday, 01-Jan-76 00:00:00 GMT", 2076),
            ("Thursday, 30-Dec-76 00:00:00 GMT", 1976),
            ("Monday, 01-Jan-77 00:00:00 GMT", 1977),
            ("Friday, 01-Jan-99 00:00:00 GMT", 1999),
            ("Monday, 01-Jan-00 00:00:00 GMT", 2000),
        ] {
            let at = parse(text.as_bytes(), NOW).unwrap();
            assert_eq!(civil(at.0 / 1000 / DAY).0, year, "{text}");
        }
        let late = Timestamp::from_seconds(days(2090, 6, 1) * DAY);
        let at = parse(b"Thursday, 18-Aug-10 02:01:18 GMT", late).unwrap();
        assert_eq!(civil(at.0 / 1000 / DAY).0, 2110);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "0",
            "",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 31 Jun 2050 02:01:18 GMT",
            "Thu, 29 Feb 2023 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT GMT",
            "Thu Aug 8 02:01:18 2050",
            "Thu Aug\u{e9}8 02:01:18 2050",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for at in [0, 784_111_777, 1 << 31, 253_402_300_799, -1, 951_782_400] {
            let at = Timestamp::from_seconds(at);
            assert_eq!(parse(format(at).as_bytes(), NOW), Some(at));
        }
        assert_eq!(format(Timestamp(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format(Timestamp(i64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(format(Timestamp(i64::MIN)), "Sat, 01 Jan 0000 00:00:00 GMT");
    }
}
