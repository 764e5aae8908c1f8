//! Which rules a request and its answer match.

use std::sync::Arc;

use http::header::CONTENT_TYPE;

use super::{
    compile::{Compiled, Fault, MOST_EXPRESSIONS, MOST_RULES, compile},
    matched::{How, Matched},
    merged::Merged,
    path::Path,
    pattern::Paths,
    query::{Parameter, parameters},
    settings::Setting,
    spec::RuleSpec,
};
use crate::{
    clock::Seconds,
    message::{Fields, Method, ResponseHead},
};

/// The bit of a pattern that matches if upper and lower case are the same. Some servers take `/Admin` for `/admin`.
const IN_ANY_CASE: u16 = 1 << 15;

/// The rules of a site, in order.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    specs: Vec<RuleSpec>,
    compiled: Vec<Compiled>,
    paths: Paths,
    defaults: Arc<[(Setting, String)]>,
}

/// What rules look at in a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a Method,
    /// As the client sent it.
    pub path_and_query: &'a str,
    pub fields: &'a Fields,
}

impl Rules {
    /// Checks the rules. The error lists every fault, in the order of the rules.
    pub fn new(specs: Vec<RuleSpec>) -> Result<Rules, Vec<Fault>> {
        let (mut faults, mut globs, mut compiled) = (Vec::new(), Vec::new(), Vec::new());
        for (rule, spec) in specs.iter().enumerate() {
            let fault = &mut |word, problem| faults.push(Fault { rule, word, problem });
            if rule == MOST_RULES {
                fault("", format!("there are {} rules; expected at most {MOST_RULES}", specs.len()));
                break;
            }
            compiled.push(compile(spec, &mut |glob| globs.push((rule, glob)), fault));
        }
        let mut expressions = 0;
        for (rule, compiled) in compiled.iter().enumerate() {
            let before = expressions;
            expressions += compiled.path_regex.len();
            if before <= MOST_EXPRESSIONS && expressions > MOST_EXPRESSIONS {
                let problem = format!(
                    "there are more than {MOST_EXPRESSIONS} regular expressions in the rules of a site; expected paths with \
                     wildcards instead, for example \"/v*/**\""
                );
                faults.push(Fault { rule, word: "path-regex", problem });
            }
        }
        let paths = Paths::new(globs).unwrap_or_else(|problem| {
            faults.push(Fault { rule: 0, word: "path", problem });
            Paths::default()
        });
        match faults.is_empty() {
            true => Ok(Rules { specs, compiled, paths, defaults: Arc::default() }),
            false => Err(faults),
        }
    }

    /// The same rules, with who sets what where none of them does: `larder.toml:3: default-ttl = "1h"`.
    pub fn with_defaults(self, defaults: Vec<(Setting, String)>) -> Rules {
        Rules { defaults: defaults.into(), ..self }
    }

    /// See [`Rules::with_defaults`].
    pub fn defaults(&self) -> &Arc<[(Setting, String)]> {
        &self.defaults
    }

    pub fn specs(&self) -> &[RuleSpec] {
        &self.specs
    }

    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// Returns the longest time for which a rule may let a response be used.
    pub fn longest(&self) -> Seconds {
        let times = self.specs.iter().flat_map(|spec| {
            let set = &spec.set;
            let lifetimes = [set.ttl, set.min_ttl, set.default_ttl, set.negative_ttl];
            lifetimes.into_iter().chain([set.stale_while_revalidate, set.stale_if_error]).flatten()
        });
        // a lifetime and the time beyond it
        let longest = times.max().unwrap_or_default();
        longest.saturating_add(longest)
    }

    /// Returns the rules whose conditions on the request hold. Those on the answer are not asked yet.
    pub fn asked(&self, asked: Asked<'_>) -> Matched {
        let mut matched = Matched::default();
        if self.is_empty() {
            return matched;
        }
        let path = Path::of(asked.path_and_query);
        let by_path = self.by_path(&path);
        for (rule, (compiled, how)) in self.compiled.iter().zip(by_path).enumerate() {
            let Some(how) = how else { continue };
            if !method_matches(compiled, asked.method) || !header_matches(compiled, asked.fields) {
                continue;
            }
            let how = [Some(how), regex_matches(compiled, &path), query_matches(compiled, asked.path_and_query)];
            if let [Some(path), Some(regex), Some(query)] = how {
                matched.rules.push((rule as u16, path.min(regex).min(query)));
            }
        }
        matched
    }

    /// Returns how each rule's patterns match the path.
    fn by_path(&self, path: &Path<'_>) -> Vec<Option<How>> {
        // a bit for each reading; there are ten at most
        let mut found = vec![0_u16; self.compiled.len()];
        for (bit, reading) in path.readings().iter().enumerate() {
            self.paths.each(reading, |rule| found[rule] |= 1 << bit);
            self.paths.each_in_any_case(reading, |rule| found[rule] |= IN_ANY_CASE);
        }
        let all = (1_u16 << path.readings().len()) - 1;
        let how = |(compiled, found): (&Compiled, u16)| match found {
            _ if !compiled.has_path => Some(How::Wholly),
            0 => None,
            found if found & all == all && path.is_plain => Some(How::Wholly),
            _ => Some(How::Partly),
        };
        self.compiled.iter().zip(found).map(how).collect()
    }

    /// Returns true if other fields of a request to the same URL could make a difference to which rules it matches.
    pub fn look_at_fields(&self) -> bool {
        self.compiled.iter().any(|compiled| !compiled.header.is_empty())
    }

    /// Returns true if the media type of an answer could make a difference.
    pub fn look_at_media_type(&self) -> bool {
        self.compiled.iter().any(|compiled| !compiled.content_type.is_empty())
    }

    /// Returns true if the answer makes no difference to what these rules set.
    pub fn is_decided(&self, matched: &Matched, answer: &ResponseHead) -> bool {
        let looks = |(rule, _): &(u16, How)| self.specs[usize::from(*rule)].when.are_about_answer();
        matched.is_empty() || (has_lifetime(answer) && !matched.rules.iter().any(looks))
    }

    /// Returns which of these rules apply to this answer.
    pub fn answered(&self, matched: &Matched, answer: &ResponseHead) -> Matched {
        let status = answer.status.as_u16();
        let applies = |(rule, _): &&(u16, How)| {
            let Compiled { status: statuses, content_type, .. } = &self.compiled[usize::from(*rule)];
            (statuses.is_empty() || statuses.contains(&status))
                && (content_type.is_empty() || media_type(&answer.fields).is_some_and(|of| content_type.matches(of)))
        };
        Matched {
            rules: matched.rules.iter().filter(applies).copied().collect(),
            without_lifetime: !has_lifetime(answer),
        }
    }

    /// Returns which of these rules do not look at the answer.
    pub fn unanswered(&self, matched: &Matched) -> Matched {
        let applies = |(rule, _): &&(u16, How)| !self.specs[usize::from(*rule)].when.are_about_answer();
        Matched { rules: matched.rules.iter().filter(applies).copied().collect(), without_lifetime: false }
    }

    /// Returns what these rules set together.
    pub fn merged(&self, matched: &Matched) -> Merged {
        Merged::new(&self.specs, matched)
    }
}

/// Returns true if rules without `status` give the answer a lifetime. They give none to errors, nor to redirects that may lead
/// to a signed URL.
fn has_lifetime(answer: &ResponseHead) -> bool {
    matches!(answer.status.as_u16(), 200 | 203 | 204 | 206 | 301 | 308)
}

fn method_matches(compiled: &Compiled, method: &Method) -> bool {
    let listed = |method: &Method| compiled.methods.contains(method);
    compiled.methods.is_empty() || listed(method) || (*method == Method::HEAD && listed(&Method::GET))
}

fn header_matches(compiled: &Compiled, fields: &Fields) -> bool {
    compiled
        .header
        .iter()
        .all(|(name, words)| fields.values(name).any(|value| words.matches(&String::from_utf8_lossy(value.as_bytes()))))
}

fn regex_matches(compiled: &Compiled, path: &Path<'_>) -> Option<How> {
    if compiled.path_regex.is_empty() {
        return Some(How::Wholly);
    }
    let is_match = |form: &str| compiled.path_regex.iter().any(|regex| regex.is_match(form));
    // each reading is looked at once: it may be long
    let (mut any, mut all) = (false, path.is_plain);
    for reading in path.readings() {
        match is_match(reading) {
            true => any = true,
            false => all = false,
        }
        if any && !all {
            break;
        }
    }
    match (any, all) {
        (true, true) => Some(How::Wholly),
        (true, false) => Some(How::Partly),
        (false, _) => None,
    }
}

/// A parameter that is sent several times may mean any of its values. `;` may part parameters or not.
fn query_matches(compiled: &Compiled, path_and_query: &str) -> Option<How> {
    if compiled.query.is_empty() {
        return Some(How::Wholly);
    }
    let at_ampersands = query_read(compiled, || parameters(path_and_query));
    if !path_and_query.contains(';') {
        return at_ampersands;
    }
    let at_both = query_read(compiled, || parameters(path_and_query).flat_map(|parameter| parameter.at_semicolons()));
    match (at_ampersands, at_both) {
        (None, None) => None,
        (Some(How::Wholly), Some(How::Wholly)) => Some(How::Wholly),
        _ => Some(How::Partly),
    }
}

/// Returns how a query matches, with its parameters read in one way.
fn query_read<'a, P: Iterator<Item = Parameter<'a>>>(compiled: &Compiled, parameters: impl Fn() -> P) -> Option<How> {
    let mut whole = How::Wholly;
    for (name, words) in &compiled.query {
        let of_name = |parameter: &Parameter<'_>| parameter.name == *name || parameter.raw_name == name;
        let (mut any, mut all) = (false, true);
        for parameter in parameters().filter(of_name) {
            let (raw, decoded) = (words.matches(parameter.raw_value), words.matches(&parameter.value));
            any |= raw || decoded;
            all &= decoded && parameter.name == *name;
        }
        match (any, all) {
            (false, _) => return None,
            (true, false) => whole = How::Partly,
            (true, true) => {}
        }
    }
    Some(whole)
}

/// Returns the media type of an answer, without its parameters.
pub fn media_type(fields: &Fields) -> Option<&str> {
    let value = fields.only(&CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim)
}
