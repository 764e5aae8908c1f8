//! What the rules of a site make of one request: the policy's options, the key, the changes of its answer.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use super::keying::Keying;
use crate::{
    message::{Fields, Method, Request, ResponseHead},
    policy::{self, Ignored, Reason, Steering},
    rules::{Asked, Edits, Ignore, Matched, Merged, Rules, Setting, Settings, media_type},
};

/// The most sets of rules whose result is remembered. A site's requests match few different sets.
const SETS: usize = 256;

/// The most targets for which it is remembered what the rules make of a GET. Asking the rules costs more than all else of a
/// hit.
const TARGETS: usize = 4096;

/// The most answers of a target for which it is remembered.
const ANSWERS: usize = 8;

/// The longest target that is remembered, in bytes.
const LONGEST: usize = 256;

/// The rules of a site, with what each set of them makes. Each worker has its own.
pub struct Book {
    rules: Arc<Rules>,
    /// The options where no rule applies.
    base: Arc<policy::Options>,
    sets: RefCell<HashMap<Matched, Rc<Effective>>>,
    targets: RefCell<HashMap<Box<str>, Rc<Known>>>,
    /// What is remembered of a target holds whatever the fields of the request are.
    remembers: bool,
    looks_at_media_type: bool,
    none: Rc<Known>,
}

/// What the rules make of a request.
struct Known {
    matched: Matched,
    request: Rc<Effective>,
    /// What they make of the answers so far.
    answers: RefCell<Vec<Answered>>,
}

/// What the rules make of an answer.
struct Answered {
    status: u16,
    media_type: Option<Box<str>>,
    effective: Rc<Effective>,
}

/// What the rules that apply set together.
pub struct Effective {
    pub policy: Arc<policy::Options>,
    pub key: Keying,
    merged: Merged,
    /// See [`Rules::with_defaults`].
    defaults: Arc<[(Setting, String)]>,
}

/// The rules that apply to one request. Cheap to clone.
#[derive(Clone)]
pub struct Steered {
    book: Rc<Book>,
    known: Rc<Known>,
}

impl Book {
    pub fn new(rules: Arc<Rules>, base: Arc<policy::Options>) -> Rc<Book> {
        let request = Rc::new(Effective::new(Merged::default(), &base, &rules));
        let none = Rc::new(Known { matched: Matched::default(), request, answers: RefCell::default() });
        let (sets, targets) = (RefCell::default(), RefCell::default());
        let (remembers, looks_at_media_type) = (!rules.look_at_fields(), rules.look_at_media_type());
        Rc::new(Book { rules, base, sets, targets, remembers, looks_at_media_type, none })
    }

    /// Returns the options where no rule applies.
    pub fn base(&self) -> &Arc<policy::Options> {
        &self.base
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns true if a rule is about the key.
    pub fn has_keys(&self) -> bool {
        self.rules.specs().iter().any(|spec| spec.set.change_key())
    }

    /// Returns what the rules make of a request. `request` has its target as the client sent it.
    pub fn steered(self: &Rc<Book>, request: &Request) -> Steered {
        let asked =
            Asked { method: &request.method, path_and_query: &request.target.path_and_query, fields: &request.fields };
        self.asked(asked)
    }

    /// The same for another URL than the one that was asked for.
    pub fn asked(self: &Rc<Book>, asked: Asked<'_>) -> Steered {
        let known = match self.rules.is_empty() {
            true => self.none.clone(),
            false => self.known(asked),
        };
        Steered { book: self.clone(), known }
    }

    fn known(&self, asked: Asked<'_>) -> Rc<Known> {
        let remembers = self.remembers && *asked.method == Method::GET && asked.path_and_query.len() <= LONGEST;
        if remembers && let Some(known) = self.targets.borrow().get(asked.path_and_query) {
            return known.clone();
        }
        let mut matched = self.rules.asked(asked);
        let mut request = self.effective(self.rules.unanswered(&matched));
        let rewritten = request.key.rewritten(asked.path_and_query);
        if rewritten != asked.path_and_query {
            // what is forbidden under the path that the origin gets is forbidden here
            matched = matched.with_part_of(self.rules.asked(Asked { path_and_query: &rewritten, ..asked }));
            request = self.effective(self.rules.unanswered(&matched));
        }
        let known = Rc::new(Known { matched, request, answers: RefCell::default() });
        if remembers {
            let mut targets = self.targets.borrow_mut();
            if targets.len() >= TARGETS {
                targets.clear();
            }
            targets.insert(asked.path_and_query.into(), known.clone());
        }
        known
    }

    fn effective(&self, matched: Matched) -> Rc<Effective> {
        if let Some(known) = self.sets.borrow().get(&matched) {
            return known.clone();
        }
        let effective = Rc::new(Effective::new(self.rules.merged(&matched), &self.base, &self.rules));
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
        &self.known.request
    }

    /// Returns what the rules set for this answer.
    pub fn answer(&self, answer: &ResponseHead) -> Rc<Effective> {
        let (Known { matched, request, answers }, rules) = (&*self.known, &self.book.rules);
        if rules.is_decided(matched, answer) {
            return request.clone();
        }
        let status = answer.status.as_u16();
        let media_type = Some(&answer.fields).filter(|_| self.book.looks_at_media_type).and_then(media_type);
        let is_same = |known: &&Answered| known.status == status && known.media_type.as_deref() == media_type;
        if let Some(known) = answers.borrow().iter().find(is_same) {
            return known.effective.clone();
        }
        let effective = self.book.effective(rules.answered(matched, answer));
        let mut answers = answers.borrow_mut();
        if answers.len() >= ANSWERS {
            answers.clear();
        }
        answers.push(Answered { status, media_type: media_type.map(Box::from), effective: effective.clone() });
        effective
    }
}

impl Effective {
    fn new(merged: Merged, base: &Arc<policy::Options>, rules: &Rules) -> Effective {
        let policy = match merged == Merged::default() {
            true => base.clone(),
            false => Arc::new(options(&merged, base)),
        };
        Effective { policy, key: Keying::new(&merged.set), merged, defaults: rules.defaults().clone() }
    }

    /// The content of a POST is part of its key.
    pub fn keys_content(&self) -> bool {
        self.merged.keys_content
    }

    /// The longest body that a rule lets be stored.
    pub fn max_object(&self) -> Option<u64> {
        self.merged.set.max_object
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

    /// Returns the rule that a reason comes from, in the words of the file: `rule 3 of larder.toml: ttl = "10m"`. For a
    /// default that the file sets it is the line: `larder.toml:3: default-ttl = "1h"`.
    pub fn words(&self, reason: Reason) -> Option<String> {
        let setting = setting(reason)?;
        let default = || self.defaults.iter().find(|(of, _)| *of == setting).map(|(_, words)| words.clone());
        self.merged.says(setting).or_else(default)
    }

    /// Returns each rule that applies with what it sets: `--rule: ttl = "10m", ignore-query = ["utm_*"]`.
    pub fn applied(&self) -> Vec<String> {
        self.merged.each()
    }

    /// Returns what the rules set together.
    pub fn settings(&self) -> &Settings {
        &self.merged.set
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
        Reason::TooLarge => Setting::MaxObject,
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
            forward_tags: set.forward_tags == Some(true),
        },
        keys_host: base.keys_host && set.ignore_host != Some(true),
        ..base.clone()
    }
}
