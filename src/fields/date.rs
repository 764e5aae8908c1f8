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
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = text.iter().position(|byte| !blank(byte))?;
    let end = text.iter().rposition(|byte| !blank(byte))?;
    let text = &text[begin..=end];
    imf_fixdate(text).or_else(|| rfc850_date(text, now)).or_else(|| asctime_date(text))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Timestamp> {
    let [weekday @ .., b',', b' ', d, e, b' ', m, n, o, b' ', y, z, a, b, b' ', _, _, _, _, _, _, _, _, b' ', _, _, _] =
        text
    else {
        return None;
    };
    if !is_short_weekday(weekday) || !text[26..].eq_ignore_ascii_case(b"GMT") {
        return None;
    }
    timestamp(number(&[*y, *z, *a, *b])?, month(&[*m, *n, *o])?, number(&[*d, *e])?, &text[17..25])
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let comma = text.iter().position(|byte| *byte == b',')?;
    let (weekday, rest) = (&text[..comma], &text[comma..]);
    let [b',', b' ', d, e, b'-', m, n, o, b'-', y, z, b' ', _, _, _, _, _, _, _, _, b' ', zone @ ..] = rest else {
        return None;
    };
    if !WEEKDAYS.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(weekday)) || !zone.eq_ignore_ascii_case(b"GMT")
    {
        return None;
    }
    let (day, month, short, time) = (number(&[*d, *e])?, month(&[*m, *n, *o])?, number(&[*y, *z])?, &rest[12..20]);
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
fn asctime_date(text: &[u8]) -> Option<Timestamp> {
    let [weekday @ .., b' ', m, n, o, b' ', d, e, b' ', _, _, _, _, _, _, _, _, b' ', y, z, a, b] = text else {
        return None;
    };
    if !is_short_weekday(weekday) {
        return None;
    }
    // the day of the month is padded with a space
    let day = if *d == b' ' { number(&[*e])? } else { number(&[*d, *e])? };
    timestamp(number(&[*y, *z, *a, *b])?, month(&[*m, *n, *o])?, day, &text[11..19])
}

/// Returns the number that these digits write.
fn number(digits: &[u8]) -> Option<i64> {
    let add = |number, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'));
    digits.iter().try_fold(0, add)
}

fn is_short_weekday(text: &[u8]) -> bool {
    WEEKDAYS.iter().any(|name| name.as_bytes()[..3].eq_ignore_ascii_case(text))
}

/// Returns the number of a month, from 1 to 12.
fn month(text: &[u8]) -> Option<i64> {
    let position = MONTHS.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(text))?;
    Some(position as i64 + 1)
}

/// Returns the point in time of a date and a time as `08:49:37`.
fn timestamp(year: i64, month: i64, day: i64, time: &[u8]) -> Option<Timestamp> {
    let [h, i, b':', m, n, b':', s, t] = time else { return None };
    let (hour, minute, second) = (number(&[*h, *i])?, number(&[*m, *n])?, number(&[*s, *t])?);
    // second 60 is a leap second
    if hour > 23 || minute > 59 || second > 60 {
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
    let mut text = *b"Www, DD Mmm YYYY hh:mm:ss GMT";
    text[..3].copy_from_slice(weekday.as_bytes());
    text[8..11].copy_from_slice(month.as_bytes());
    let (century, short) = (year / 100, year % 100);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    for (at, number) in [(5, day), (12, century), (14, short), (17, hour), (20, minute), (23, second)] {
        text[at..at + 2].copy_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
    }
    FieldValue::from_bytes(&text).unwrap_or_else(|_| FieldValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
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
