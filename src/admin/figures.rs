//! The figures of a running Larder: what became of requests since the start, under names for programs.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The figures that `larder stats --json` shows beside those of the store. Missing ones are read as zero, so that the
/// figures of another version can be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Where Larder listens: `http://127.0.0.1:3000`.
    pub listening: String,
    pub origin: String,
    pub running_seconds: u64,
    /// The wall clock when counting began, in milliseconds since 1970. `None`: at the start of this process.
    pub counted_since: Option<i64>,
    /// The time whose answers were counted, if a time was asked for.
    pub window: Option<Window>,
    /// The number of requests that were begun and have not ended.
    pub under_way: u64,
    /// The part of `answers` that came from the cache, validated ones included. Errors, refusals and clients that left do
    /// not count. `None`: there was no such answer.
    pub hit_ratio: Option<f64>,
    /// The same of the bytes of their bodies.
    pub byte_hit_ratio: Option<f64>,
    pub saved: Saved,
    /// From the head of a request to the head of its answer, where that came from the cache without asking the origin.
    pub hit_time: Times,
    /// From a request to the origin to the head of its answer.
    pub origin_time: Times,
    /// By kind: fresh, validated, stale, miss, collapsed, not_cached, refused, error, left, lost.
    pub answers: BTreeMap<String, Answers>,
}

/// The last time, whose answers were counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// The time that was asked for.
    pub asked_seconds: u64,
    /// The time that was counted: up to a minute more, or less, if Larder has run for less.
    pub seconds: u64,
}

/// What the origin was spared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The number of requests that were answered without asking the origin, or together with another request.
    pub requests: u64,
    /// The bytes of bodies that did not come from the origin.
    pub bytes: u64,
    /// The time that clients did not wait for the origin: its median for each request that was answered without it.
    pub seconds: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    pub count: u64,
    pub median_ms: Option<f64>,
    pub p95_ms: Option<f64>,
}

/// The answers of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    pub requests: u64,
    /// The bytes of their bodies.
    pub bytes: u64,
    /// The number of requests by the name of their reason.
    pub reasons: BTreeMap<String, u64>,
}

impl Times {
    pub fn new(count: u64, median: Option<Duration>, p95: Option<Duration>) -> Times {
        let ms = |time: Duration| time.as_micros() as f64 / 1e3;
        Times { count, median_ms: median.map(ms), p95_ms: p95.map(ms) }
    }
}

impl Figures {
    /// Adds what follows from the answers. `unasked`: how many were given without asking the origin.
    pub fn derive(mut self, unasked: u64) -> Figures {
        let hits = self.sum(&["fresh", "validated", "stale"]);
        let all = self.sum(&["fresh", "validated", "stale", "miss", "collapsed", "not_cached"]);
        let shared = self.sum(&["collapsed"]);
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| (part as f64 / whole as f64 * 1e4).round() / 1e4);
        self.hit_ratio = ratio(hits.requests, all.requests);
        self.byte_hit_ratio = ratio(hits.bytes, all.bytes);
        let seconds = unasked as f64 * self.origin_time.median_ms.unwrap_or(0.0) / 1e3;
        self.saved = Saved {
            requests: unasked + shared.requests,
            bytes: hits.bytes + shared.bytes,
            seconds: (seconds * 1e3).round() / 1e3,
        };
        self
    }

    /// Adds up the answers of these kinds.
    pub fn sum(&self, kinds: &[&str]) -> Answers {
        let mut sum = Answers::default();
        kinds.iter().filter_map(|kind| self.answers.get(*kind)).for_each(|answers| sum.add(answers));
        sum
    }
}

impl Answers {
    pub fn add(&mut self, other: &Answers) {
        // a file may claim any number
        self.requests = self.requests.saturating_add(other.requests);
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (name, count) in &other.reasons {
            let sum = self.reasons.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Takes away what was counted earlier. Reasons that have not occurred since go.
    pub fn subtract(&mut self, earlier: &Answers) {
        self.requests = self.requests.saturating_sub(earlier.requests);
        self.bytes = self.bytes.saturating_sub(earlier.bytes);
        for (name, count) in &mut self.reasons {
            *count = count.saturating_sub(earlier.reasons.get(name).copied().unwrap_or(0));
        }
        self.reasons.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(answers: &[(&str, u64, u64)]) -> Figures {
        let one = |(kind, requests, bytes): &(&str, u64, u64)| {
            ((*kind).to_owned(), Answers { requests: *requests, bytes: *bytes, ..Answers::default() })
        };
        let origin_time = Times { median_ms: Some(250.0), ..Times::default() };
        Figures { answers: answers.iter().map(one).collect(), origin_time, ..Figures::default() }
    }

    #[test]
    fn errors_refusals_and_clients_that_left_are_no_part_of_the_hit_ratio() {
        let others = [("refused", 7, 700), ("error", 5, 500), ("left", 3, 0), ("lost", 1, 0)];
        assert_eq!(figures(&others).derive(0).hit_ratio, None);
        let some = [("fresh", 5, 50), ("validated", 2, 20), ("stale", 1, 10), ("miss", 1, 10), ("not_cached", 1, 10)];
        let figures = figures(&[&some[..], &others].concat()).derive(6);
        assert_eq!((figures.hit_ratio, figures.byte_hit_ratio), (Some(0.8), Some(0.8)));
        assert_eq!(figures.saved, Saved { requests: 6, bytes: 80, seconds: 1.5 });
    }

    #[test]
    fn who_waited_for_another_request_is_no_hit_and_asked_for_nothing() {
        let figures = figures(&[("miss", 1, 10), ("collapsed", 3, 30)]).derive(0);
        assert_eq!((figures.hit_ratio, figures.saved.requests, figures.saved.bytes), (Some(0.0), 3, 30));
    }

    #[test]
    fn the_page_of_statistics_explains_every_number_and_every_kind() {
        let numbers: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/stats.json")).unwrap();
        let stats = numbers.as_object().unwrap().values().next().unwrap();
        let page = include_str!("../../docs/stats.md");
        let cells = page.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` |")?.0));
        let mut explained: Vec<&str> = cells.flat_map(|cell| cell.split("`, `")).collect();
        let mut there: Vec<&str> = stats.as_object().unwrap().keys().map(String::as_str).collect();
        explained.sort();
        there.sort();
        assert_eq!(explained, there);
        for kind in stats["answers"].as_object().unwrap().keys() {
            assert!(page.contains(&format!("`{kind}`")), "docs/stats.md: {kind}");
        }
    }

    #[test]
    fn figures_of_another_version_are_read_as_far_as_they_go() {
        let read: Figures = serde_json::from_str(r#"{"listening":"x","answers":{"fresh":{}},"new":1}"#).unwrap();
        assert_eq!((read.listening.as_str(), read.answers["fresh"].requests), ("x", 0));
    }
}
