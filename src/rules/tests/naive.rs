//! Random rules against a matcher that is as simple as it can be.

use super::*;

const LISTS: u64 = 10_000;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    fn some<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        (0..self.below(3)).map(|_| self.of(all)).collect()
    }
}

const PATTERNS: [&str; 9] = ["/", "/a", "/a/", "/a/b", "/*", "/a/*", "/**/*.css", "/a/**", "/?"];
const PATHS: [&str; 18] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/b",
    "/a/b/c",
    "/x.css",
    "/a/x.css",
    "/%61",
    "/b/../a",
    "//a",
    "/a;x",
    "/a%2fb",
    "/a/./b",
    "/b%3f.css",
    "/A",
    "/a/b;y/c",
];

fn random_rule(rng: &mut Rng, nth: usize) -> RuleSpec {
    let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let when = Conditions {
        path: owned(rng.some(&PATTERNS)),
        methods: owned(rng.some(&["GET", "POST"])),
        header: rng.some(&["de", "en*"]).into_iter().map(|value| (accept(), vec![value.to_owned()])).collect(),
        query: rng.some(&["1", "2*"]).into_iter().map(|value| ("q".to_owned(), vec![value.to_owned()])).collect(),
        status: rng.some(&[200, 404]),
        ..Conditions::default()
    };
    let about_answer = when.are_about_answer();
    let set = Settings {
        ttl: (rng.below(2) == 0).then_some(Seconds(nth as u64)),
        no_store: (rng.below(3) == 0).then(|| rng.below(2) == 0),
        bypass: (!about_answer && rng.below(3) == 0).then(|| rng.below(2) == 0),
        stale_if_error: Some(Seconds(nth as u64)),
        ..Settings::default()
    };
    rule(nth, when, set)
}

fn accept() -> FieldName {
    FieldName::from_static("accept-language")
}

/// Matches a pattern with `*`, `**`, and `?` by trying everything.
fn fits(pattern: &str, text: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("/**/") {
        return text.char_indices().filter(|(_, c)| *c == '/').any(|(at, _)| fits(rest, &text[at + 1..]));
    }
    if pattern == "/**" {
        return text.starts_with('/');
    }
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let end = text.find('/').unwrap_or(text.len());
            (0..=end).any(|taken| fits(&pattern[1..], &text[taken..]))
        }
        (Some('?'), Some(c)) => c != '/' && fits(&pattern[1..], &text[1..]),
        (Some(one), Some(other)) => one == other && fits(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fn path_fits(pattern: &str, path: &str) -> bool {
    if pattern.contains(['*', '?']) {
        return fits(pattern, path);
    }
    path == pattern || path.starts_with(&format!("{}/", pattern.trim_end_matches('/')))
}

/// The readings of each of [`PATHS`] but the first, by hand; and whether it is plain.
fn readings(path: &str) -> (Vec<&str>, bool) {
    match path {
        "/%61" => (vec![path, "/a"], true),
        "//a" => (vec![path, "/a"], true),
        "/b/../a" => (vec![path, "/a"], false),
        "/a/./b" => (vec![path, "/a/b"], false),
        "/a;x" => (vec![path, "/a"], true),
        "/a/b;y/c" => (vec![path, "/a/b/c"], true),
        "/a%2fb" => (vec![path, "/a%2Fb", "/a/b"], false),
        "/b%3f.css" => (vec![path, "/b%3F.css", "/b"], true),
        path => (vec![path], true),
    }
}

/// Returns whether one reading matches, and whether all do.
fn naive(spec: &RuleSpec, method: &Method, path: &str, query: &[&str], language: Option<&str>) -> (bool, bool) {
    let Conditions { path: patterns, methods, header, query: parameters, .. } = &spec.when;
    let (readings, is_plain) = readings(path);
    let is = |reading: &&str| patterns.iter().any(|pattern| path_fits(pattern, reading));
    let is_in_any_case = |reading: &&str| is(&&*reading.to_ascii_lowercase());
    let by_path = match patterns.is_empty() {
        true => (true, true),
        false => (readings.iter().any(is_in_any_case), readings.iter().all(is) && is_plain),
    };
    let of_word = |word: &str, value: &str| match word.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => word == value,
    };
    let by_method = methods.is_empty() || methods.iter().any(|listed| listed == method.as_str());
    let by_header =
        header.iter().all(|(_, words)| language.is_some_and(|value| words.iter().any(|word| of_word(word, value))));
    let one = parameters.iter().all(|(_, words)| query.iter().any(|value| of_word(&words[0], value)));
    let all = parameters.iter().all(|(_, words)| query.iter().all(|value| of_word(&words[0], value)));
    let rest = by_method && by_header && one;
    (rest && by_path.0, rest && all && by_path.1)
}

fn naive_settings(
    specs: &[RuleSpec],
    (method, path, query, language): (&Method, &str, &[&str], Option<&str>),
    status: Option<u16>,
) -> Settings {
    let mut set = Settings::default();
    for spec in specs {
        let RuleSpec { when, set: sets, .. } = spec;
        let (one, all) = naive(spec, method, path, query, language);
        let of_status = when.status.is_empty() || status.is_some_and(|status| when.status.contains(&status));
        if !one || !of_status {
            continue;
        }
        let gives = !when.status.is_empty() || matches!(status, None | Some(200));
        if all && gives && sets.ttl.is_some() {
            set.ttl = sets.ttl;
        }
        if all {
            set.stale_if_error = sets.stale_if_error;
        }
        for (into, from) in [(&mut set.bypass, sets.bypass), (&mut set.no_store, sets.no_store)] {
            match from {
                Some(true) => *into = Some(true),
                Some(false) if all => *into = Some(false),
                _ => {}
            }
        }
    }
    set
}

#[test]
fn ten_thousand_random_lists_of_rules_set_what_a_naive_matcher_says() {
    let (mut rng, mut applied) = (Rng(1), 0);
    for list in 0..LISTS {
        let specs: Vec<_> = (0..=rng.below(6)).map(|nth| random_rule(&mut rng, nth)).collect();
        let rules = Rules::new(specs.clone()).unwrap();
        for _ in 0..4 {
            let (method, path) = (rng.of(&[Method::GET, Method::POST, Method::PUT]), rng.of(&PATHS));
            let query = rng.some(&["1", "2", "22", "3"]);
            let language = rng.of(&[None, Some("de"), Some("en"), Some("en-GB")]);
            let parameters: Vec<_> = query.iter().map(|value| format!("q={value}")).collect();
            let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", parameters.join("&")) };
            let fields: Fields = language.into_iter().map(|value| (accept(), FieldValue::from_static(value))).collect();
            let asked = Asked { method: &method, path_and_query: &target, fields: &fields };
            let matched = rules.asked(asked);
            let naively = |status| naive_settings(&specs, (&method, path, &query, language), status);
            let told = format!("list {list}: {method} {target} {language:?} {specs:#?}");
            assert_eq!(rules.merged(&rules.unanswered(&matched)).set, naively(None), "{told}");
            for status in [200, 404, 403] {
                let answer = answer(status, "text/html");
                let set = rules.merged(&rules.answered(&matched, &answer)).set;
                assert_eq!(set, naively(Some(status)), "{status} {told}");
                applied += usize::from(set != Settings::default());
            }
        }
    }
    assert!(applied > 10_000, "{applied}");
}
