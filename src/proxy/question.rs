//! A request that is sent to the origin, and the lookup that comes before it.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::header;

use super::{
    collapse::Moment,
    context::Asked,
    fill::FillReader,
    forward::{self, Conditions},
    landing::{Filling, FlightKey},
    putting::gap_key,
    verdict::Tier,
};
use crate::{
    client::Connection,
    clock::Timestamp,
    fields::{
        method::{is_cached_request, is_safe_request},
        range,
    },
    key::CacheKey,
    message::{FieldName, FieldValue, Method, Request},
    origin::{Owner, Upload},
    policy::{
        Reason,
        parts::{self, Extent},
        reuse::{Mode, Reuse, alone, reuse, with_content},
        validation, vary,
    },
    purge::Checked,
    store::{Parts, Slot, StoredResponse, Variant},
};

/// A request's body.
pub enum Content {
    None,
    /// Content that was read for the key (QUERY).
    Read(Bytes),
    /// Content that is part of no key.
    Stream(Upload),
}

/// The result of a lookup for a request.
#[derive(Clone)]
pub struct Found {
    pub stored: Option<Arc<StoredResponse>>,
    /// The place where `stored` was found.
    pub tier: Tier,
    /// True if responses are stored for this URL, but none for this request's nominated fields.
    pub variants: bool,
    /// The key under which the response to this request would be stored, as far as is known. Requests with the same key
    /// share a flight.
    pub key: CacheKey,
    /// Taken before the lookup. A response stored by a flight that ends after this point may be missing from `stored`.
    pub looked: Moment,
}

/// The connection of the client that asks, as the exchange with the origin uses it.
#[derive(Clone, Default)]
pub struct ClientSide {
    /// The connection that interim responses are sent to, if the client takes them.
    pub interim: Option<Connection>,
    /// The owner whose connections to the origin the exchange may use, besides the shared ones.
    pub owner: Option<Rc<Owner>>,
}

/// A question to the origin. It outlives the client that asked it.
pub struct Question {
    pub asked: Asked,
    pub content: Content,
    pub client: ClientSide,
    /// The stored response, if any, that the origin's answer may validate, complete or replace.
    pub stored: Option<Arc<StoredResponse>>,
    /// A response that another request began to store, if this request may use it once the origin has validated it.
    pub begun: Option<(Filling, FillReader)>,
    pub mode: Mode,
    /// The bytes that the origin is asked for, if they complete the stored response ([`Mode::Complete`]).
    pub gap: Option<Extent>,
    pub flight: FlightKey,
    /// See [`Found::looked`].
    pub looked: Moment,
    /// True if the request is safe and has content that is part of no key. Its answer is for this client alone.
    pub is_unkeyed: bool,
}

/// The result of a second lookup.
pub struct Again {
    pub key: CacheKey,
    pub looked: Moment,
    /// The stored response that answers the request.
    pub usable: Option<(Arc<StoredResponse>, Reason)>,
    /// True if `usable` needs no validation in the background.
    pub fresh: bool,
}

/// How the store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// For an answer: it counts as use, and memory keeps what was found.
    Use,
    /// To see what is there. Nothing changes.
    Peek,
}

/// Looks up what is stored for a request that is answered (RFC 9111 §4.1).
pub fn find(asked: &Asked, content: &Content) -> impl Future<Output = Found> {
    look(asked, content, Look::Use)
}

/// Looks up what is stored for a request (RFC 9111 §4.1).
pub async fn look(asked: &Asked, content: &Content, how: Look) -> Found {
    let (cx, request, primary) = (&asked.cx, &*asked.request, asked.primary);
    let looked = cx.shared.flights.now();
    let key = primary.variant(&vary::renominate(&[], request, asked.policy()));
    let mut found = Found { stored: None, tier: Tier::Memory, variants: false, key, looked };
    let looked_up = is_cached_request(request) && !asked.policy().steering.bypass;
    if !looked_up || matches!(content, Content::Stream(_)) {
        return found;
    }
    match look_up(asked, &primary, how).await {
        None => {}
        Some((Slot::Response(stored), tier)) => (found.stored, found.tier) = (Some(stored), tier),
        Some((Slot::Variants(list), _)) => {
            let of_content = || list.iter().filter(|v| vary::is_for_content(&v.nominated, request));
            // many origins send no Vary with their default response, so responses with Vary come first (RFC 9111 §4.1)
            let varying = of_content().filter(|v| vary::varies(&v.nominated));
            let plain = of_content().filter(|v| !vary::varies(&v.nominated));
            let mut variants = varying.chain(plain).peekable();
            let newest = variants.peek().copied();
            found.variants = newest.is_some();
            for variant in variants.filter(|v| vary::matches(&v.nominated, request, asked.policy())) {
                let Some((Slot::Response(stored), tier)) = look_up(asked, &variant.key, how).await else { continue };
                (found.key, found.tier) = (variant.key, tier);
                found.stored = Some(stored.clone());
                if stored.head.part.is_some() {
                    found.key = primary.variant(&stored.head.nominated);
                    found.stored = Some(Box::pin(assembled(asked, stored, &list, how)).await);
                }
                break;
            }
            if let Some(newest) = newest.filter(|_| found.stored.is_none()) {
                found.key = primary.variant(&vary::renominate(&newest.nominated, request, asked.policy()));
            }
        }
    }
    found
}

/// Puts the newest part together with the other stored parts of the same representation, as far as the request needs
/// them.
async fn assembled(asked: &Asked, newest: Arc<StoredResponse>, list: &[Variant], how: Look) -> Arc<StoredResponse> {
    let of_the_same = |variant: &&Variant| variant.part.is_some() && variant.nominated == newest.head.nominated;
    let keys = list.iter().filter(of_the_same).map(|variant| variant.key).collect();
    let needed = parts::needed(&asked.request, &newest.head);
    let is_needed = |variant: &&Variant| variant.part.is_some_and(|part| parts::has_some(part, &needed));
    let mut others = Vec::new();
    for variant in list.iter().filter(of_the_same).filter(is_needed).filter(|variant| variant.key != newest.key) {
        if let Some((Slot::Response(other), _)) = look_up(asked, &variant.key, how).await
            && parts::belong_together(&newest.head, &other.head)
        {
            others.push(other);
        }
    }
    let held: Vec<_> = others.iter().filter_map(|other| other.head.part).collect();
    Arc::new(StoredResponse {
        key: newest.key,
        primary: newest.primary,
        head: parts::assemble(&newest.head, &held),
        body: newest.body.clone(),
        version: newest.version,
        checked: Checked::default(),
        derived: Default::default(),
        hits: newest.hits.clone(),
        parts: Some(Arc::new(Parts { newest, others, keys })),
    })
}

async fn look_up(asked: &Asked, key: &CacheKey, how: Look) -> Option<(Slot, Tier)> {
    let store = &asked.cx.store;
    if how == Look::Peek {
        return Box::pin(store.peek(key)).await.map(|slot| (slot, Tier::Memory));
    }
    match store.recall(key) {
        Some(slot) => Some((slot, Tier::Memory)),
        None => Some((Box::pin(store.lookup(key)).await?, Tier::Disk)),
    }
}

/// Returns the key for flights of range requests. A part is of no use to a request for the whole.
pub fn ranged_key(asked: &Asked) -> CacheKey {
    key_of(asked, b"GET-RANGE")
}

/// Returns the key for flights of HEAD requests that validate a stored response. Their answers are of no use to others.
pub fn head_key(asked: &Asked) -> CacheKey {
    key_of(asked, b"HEAD-BEHIND")
}

/// Returns a key that no request of a client has.
fn key_of(asked: &Asked, kind: &[u8]) -> CacheKey {
    // every token is a valid method, so the default is never used
    asked.key(&Method::from_bytes(kind).unwrap_or_default(), &asked.request.target)
}

/// Decides how a request is answered. `is_bound`: its connection to the origin is authenticated.
#[inline(always)]
pub fn decide<'a>(
    asked: &Asked,
    content: &Content,
    found: &'a Found,
    is_bound: impl FnOnce() -> bool,
    now: Timestamp,
) -> Reuse<&'a StoredResponse> {
    let request = &*asked.request;
    let decision = match content {
        Content::Stream(_) if is_safe_request(request) => with_content(request),
        _ => {
            let stored = found.stored.as_deref();
            reuse(request, stored, found.variants, now, &asked.policy_for(stored.map(|stored| &stored.head)))
        }
    };
    match decision {
        Reuse::Serve(..) => decision,
        _ if is_bound() => alone(decision),
        _ => decision,
    }
}

/// The way in which a request goes to the origin.
pub struct Way {
    pub mode: Mode,
    /// The answers for this key were for one client each a moment ago: the request follows no other one.
    pub alone: bool,
}

/// Decides in which way a request goes to the origin.
pub fn way(asked: &Asked, found: &Found, mode: Mode) -> Way {
    let goes_alone = |key| asked.cx.shared.goes_alone(key, asked.cx.clock.now());
    let fields = &asked.request.fields;
    let alone = goes_alone(&found.key) || (fields.contains(&header::RANGE) && goes_alone(&ranged_key(asked)));
    let is_large = || asked.cx.shared.is_abandoned(&asked.primary, asked.cx.clock.now());
    let mode = match mode {
        // the answer is not shared, so the client's own conditions are sent and may save a whole response
        Mode::Fetch if alone && found.stored.is_none() => Mode::Pass,
        // the client may have the response already; its condition saves a transfer that was given up before
        Mode::Fetch if found.stored.is_none() && fields.contains(&header::IF_NONE_MATCH) && is_large() => Mode::Pass,
        mode => mode,
    };
    Way { mode, alone }
}

impl Question {
    /// `connection` is that of the client that waits for the answer.
    pub fn new(asked: Asked, content: Content, connection: Option<Connection>, found: Found, mode: Mode) -> Question {
        let gap = found.stored.as_ref().filter(|_| mode == Mode::Complete).and_then(|stored| {
            let gaps = parts::gaps(&asked.request, &stored.head, asked.policy());
            gaps.first().map(|gap| (*gap, gap_key(stored, *gap)))
        });
        let flight = FlightKey { primary: asked.primary, variant: gap.map_or(found.key, |(_, key)| key) };
        let owner = connection.as_ref().filter(|_| !asked.request.forwarded).map(Connection::attached);
        let interim = connection.filter(|_| asked.request.version.has_interim());
        let is_unkeyed = matches!(content, Content::Stream(_)) && is_safe_request(&asked.request);
        Question {
            asked,
            content,
            client: ClientSide { interim, owner },
            stored: found.stored,
            begun: None,
            mode,
            gap: gap.map(|(gap, _)| gap),
            flight,
            looked: found.looked,
            is_unkeyed,
        }
    }

    /// Returns which conditions of the client are sent, and the conditions that Larder adds. If there is none to add,
    /// the mode becomes [`Mode::Fetch`]: a whole response is asked for.
    pub fn conditions(&mut self) -> (Conditions, Vec<(FieldName, FieldValue)>) {
        let Question { stored, begun, mode, gap, .. } = self;
        if let Some((begun, _)) = begun {
            return (Conditions::None, validation::conditions(&begun.head));
        }
        let (conditions, added) = match (&*mode, stored) {
            (Mode::Pass, _) => return (Conditions::AsAsked, Vec::new()),
            (Mode::Validate, Some(stored)) => (Conditions::None, validation::conditions(&stored.head)),
            (Mode::Complete, Some(stored)) => {
                let asked_for = gap.map(|gap| parts::conditions(&stored.head, gap));
                (Conditions::None, asked_for.unwrap_or_default())
            }
            _ => (Conditions::RangeOnly, Vec::new()),
        };
        if added.is_empty() {
            *mode = Mode::Fetch;
        }
        (conditions, added)
    }

    /// Returns true if no condition was sent that a 304 could answer. An unsafe method does not count: in some APIs a
    /// 304 to it means that nothing was changed.
    pub fn is_unconditional(&self) -> bool {
        let request = &*self.asked.request;
        is_safe_request(request) && (self.mode != Mode::Pass || !forward::has_conditions(request))
    }

    /// Returns true if requests like this one wait for each other, because their answer can probably be shared.
    pub fn collapses(&self) -> bool {
        let Request { method, fields, .. } = &*self.asked.request;
        match self.mode {
            // an answer to HEAD is of no use to other requests
            _ if *method == Method::HEAD => false,
            Mode::Pass => false,
            Mode::Validate => true,
            Mode::Complete => !fields.contains(&header::AUTHORIZATION),
            Mode::Fetch => {
                (!fields.contains(&header::RANGE) || self.is_ranged()) && !fields.contains(&header::AUTHORIZATION)
            }
        }
    }

    /// Chooses the flight of a range: a range request follows a request for the whole, if there is one, or another range
    /// request.
    pub fn choose_flight(&mut self) {
        if self.is_ranged() && !self.asked.cx.shared.flights.has(&self.flight) {
            self.flight.variant = ranged_key(&self.asked);
        }
    }

    /// Returns true if a range is asked for that no stored response answers or helps to answer.
    pub fn is_ranged(&self) -> bool {
        let Request { method, fields, .. } = &*self.asked.request;
        let asks = range::ranges(fields).is_some() && !fields.contains(&header::IF_RANGE);
        let has_whole = self.stored.as_ref().is_some_and(|stored| stored.head.part.is_none());
        asks && *method == Method::GET && self.mode == Mode::Fetch && !has_whole
    }

    /// Looks up the stored response again, and decides again whether it answers the request.
    pub async fn look_again(&self) -> Again {
        let found = find(&self.asked, &self.content).await;
        let (cx, request) = (&self.asked.cx, &self.asked.request);
        let (key, looked) = (found.key, found.looked);
        let stored = found.stored.as_deref();
        let policy = self.asked.policy_for(stored.map(|stored| &stored.head));
        let (usable, fresh) = match reuse(request, stored, found.variants, cx.clock.now(), &policy) {
            Reuse::Serve(_, reason) => (found.stored.zip(Some(reason)), true),
            Reuse::Refresh(_, reason) => (found.stored.zip(Some(reason)), false),
            _ => (None, false),
        };
        Again { key, looked, usable, fresh }
    }
}
