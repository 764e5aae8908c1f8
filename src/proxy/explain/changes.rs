//! Finds a rule with which the answer would be stored, or found. Each rule that is offered was tried by the same decisions.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};

use super::{
    dry::{DryRun, Ending},
    steps::{bare, times_now},
};
use crate::{
    clock::Seconds,
    explanation::Change,
    fields::credentials::is_in_field,
    message::{FieldName, Fields, Method, Request, ResponseHead},
    policy::{Reason, Times, storing},
    proxy::{admission::is_taken_for_query, question::Content, steered::Book},
    rules::{self, Conditions, Ignore, RuleSpec, Rules, Settings},
};

/// The lifetime that is offered.
const TTL: Seconds = Seconds(60);

/// The most obstacles that one rule takes away.
const MOST: usize = 8;

/// What must be true where a rule ignores that an answer is for one client.
const SAME_FOR_ALL: &str = "it is the same for everybody";

/// What must be true where a rule has the answers to POST cached.
const CHANGES_NOTHING: &str = "it changes nothing at the origin";

/// A rule that is tried.
#[derive(Default)]
struct Offer {
    set: Settings,
    status: Option<u16>,
    /// The answer to a POST is stored, with its content in the key.
    posts: bool,
    /// It ignores that the origin has made the answer for one client.
    ignores_client: bool,
    /// The fields and cookies for each of whose values a response would be stored.
    each: Vec<String>,
}

/// Returns the changes with which the answer would be stored, or found.
pub fn changes(run: &DryRun, objections: &[Reason]) -> Vec<Change> {
    if let Some(first) = objections.first() {
        return to_store(run, *first).into_iter().collect();
    }
    let set = match run.noes.first() {
        Some(Reason::VaryMiss) => Settings { ignore: Some(vec![Ignore::Vary]), ..Settings::default() },
        Some(Reason::Stale) => Settings { ttl: Some(TTL), ..Settings::default() },
        Some(Reason::NoCache | Reason::CdnNoCache | Reason::SurrogateNoCache) => {
            Settings { ignore: Some(vec![Ignore::NoCache]), ..Settings::default() }
        }
        _ => return Vec::new(),
    };
    let purpose = match run.noes.first() {
        Some(Reason::VaryMiss) => "To use one copy for all",
        Some(Reason::Stale) => "To use it for longer",
        _ => "To use it without asking the origin",
    };
    if run.asked.policy().strict && set.ttl.is_some() {
        return Vec::new();
    }
    let ignores_client = set.ignore.as_ref().is_some_and(|ignored| ignored.contains(&Ignore::Vary));
    let offer = Offer { set, ignores_client, ..Offer::default() };
    change(run, purpose.to_owned(), &offer).into_iter().collect()
}

/// Finds a rule with which the answer would be stored. `first` stands in the way now.
fn to_store(run: &DryRun, first: Reason) -> Option<Change> {
    let mut offer = Offer::default();
    let effective = run.asked.steered.answer(&answer(run).0);
    let set = effective.settings();
    // a list replaces the one before
    (offer.set.ignore, offer.set.key_headers) = (set.ignore.clone(), set.key_headers.clone());
    let mut reason = first;
    for _ in 0..MOST {
        if !offer.take_away(reason, run) {
            return None;
        }
        match tried(run, &offer)?.first() {
            Some(next) => reason = *next,
            None => {
                let purpose = match offer.each.as_slice() {
                    [] => "To cache it".to_owned(),
                    each => format!("To cache it for each {}", each.join(" and ")),
                };
                return change(run, purpose, &offer);
            }
        }
    }
    None
}

impl Offer {
    /// Adds what takes an obstacle away. Returns false if no rule does, or if the offer has it already.
    fn take_away(&mut self, reason: Reason, run: &DryRun) -> bool {
        use Reason::*;
        match reason {
            NoStore | CdnNoStore | SurrogateNoStore | EdgeNoStore | AccelOff => self.ignores(Ignore::NoStore),
            Private | CdnPrivate | SurrogatePrivate => self.ignores(Ignore::Private),
            NoCache | CdnNoCache | SurrogateNoCache => self.ignores(Ignore::NoCache),
            SetCookie => self.ignores(Ignore::SetCookie),
            VaryStar | VaryByClient | VaryTooLong => self.ignores(Ignore::Vary),
            Authorization | AuthorizationWithoutFreshness => self.keys([AUTHORIZATION]),
            KeyWithoutFreshness => {
                let names = run.asked.request.fields.iter().map(|(name, _)| name);
                self.keys(names.filter(|name| is_in_field(name)).cloned())
            }
            CookieWithoutFreshness => self.keys_cookies(&run.asked.request.fields),
            StatusWithoutFreshness | NeverReusable | Stream | Playlist | PragmaNoCache | LifetimeUsedUp => {
                let is_new = self.set.ttl.replace(TTL).is_none();
                let status = answer(run).0.status;
                self.status = (reason == StatusWithoutFreshness).then_some(status.as_u16());
                is_new && !run.asked.policy().strict
            }
            UnsafeMethod if run.asked.request.method == Method::POST => {
                self.set.ttl = Some(TTL);
                self.each.push("content".to_owned());
                !std::mem::replace(&mut self.posts, true) && !run.asked.policy().strict
            }
            NoStoreByRule => self.set.no_store.replace(false).is_none(),
            BypassByRule => self.set.bypass.replace(false).is_none(),
            _ => false,
        }
    }

    fn ignores(&mut self, obstacle: Ignore) -> bool {
        let ignored = self.set.ignore.get_or_insert_default();
        let is_new = !ignored.contains(&obstacle);
        if is_new {
            ignored.push(obstacle);
            self.ignores_client |= obstacle != Ignore::NoCache;
        }
        is_new
    }

    fn keys(&mut self, names: impl IntoIterator<Item = FieldName>) -> bool {
        let keyed = self.set.key_headers.get_or_insert_default();
        let before = keyed.len();
        for name in names {
            if !keyed.contains(&name) {
                self.each.push(name.to_string());
                keyed.push(name);
            }
        }
        keyed.len() > before
    }

    fn keys_cookies(&mut self, request: &Fields) -> bool {
        let lines = request.values(&COOKIE).filter_map(|line| line.to_str().ok());
        let names = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split('=').next());
        let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        self.each.extend(names.iter().map(|name| format!("cookie {name}")));
        !names.is_empty() && self.set.key_cookies.replace(names).is_none()
    }

    /// Returns the conditions of a rule for this path alone, and below it.
    fn when(&self, path: &str) -> Conditions {
        let path = match path {
            // as a path it would be the whole site
            "/" => Conditions { path_regex: vec!["^/$".to_owned()], ..Conditions::default() },
            path => Conditions { path: vec![path.to_owned()], ..Conditions::default() },
        };
        let methods = if self.posts { vec![Method::POST.to_string()] } else { Vec::new() };
        Conditions { methods, status: self.status.into_iter().collect(), ..path }
    }

    /// Returns the rule as the flag has it.
    fn written(&self, path: &str) -> String {
        let Settings { ttl, ignore, key_headers, key_cookies, bypass, no_store, .. } = &self.set;
        let mut words = match path {
            "/" => vec!["path-regex=^/$".to_owned()],
            path => vec![path.to_owned()],
        };
        words.extend(self.posts.then(|| "methods=POST".to_owned()));
        words.extend(self.status.map(|status| format!("status={status}")));
        words.extend(bypass.map(|bypass| format!("bypass={bypass}")));
        words.extend(no_store.map(|no_store| format!("no-store={no_store}")));
        words.extend(ttl.map(|ttl| format!("ttl={}s", ttl.0)));
        let mut list = |word: &str, names: Vec<&str>| {
            words.extend((!names.is_empty()).then(|| format!("{word}={}", names.join(","))));
        };
        list("ignore", ignore.iter().flatten().map(|ignore| ignore.as_str()).collect());
        list("key-headers", key_headers.iter().flatten().map(FieldName::as_str).collect());
        list("key-cookies", key_cookies.iter().flatten().map(String::as_str).collect());
        format!("--rule '{}'", words.join(" "))
    }
}

/// Returns the answer that a rule is tried with: that of the origin, or that which was stored, or one that says nothing.
fn answer(run: &DryRun) -> (ResponseHead, Times) {
    match (&run.answered, &run.found.stored) {
        (Some(answered), _) => (answered.response.head.clone(), answered.times),
        (None, Some(stored)) if matches!(run.ending, Ending::Asks) => (stored.head.head.clone(), times_now(run)),
        (None, _) => (bare(), times_now(run)),
    }
}

/// Returns what would still stand in the way of storing the answer. `None`: the rule cannot be written.
fn tried(run: &DryRun, offer: &Offer) -> Option<Vec<Reason>> {
    let (book, request) = (&run.asked.site.book, &*run.asked.request);
    let path = path(run)?;
    let mut specs = book.rules().specs().to_vec();
    specs.push(RuleSpec { name: "--rule".into(), when: offer.when(path), set: offer.set.clone() });
    let book = Book::new(Arc::new(Rules::new(specs).ok()?), book.base().clone());
    let asked = rules::Asked { method: &request.method, path_and_query: &run.target, fields: &request.fields };
    let (head, times) = answer(run);
    let steered = book.asked(asked);
    let content = run.body.content_if(true);
    // what is too long for the key is relayed
    let has_key = steered.request().keys_content() && !matches!(content, Content::Stream(_));
    let as_query = has_key && is_taken_for_query(request, &content);
    let request = Request { as_query, ..request.clone() };
    Some(storing::objections(&request, &head, times, &steered.answer(&head).policy))
}

/// Returns the path of the request, if a rule can name it alone.
fn path(run: &DryRun) -> Option<&str> {
    let path = run.target.split('?').next()?;
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~!$&()+:;=@%".contains(&byte));
    is_plain.then_some(path)
}

fn change(run: &DryRun, purpose: String, offer: &Offer) -> Option<Change> {
    let write = offer.written(path(run)?);
    let of_client = offer.ignores_client.then(|| match offer.each.as_slice() {
        [] => SAME_FOR_ALL.to_owned(),
        each => format!("it is the same for all who send the same {}", each.join(" and ")),
    });
    let of_post = offer.posts.then(|| CHANGES_NOTHING.to_owned());
    let conditions: Vec<String> = of_post.into_iter().chain(of_client).collect();
    let only_if = (!conditions.is_empty()).then(|| conditions.join(", and "));
    Some(Change { purpose, write, only_if })
}
