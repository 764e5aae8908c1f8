//! The screen of `larder stats`: the hit ratio first, then why, then the room.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::Value;

use super::figures::{Answers, Figures, Times};
use crate::{
    clock::Timestamp,
    policy::Reason,
    terminal::{self, Colour, Style},
    units::{show_count, show_responses, show_seconds, show_size, show_took},
};

/// The most reasons that one line names.
const NAMED: usize = 6;

/// One line: its name, its number if it has one, and the rest.
struct Row {
    name: &'static str,
    number: Option<u64>,
    colour: Option<Colour>,
    text: String,
}

/// Shows the numbers of one cache folder for people: aligned on a terminal, `name: text` in a pipe.
pub fn show(folder: &Path, stats: &Value, style: Style) -> Vec<String> {
    let figures: Figures = serde_json::from_value(stats.clone()).unwrap_or_default();
    let running = !figures.listening.is_empty();
    let blank = || style.columns.then(String::new);
    let mut lines = vec![head(folder, &figures, style)];
    lines.extend(blank());
    if running {
        lines.extend(in_lines(&summary(&figures), style));
        lines.extend(blank());
        lines.extend(in_lines(&kinds(stats, &figures), style));
        lines.extend(blank());
    }
    lines.extend(in_lines(&room(folder, stats, running), style));
    lines
}

fn head(folder: &Path, figures: &Figures, style: Style) -> String {
    if figures.listening.is_empty() {
        return format!("{}   not running", style.paint(Colour::Bold, folder.display()));
    }
    let running = match figures.running_seconds {
        seconds @ 0..100 => show_seconds(seconds).to_string(),
        seconds => show_took(Duration::from_secs(seconds)),
    };
    let way = format!("{} -> {}", figures.listening, figures.origin);
    let counted = match (figures.counted_since.map(Timestamp), figures.window) {
        (Some(since), Some(window)) => {
            let which = if window.seconds < window.asked_seconds { " (its start)" } else { "" };
            format!("counters since {}{which}", terminal::time_of_day(since))
        }
        (Some(since), None) => format!("counters since {}", terminal::day(since)),
        (None, _) => "counted since the start".to_owned(),
    };
    format!("{}   running {running}, {counted}", style.paint(Colour::Bold, way))
}

/// The three lines that say what the cache is good for.
fn summary(figures: &Figures) -> Vec<Row> {
    let answered = figures.sum(&["fresh", "validated", "stale", "miss", "collapsed", "not_cached"]);
    let percent = |ratio: f64| format!("{:.1} %", ratio * 100.0);
    let row = |name, text| Row { name, number: None, colour: None, text };
    let Some(ratio) = figures.hit_ratio else { return vec![row("Hit ratio", "nothing to count yet".to_owned())] };
    let mut ratio = format!("{} of {}", percent(ratio), show_requests(answered.requests));
    if let Some(of_bytes) = figures.byte_hit_ratio {
        ratio.push_str(&format!(", {} of {}", percent(of_bytes), show_size(answered.bytes)));
    }
    let saved = &figures.saved;
    let mut what = format!("{}, {}", show_requests(saved.requests), show_size(saved.bytes));
    if saved.seconds > 0.0 {
        what.push_str(&format!(", {} of waiting", show_took(Duration::from_secs_f64(saved.seconds))));
    }
    let times = [times("hit", &figures.hit_time), times("origin", &figures.origin_time)];
    let times: Vec<String> = times.into_iter().flatten().collect();
    let mut rows = vec![row("Hit ratio", ratio), row("Saved", what)];
    if !times.is_empty() {
        rows.push(row("Time", times.join(", ")));
    }
    rows
}

/// `origin 231 ms (p95 1.9 s)`
fn times(what: &str, times: &Times) -> Option<String> {
    let show = |ms: f64| match ms {
        0.0 => "under 1 ms".to_owned(),
        ms => show_took(Duration::from_secs_f64(ms / 1e3)),
    };
    let (median, p95) = (show(times.median_ms?), show(times.p95_ms?));
    Some(if median == p95 { format!("{what} {median}") } else { format!("{what} {median} (p95 {p95})") })
}

/// What became of the requests, by kind and reason.
fn kinds(stats: &Value, figures: &Figures) -> Vec<Row> {
    let hits = ["fresh", "validated", "stale"].map(|kind| (kind.to_owned(), figures.sum(&[kind]).requests));
    let mut misses = figures.sum(&["miss"]);
    let collapsed = figures.sum(&["collapsed"]).requests;
    misses.requests += collapsed;
    misses.reasons.insert(COLLAPSED.to_owned(), collapsed);
    let row = |name, colour, answers: &Answers, of_reasons: Vec<(String, u64)>| Row {
        name,
        number: Some(answers.requests),
        colour: (answers.requests > 0).then_some(colour),
        text: listed(of_reasons),
    };
    let by_reason = |answers: &Answers| largest(&answers.reasons);
    let hit = figures.sum(&["fresh", "validated", "stale"]);
    let not_cached = figures.sum(&["not_cached"]);
    let mut rows = vec![
        row("Hits", Colour::Green, &hit, hits.to_vec()),
        row("Misses", Colour::Yellow, &misses, by_reason(&misses)),
        row("Not cached", Colour::Yellow, &not_cached, by_reason(&not_cached)),
    ];
    // a line that would say nothing is left out
    let errors = figures.sum(&["error", "lost"]);
    if errors.requests > 0 {
        rows.push(row("Errors", Colour::Red, &errors, by_reason(&errors)));
    }
    let refused = figures.sum(&["refused"]);
    let turned_away = stats["turned_away"].as_u64().unwrap_or(0);
    if refused.requests > 0 {
        // both are counted as refused, with the same reason; connections are counted since the start alone
        let turned_away = if figures.window.is_some() { 0 } else { turned_away };
        let mut invalid = refused.clone();
        invalid.reasons.entry(REFUSED.to_owned()).and_modify(|count| *count -= turned_away.min(*count));
        let mut reasons = by_reason(&invalid);
        reasons.push(("over a connection limit".to_owned(), turned_away));
        rows.push(row("Refused", Colour::Red, &refused, reasons));
    }
    let left = figures.sum(&["left"]);
    if left.requests > 0 {
        let text = "clients that did not wait for their answer".to_owned();
        rows.push(Row { name: "Left", number: Some(left.requests), colour: None, text });
    }
    rows
}

/// The room that the cache takes, and what is wrong with it.
fn room(folder: &Path, stats: &Value, running: bool) -> Vec<Row> {
    let number = |name: &str| stats[name].as_u64().unwrap_or(0);
    let row = |name, text| Row { name, number: None, colour: None, text };
    let (used, responses) = (show_size(number("disk_used")), show_responses(number("responses")));
    if !running {
        return vec![row("Disk", format!("{responses}, {used}"))];
    }
    let limit = number("effective_disk_limit");
    let full = if limit < number("disk_limit") { " (the disk has room for no more)" } else { "" };
    let evicted = match number("evicted") {
        0 => "nothing evicted".to_owned(),
        evicted => format!("{} evicted", show_count(evicted)),
    };
    let disk = match stats["state"]["down"].as_str() {
        Some(why) => format!("not in use ({why}); the cache works in memory alone, {responses}"),
        None => format!("{used} of {}{full}, {responses}, {evicted}", show_size(limit)),
    };
    let memory = format!("{} of {}", show_size(number("memory_used")), show_size(number("memory_limit")));
    let mut rows = vec![row("Disk", disk), row("Memory", memory), row("Folder", folder.display().to_string())];
    let wrong: Vec<(String, u64)> = [
        ("errors of the disk", "errors"),
        ("damaged", "damaged"),
        ("set aside", "set_aside"),
        ("not written", "not_written"),
        ("not read", "not_read"),
        ("connections lost to a fault of Larder's own", "panics"),
    ]
    .map(|(words, name)| (words.to_owned(), number(name)))
    .to_vec();
    let text = listed(wrong);
    if !text.is_empty() {
        rows.push(Row { name: "Trouble", number: None, colour: Some(Colour::Red), text });
    }
    rows
}

const COLLAPSED: &str = "waited for another request";

/// The name of the reason of what was refused before it was a request.
const REFUSED: &str = "refused";

/// The reasons in words, those that occurred most first.
fn largest(reasons: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = reasons.iter().map(|(name, count)| (label(name), *count)).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if all.len() > NAMED {
        let others = all.split_off(NAMED - 1).iter().map(|(_, count)| count).sum();
        all.push(("others".to_owned(), others));
    }
    all
}

/// `first time 48, expired 22`
fn listed(parts: Vec<(String, u64)>) -> String {
    let parts = parts.iter().filter(|(_, count)| *count > 0);
    parts.map(|(words, count)| format!("{words} {}", show_count(*count))).collect::<Vec<_>>().join(", ")
}

/// The words for a reason, short enough for a line of many. `name`: its name for programs.
fn label(name: &str) -> String {
    let short = match name {
        "not_stored" => "first time",
        "stale" => "expired",
        "vary_miss" => "other Vary",
        "no_store" | "cdn_no_store" => "no-store",
        "private" | "cdn_private" => "private",
        "no_cache" | "cdn_no_cache" => "no-cache",
        "unsafe_method" => "unsafe method",
        "method_not_cached" => "other method",
        "head_request" => "HEAD",
        REFUSED => "not valid HTTP",
        "host_not_served" => "Host not allowed",
        "foreign_target" => "another site's URL",
        "too_many_for_client" => "over --max-connections-per-address",
        "authorization" => "Authorization",
        "authorization_without_freshness" => "Authorization without a lifetime",
        "cookie_without_freshness" => "Cookie without a lifetime",
        "key_without_freshness" => "key without a lifetime",
        "set_cookie" => "Set-Cookie",
        "vary_by_client" => "Vary by address",
        "status_without_freshness" => "status without a lifetime",
        _ => "",
    };
    if !short.is_empty() {
        return short.to_owned();
    }
    match Reason::ALL.iter().find(|reason| reason.name() == name) {
        Some(reason) => reason.as_str().trim_start_matches("the ").to_owned(),
        // of another version
        None => name.replace('_', " "),
    }
}

fn show_requests(count: u64) -> String {
    format!("{} request{}", show_count(count), if count == 1 { "" } else { "s" })
}

fn in_lines(rows: &[Row], style: Style) -> Vec<String> {
    let numbers: Vec<Option<String>> = rows.iter().map(|row| row.number.map(show_count)).collect();
    let width = numbers.iter().flatten().map(String::len).max().unwrap_or(0);
    let line = |(row, number): (&Row, &Option<String>)| {
        let Row { name, colour, text, .. } = row;
        let line = match (number, style.columns) {
            (Some(number), true) => {
                format!("  {name:<12} {}   {text}", style.paint(*colour, format_args!("{number:>width$}")))
            }
            (None, true) => format!("  {name:<12} {}", style.paint(*colour, text)),
            (Some(number), false) if text.is_empty() => format!("{name}: {number}"),
            (Some(number), false) => format!("{name}: {number} ({text})"),
            (None, false) => format!("{name}: {text}"),
        };
        line.trim_end().to_owned()
    };
    rows.iter().zip(&numbers).map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A busy Larder, with figures as the socket gives them.
    fn busy() -> Value {
        let answers = |requests: u64, bytes: u64, reasons: &[(&str, u64)]| {
            let reasons = reasons.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            Answers { requests, bytes, reasons }
        };
        let rest = [("authorization", 12), ("private", 6), ("unsafe_method", 3), ("too_large", 1)];
        let figures = Figures {
            listening: "http://127.0.0.1:3000".to_owned(),
            origin: "http://dummyjson.com".to_owned(),
            running_seconds: 11_520,
            hit_time: Times { count: 1038, median_ms: Some(0.1), p95_ms: Some(0.14) },
            origin_time: Times { count: 166, median_ms: Some(231.0), p95_ms: Some(1900.0) },
            answers: [
                ("fresh", answers(1020, 38_000_000, &[("fresh", 1020)])),
                ("validated", answers(61, 190_000, &[("validated", 61)])),
                ("stale", answers(18, 1_000, &[("stale_if_error", 18)])),
                ("miss", answers(83, 5_010_000, &[("not_stored", 48), ("vary_miss", 13), ("stale", 22)])),
                ("not_cached", answers(22, 0, &rest)),
                ("error", answers(2, 300, &[("connection_refused", 2)])),
            ]
            .map(|(kind, answers)| (kind.to_owned(), answers))
            .into(),
            ..Figures::default()
        };
        let mut stats = json!({
            "state": "open", "responses": 204, "bytes": 1, "disk_used": 31 << 20, "disk_limit": 10_u64 << 30,
            "effective_disk_limit": 10_u64 << 30, "memory_used": 12 << 20, "memory_limit": 256 << 20,
        });
        let Value::Object(figures) = serde_json::to_value(figures.derive(1038)).unwrap() else { unreachable!() };
        stats.as_object_mut().unwrap().extend(figures);
        stats
    }

    const FOLDER: &str = "/home/me/.cache/larder/dummyjson.com-80-5e18667f";
    const COLUMNS: Style = Style { columns: true, colours: false };

    #[test]
    fn the_readme_shows_what_a_terminal_shows() {
        // the numbers that the Larder of the README gave with --json
        let numbers: Value = serde_json::from_str(include_str!("../../tests/golden/stats.json")).unwrap();
        let (folder, stats) = numbers.as_object().unwrap().iter().next().unwrap();
        let lines = show(Path::new(folder), stats, COLUMNS);
        let indented: Vec<String> = lines.iter().map(|line| format!("    {line}").trim_end().to_owned()).collect();
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&indented.join("\n")), "README.md shows something else:\n{}", lines.join("\n"));
    }

    #[test]
    fn a_pipe_gets_names_and_no_columns() {
        let lines = show(Path::new(FOLDER), &busy(), Style::PLAIN);
        assert_eq!(lines[1], "Hit ratio: 91.3 % of 1,204 requests, 88.4 % of 41.2 MiB");
        assert_eq!(lines[4], "Hits: 1,099 (fresh 1,020, validated 61, stale 18)");
        assert!(lines.iter().all(|line| !line.is_empty() && !line.starts_with(' ')), "{lines:#?}");
    }

    #[test]
    fn what_is_wrong_with_the_cache_is_said() {
        let mut stats = busy();
        stats["state"] = json!({ "down": "Permission denied" });
        (stats["damaged"], stats["errors"]) = (3.into(), 1_000.into());
        let lines = show(Path::new("/c"), &stats, Style::PLAIN);
        let down = "Disk: not in use (Permission denied); the cache works in memory alone, 204 stored responses";
        assert!(lines.contains(&down.to_owned()), "{lines:#?}");
        assert!(lines.contains(&"Trouble: errors of the disk 1,000, damaged 3".to_owned()), "{lines:#?}");
        (stats["state"], stats["effective_disk_limit"]) = ("open".into(), json!(20 << 20));
        let lines = show(Path::new("/c"), &stats, Style::PLAIN);
        assert!(lines.iter().any(|line| line.starts_with("Disk: 31 MiB of 20 MiB (the disk has room for no more)")));
    }

    #[test]
    fn what_was_refused_is_told_by_reason() {
        let mut stats = busy();
        let reasons = json!({ "refused": 5, "host_not_served": 3, "web_socket_refused": 1 });
        stats["answers"]["refused"] = json!({ "requests": 9, "bytes": 900, "reasons": reasons });
        stats["turned_away"] = 2.into();
        let lines = show(Path::new("/c"), &stats, Style::PLAIN);
        let line = "Refused: 9 (Host not allowed 3, not valid HTTP 3, WebSocket refused 1, over a connection limit 2)";
        assert!(lines.contains(&line.to_owned()), "{lines:#?}");
    }

    #[test]
    fn many_reasons_are_cut_to_the_largest_and_those_of_another_version_are_shown() {
        let reasons = (0..9).map(|n| (format!("new_reason_{n}"), 10 + n)).collect();
        let shown = listed(largest(&reasons));
        assert!(shown.starts_with("new reason 8 18, new reason 7 17, "), "{shown}");
        assert!(shown.ends_with(", others 46"), "{shown}");
    }
}
