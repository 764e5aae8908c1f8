//! What the rules of a site make of one request: the policy's options, the key, the changes of its answer.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use super::keying::Keying;
use crate::{
    message::{Fields, Request, ResponseHead},
    policy::{self, Ignored, Reason, Steering},
    rules::{Asked, Edits, Ignore, Matched, Merged, Rules, Setting},
};

/// The most sets of rules whose result is remembered. A site's requests match few different sets.
const SETS: usize = 256;

/// The rules of a site, with what each set of them makes. Each worker has its own.
pub struct Book {
    rules: Arc<Rules>,
    /// The options where no rule applies.
    base: Arc<policy::Options>,
    sets: RefCell<HashMap<Matched, Rc<Effective>>>,
    none: Rc<Effective>,
}

/// What the rules that apply set together.
pub struct Effective {
    pub policy: Arc<policy::Options>,
    pub key: Keying,
    merged: Merged,
}

/// The rules that apply to one request. Cheap to clone.
#[derive(Clone)]
pub struct Steered {
    book: Rc<Book>,
    matched: Rc<Matched>,
    request: Rc<Effective>,
}

impl Book {
    pub fn new(rules: Arc<Rules>, base: Arc<policy::Options>) -> Rc<Book> {
        let none = Rc::new(Effective::new(Merged::default(), &base));
        Rc::new(Book { rules, base, sets: RefCell::default(), none })
    }

    /// Returns the options where no rule applies.
    pub fn base(&self) -> &Arc<policy::Options> {
        &self.base
    }

    /// Returns what the rules make of a request. `request` has its target as the client sent it.
    pub fn steered(self: &Rc<Book>, request: &Request) -> Steered {
        let asked =
            Asked { method: &request.method, path_and_query: &request.target.path_and_query, fields: &request.fields };
        self.asked(asked)
    }

    /// The same for another URL than the one that was asked for.
    pub fn asked(self: &Rc<Book>, asked: Asked<'_>) -> Steered {
        if self.rules.is_empty() {
            return Steered { book: self.clone(), matched: Rc::default(), request: self.none.clone() };
        }
        let matched = self.rules.asked(asked);
        let without_answer = self.rules.unanswered(&matched);
        let request = self.effective(without_answer);
        Steered { book: self.clone(), matched: Rc::new(matched), request }
    }

    fn effective(&self, matched: Matched) -> Rc<Effective> {
        if let Some(known) = self.sets.borrow().get(&matched) {
            return known.clone();
        }
        let effective = Rc::new(Effective::new(self.rules.merged(&matched), &self.base));
        let mut sets = self.sets.borrow_mut();
        if sets.len() >= SETS {
            sets.clear();
        }
        sets.insert(matched, effective.clone());
        effective
    }
}

impl Steered {
    /// Returns what the rules set before there is an answer.
    pub fn request(&self) -> &Effective {
        &self.request
    }

    /// Returns what the rules set for this answer.
    pub fn answer(&self, answer: &ResponseHead) -> Rc<Effective> {
        if self.book.rules.is_decided(&self.matched, answer) {
            return self.request.clone();
        }
        self.book.effective(self.book.rules.answered(&self.matched, answer))
    }
}

impl Effective {
    fn new(merged: Merged, base: &Arc<policy::Options>) -> Effective {
        let policy = match merged == Merged::default() {
            true => base.clone(),
            false => Arc::new(options(&merged, base)),
        };
        Effective { policy, key: Keying::new(&merged.set), merged }
    }

    /// The content of a POST is part of its key.
    pub fn keys_content(&self) -> bool {
        self.merged.keys_content
    }

    pub fn changes_answers(&self) -> bool {
        !self.merged.edits.is_empty()
    }

    /// Changes the fields of an answer.
    pub fn change(&self, fields: &mut Fields) {
        for Edits { remove, set, add } in &self.merged.edits {
            remove.iter().for_each(|name| fields.remove(name));
            set.iter().for_each(|(name, value)| fields.set(name.clone(), value.clone()));
            add.iter().for_each(|(name, value)| fields.append(name.clone(), value.clone()));
        }
    }

    /// Returns the rule that a reason comes from, in the words of the file: `rule 3 of larder.toml: ttl = "10m"`.
    pub fn words(&self, reason: Reason) -> Option<String> {
        self.merged.says(setting(reason)?)
    }

    /// Returns the rule that took away an obstacle to storing.
    pub fn ignores(&self) -> Option<String> {
        self.merged.says(Setting::Ignore)
    }
}

/// Returns the setting that a reason comes from.
fn setting(reason: Reason) -> Option<Setting> {
    Some(match reason {
        Reason::BypassByRule => Setting::Bypass,
        Reason::NoStoreByRule => Setting::NoStore,
        Reason::TtlByRule => Setting::Ttl,
        Reason::MinTtlByRule => Setting::MinTtl,
        Reason::MaxTtlByRule => Setting::MaxTtl,
        Reason::DefaultTtl => Setting::DefaultTtl,
        Reason::NegativeTtl => Setting::NegativeTtl,
        Reason::RefreshedByRule => Setting::StaleWhileRevalidate,
        Reason::StaleByDefault => Setting::StaleIfError,
        _ => return None,
    })
}

/// Returns the options of a site with what the rules set.
fn options(merged: &Merged, base: &policy::Options) -> policy::Options {
    let set = &merged.set;
    let ignores = |obstacle| set.ignore.as_ref().is_some_and(|ignored| ignored.contains(&obstacle));
    policy::Options {
        default_ttl: set.default_ttl.unwrap_or(base.default_ttl),
        negative_ttl: set.negative_ttl.unwrap_or(base.negative_ttl),
        stale_if_error: set.stale_if_error.unwrap_or(base.stale_if_error),
        steering: Steering {
            bypass: set.bypass == Some(true),
            no_store: set.no_store == Some(true),
            ttl: set.ttl,
            min_ttl: set.min_ttl,
            max_ttl: set.max_ttl,
            stale_while_revalidate: set.stale_while_revalidate,
            force_stale: set.force_stale == Some(true),
            ignored: Ignored {
                no_store: ignores(Ignore::NoStore),
                private: ignores(Ignore::Private),
                no_cache: ignores(Ignore::NoCache),
                set_cookie: ignores(Ignore::SetCookie),
                authorization: ignores(Ignore::Authorization),
                vary: ignores(Ignore::Vary),
            },
            key_headers: set.key_headers.clone().unwrap_or_default(),
            keys_cookies: set.key_cookies.is_some(),
            tags: set.tags.clone().unwrap_or_default(),
            tag_header: set.tag_header.clone(),
        },
        ..base.clone()
    }
}
