//! Writes one line to the log for each request: in columns and colours on a terminal, in one stable form in a pipe or a
//! file.

use std::{
    fmt::{self, Display as _, Write as _},
    time::Duration,
};

use super::{
    outcome::{End, Kind, Outcome},
    words::Words,
};
use crate::{
    clock::{self, Timestamp},
    logging::{self, ACCESS, escape, redact},
    terminal::{self, Colour, Style},
    units::{show_size, show_took},
};

/// Returns true if the log takes lines about requests.
pub fn is_read() -> bool {
    log::log_enabled!(target: ACCESS, log::Level::Info)
}

/// Writes the line of a request.
pub fn log(outcome: &Outcome, level: log::Level) {
    if !log::log_enabled!(target: ACCESS, level) {
        return;
    }
    let line = Line { outcome, verbose: log::log_enabled!(target: ACCESS, log::Level::Debug) };
    let style = terminal::stderr();
    if style.columns {
        logging::say(&line.in_columns(clock::wall(), style).to_string());
    } else {
        logging::line(level, ACCESS, |out| {
            // writing to a line cannot fail
            let _ = write!(out, "{}", line.plain());
        });
    }
}

/// The log line of one request.
struct Line<'a> {
    outcome: &'a Outcome,
    /// True if `-v` is given: the line says more.
    verbose: bool,
}

impl<'a> Line<'a> {
    /// Writes the stable form: `HIT 200 GET /a 0.1 ms 63 B 5s left`.
    fn plain(&self) -> impl fmt::Display + use<'a> {
        let Line { outcome, verbose } = *self;
        fmt::from_fn(move |f| {
            Shown::of(outcome, &request(outcome), &why(outcome)).plain().fmt(f)?;
            if verbose { more(f, outcome) } else { Ok(()) }
        })
    }

    /// Writes the form for a terminal: `19:29:43  HIT   200   0.1 ms    63 B   GET /a                5s left`.
    fn in_columns(&self, at: Timestamp, style: Style) -> impl fmt::Display + use<'a> {
        let Line { outcome, verbose } = *self;
        fmt::from_fn(move |f| {
            Shown::of(outcome, &request(outcome), &why(outcome)).in_columns(at, style).fmt(f)?;
            if verbose { more(f, outcome) } else { Ok(()) }
        })
    }
}

/// What a line shows.
pub struct Shown<'a> {
    pub word: &'a str,
    pub status: &'a str,
    pub took: Duration,
    pub bytes: u64,
    pub request: &'a dyn fmt::Display,
    pub why: &'a dyn fmt::Display,
}

impl<'a> Shown<'a> {
    fn of(outcome: &'a Outcome, request: &'a dyn fmt::Display, why: &'a dyn fmt::Display) -> Shown<'a> {
        let (word, status) = (Kind::of(outcome).word(), status(outcome));
        Shown { word, status, took: outcome.took, bytes: outcome.sent, request, why }
    }

    /// See [`Line::plain`].
    pub fn plain(&self) -> impl fmt::Display + use<'_, 'a> {
        fmt::from_fn(|f| {
            let Shown { word, status, took, bytes, request, why } = self;
            write!(f, "{word} {status} {request} {:.1} ms {bytes} B {why}", took.as_secs_f64() * 1e3)
        })
    }

    /// See [`Line::in_columns`].
    pub fn in_columns(&self, at: Timestamp, style: Style) -> impl fmt::Display + use<'_, 'a> {
        fmt::from_fn(move |f| {
            let Shown { word, status, took, bytes, request, why } = self;
            let size = show_size(*bytes);
            let (number, unit) = size.split_once(' ').unwrap_or((&size, ""));
            let (colour, of_status) = colours(word, status.parse().ok());
            write!(
                f,
                "{}  {} {}{:>8}{number:>6} {unit:<3} {:<20}  {why}",
                terminal::time_of_day(at),
                style.paint(colour, format_args!("{word:<5}")),
                style.paint(of_status, format_args!("{status:<4}")),
                show_took(*took),
                request.to_string(),
            )
        })
    }
}

/// Returns the reason of an outcome, and how it ended if not at its end.
pub fn why(outcome: &Outcome) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| write!(f, "{}{}", Words(outcome), ending(outcome)))
}

/// Returns the colours of the word and of the status.
fn colours(word: &str, status: Option<u16>) -> (Option<Colour>, Option<Colour>) {
    let failed = status.is_some_and(|status| status >= 500);
    let of_word = match word {
        _ if failed => Some(Colour::Red),
        "HIT" => Some(Colour::Green),
        "MISS" | "STALE" => Some(Colour::Yellow),
        _ => None,
    };
    (of_word, failed.then_some(Colour::Red))
}

/// Returns the status, or `left` if no answer was begun.
fn status(outcome: &Outcome) -> &str {
    match (&outcome.status, outcome.end) {
        (Some(status), _) => status.as_str(),
        (None, End::Left) => "left",
        (None, _) => "-",
    }
}

/// Returns the method and the target, escaped and without credentials.
pub fn request(outcome: &Outcome) -> impl fmt::Display + '_ {
    fmt::from_fn(|f| {
        let method = outcome.method.as_ref().map_or("-".into(), |method| escape(method.as_str()));
        match outcome.target.as_str() {
            "" => write!(f, "{method} -"),
            target => write!(f, "{method} {}", escape(&redact(target))),
        }
    })
}

/// Returns the words for an answer that ended before its end, such as ` (left)`.
fn ending(outcome: &Outcome) -> impl fmt::Display {
    let how = match (outcome.end, outcome.status) {
        (End::Left, Some(_)) => Some("left"),
        (End::BrokenOff, Some(_)) => Some("broken off"),
        (End::CutOff(cut), Some(_)) => Some(cut.as_str()),
        _ => None,
    };
    fmt::from_fn(move |f| how.map_or(Ok(()), |how| write!(f, " ({how})")))
}

/// Writes what `-v` adds to a line.
fn more(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    match outcome.peer {
        Some(peer) => write!(f, " [client {peer}")?,
        None => f.write_str(" [client -")?,
    }
    if let Some(version) = outcome.version {
        write!(f, ", HTTP/{}", version.number())?;
    }
    if let Some(site) = &outcome.site {
        write!(f, ", site {}", site.name)?;
    }
    if outcome.received > 0 {
        write!(f, ", {} B came in", outcome.received)?;
    }
    if let Some(verdict) = &outcome.verdict {
        write!(f, ", from {}", verdict.tier.as_str())?;
        if let Some(time) = verdict.origin_time {
            write!(f, ", origin {} ms", time.as_millis())?;
        }
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Seconds,
        message::{Method, StatusCode, Version},
        origin::OriginError,
        policy::{Fwd, Reason},
        proxy::outcome::Cut,
        proxy::verdict::{Tier, Verdict},
    };

    fn outcome(status: u16, verdict: Verdict) -> Outcome {
        Outcome {
            method: Some(Method::GET),
            target: "/max".to_owned(),
            version: Some(Version::Http11),
            peer: Some([127, 0, 0, 1].into()),
            status: StatusCode::from_u16(status).ok(),
            site: None,
            verdict: Some(verdict),
            received: 0,
            sent: 63,
            took: Duration::from_micros(152_300),
            end: End::Whole,
        }
    }

    fn miss(reason: Reason) -> Verdict {
        Verdict::forwarded(Fwd::UriMiss, reason)
    }

    fn hit(reason: Reason, ttl: i64) -> Verdict {
        Verdict { ttl: Some(ttl), ..Verdict::hit(reason, Tier::Memory) }
    }

    fn stored(reason: Reason, lifetime: u64, by: Reason) -> Verdict {
        Verdict { stored: true, stored_for: Some((Seconds(lifetime), by)), ..miss(reason) }
    }

    #[test]
    fn each_outcome_is_told_in_words_that_say_what_happened_and_why() {
        let refused = OriginError::Refused("127.0.0.1:1".to_owned());
        for (verdict, status, line) in [
            (stored(Reason::NotStored, 5, Reason::MaxAge), 200, "MISS 200 stored for 5s"),
            (stored(Reason::NotStored, 3600, Reason::DefaultTtl), 200, "MISS 200 stored for 1h (--default-ttl)"),
            (stored(Reason::Stale, 60, Reason::Expires), 200, "MISS 200 stale; stored for 1m"),
            (stored(Reason::NotStored, 0, Reason::NoCache), 200, "MISS 200 stored, to be validated before each use"),
            (
                stored(Reason::NotStored, 0, Reason::LifetimeUsedUp),
                200,
                "MISS 200 stored, but its lifetime was over when it arrived (Age, Date, or a slow origin)",
            ),
            (miss(Reason::Private), 200, "MISS 200 not stored: Cache-Control: private"),
            (miss(Reason::VaryStar), 200, "MISS 200 not stored: Vary: *"),
            (miss(Reason::UnsafeMethod), 200, "MISS 200 GET is not cached"),
            (hit(Reason::Fresh, 5), 200, "HIT 200 5s left"),
            (hit(Reason::DefaultTtl, 3588), 200, "HIT 200 59m left (--default-ttl)"),
            (hit(Reason::LastModified, 90), 304, "HIT 304 90s left (a tenth since Last-Modified)"),
            (hit(Reason::FreshDirectivesIgnored, 5), 200, "HIT 200 5s left (reload ignored, see --client-reload)"),
            (Verdict { fwd_status: Some(304), ..hit(Reason::Validated, 60) }, 200, "HIT 200 validated; 1m left"),
            (Verdict { fwd_status: Some(304), ..hit(Reason::Validated, 0) }, 200, "HIT 200 validated"),
            (Verdict { collapsed: true, ttl: Some(9), ..miss(Reason::NotStored) }, 200, "MISS 200 collapsed; 9s left"),
            (hit(Reason::StaleWhileRevalidate, -4), 200, "STALE 200 4s over; stale-while-revalidate"),
            (hit(Reason::StaleByDefault, -4), 200, "STALE 200 4s over; the origin fails (see --stale-if-error)"),
            (
                Verdict { failure: Some(Box::new(refused.clone())), ..hit(Reason::StaleIfError, -4) },
                200,
                "STALE 200 4s over; the origin refused the connection (127.0.0.1:1)",
            ),
            (
                Verdict { fwd_status: Some(503), ..hit(Reason::StaleIfError, -100) },
                200,
                "STALE 200 1m over; the origin answered 503",
            ),
            (miss(Reason::NotStored).failed(&refused), 502, "---- 502 the origin refused the connection (127.0.0.1:1)"),
            (Verdict::refused(Reason::Refused), 400, "---- 400 refused"),
        ] {
            let outcome = outcome(status, verdict);
            let plain = Line { outcome: &outcome, verbose: false }.plain().to_string();
            assert_eq!(plain.replace(" GET /max 152.3 ms 63 B", ""), line);
        }
    }

    #[test]
    fn an_outcome_without_an_answer_says_whose_fault_it_is() {
        let lost = |end| Outcome { status: None, verdict: None, end, sent: 0, ..outcome(200, miss(Reason::NotStored)) };
        for (end, line) in [
            (End::Left, "---- left GET /max 152.3 ms 0 B the client left before it got an answer"),
            (End::BrokenOff, "---- - GET /max 152.3 ms 0 B lost to a fault of Larder's own"),
            (End::CutOff(Cut::Stop), "---- - GET /max 152.3 ms 0 B cut off by the stop"),
        ] {
            assert_eq!(Line { outcome: &lost(end), verbose: false }.plain().to_string(), line);
        }
    }

    #[test]
    fn a_terminal_gets_columns_with_the_reason_last() {
        let columns = Style { columns: true, colours: false };
        for (outcome, line) in [
            (
                Outcome { took: Duration::from_micros(84), ..outcome(200, hit(Reason::Fresh, 5)) },
                "HIT   200   0.1 ms    63 B   GET /max              5s left",
            ),
            (
                Outcome { sent: 5 << 20, end: End::Left, ..outcome(200, miss(Reason::SetCookie)) },
                "MISS  200   152 ms     5 MiB GET /max              not stored: Set-Cookie, and neither s-maxage nor public \
                 with a lifetime (left)",
            ),
            (
                Outcome { sent: 0, status: None, verdict: None, end: End::Left, ..outcome(0, miss(Reason::Stale)) },
                "----  left  152 ms     0 B   GET /max              the client left before it got an answer",
            ),
        ] {
            let shown = Line { outcome: &outcome, verbose: false }.in_columns(Timestamp(0), columns).to_string();
            assert_eq!(&shown[8..10], "  ", "{shown}");
            assert_eq!(&shown[10..], line);
        }
    }

    #[test]
    fn a_hit_is_green_a_miss_yellow_and_a_server_error_red() {
        let colours = Style { columns: true, colours: true };
        let shown = |status, verdict| {
            let outcome = outcome(status, verdict);
            Line { outcome: &outcome, verbose: false }.in_columns(Timestamp(0), colours).to_string()
        };
        assert!(shown(200, hit(Reason::Fresh, 5)).contains("\x1b[32mHIT  \x1b[0m 200 "));
        assert!(shown(200, miss(Reason::Private)).contains("\x1b[33mMISS \x1b[0m 200 "));
        let failed = miss(Reason::NotStored).failed(&OriginError::Closed);
        assert!(shown(502, failed).contains("\x1b[31m---- \x1b[0m \x1b[31m502 \x1b[0m"));
    }
}
