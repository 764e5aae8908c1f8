//! A request that goes to the origin, and what is stored for it.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::header;

use super::{
    collapse::Moment,
    context::Asked,
    fill::FillReader,
    landing::{Filling, FlightKey},
    verdict::Tier,
};
use crate::{
    client::Connection,
    fields::{method::is_cached, range},
    key::CacheKey,
    message::{Method, Request},
    origin::{Owner, Upload},
    policy::{
        Reason,
        reuse::{Mode, Reuse, reuse},
        vary,
    },
    store::{Slot, StoredResponse},
};

/// A request's body.
pub enum Content {
    None,
    /// It was read for the key (QUERY).
    Read(Bytes),
    /// It is part of no key.
    Stream(Upload),
}

/// What is stored for a request.
pub struct Found {
    pub stored: Option<Arc<StoredResponse>>,
    /// Where `stored` was found.
    pub tier: Tier,
    /// True where responses are stored for this URL, but none for this request's nominated fields.
    pub variants: bool,
    /// Where the response to this request would be stored, as far as can be told. Requests with the same key are one flight.
    pub key: CacheKey,
    /// Taken before the lookup. A response stored by a flight that ends after this point may be missing from `stored`.
    pub looked: Moment,
}

/// The connection of the client that asks, as the exchange with the origin uses it.
#[derive(Clone, Default)]
pub struct ClientSide {
    /// Where interim responses go.
    pub interim: Option<Connection>,
    /// Whose connections to the origin the exchange may use besides those that everybody may.
    pub owner: Option<Rc<Owner>>,
}

/// A question to the origin. It outlives the client that asked it.
pub struct Question {
    pub asked: Asked,
    pub content: Content,
    pub client: ClientSide,
    /// The stored response, if any, that the origin's answer may validate, complete or replace.
    pub stored: Option<Arc<StoredResponse>>,
    /// A response that another request began to store, if this one may have it once the origin has validated it.
    pub begun: Option<(Filling, FillReader)>,
    pub mode: Mode,
    pub flight: FlightKey,
    /// See [`Found::looked`].
    pub looked: Moment,
}

/// What a second lookup found.
pub struct Again {
    pub key: CacheKey,
    pub looked: Moment,
    /// The stored response that answers the request.
    pub usable: Option<(Arc<StoredResponse>, Reason)>,
    /// True where `usable` needs no validation in the background.
    pub fresh: bool,
}

/// Looks up what is stored for a request (RFC 9111 §4.1).
pub async fn find(asked: &Asked, content: &Content) -> Found {
    let (cx, request, primary) = (&asked.cx, &*asked.request, asked.primary);
    let looked = cx.shared.flights.now();
    let key = primary.variant(&vary::renominate(&[], request, asked.policy()));
    let mut found = Found { stored: None, tier: Tier::Memory, variants: false, key, looked };
    let looked_up = is_cached(&request.method);
    if !looked_up || matches!(content, Content::Stream(_)) {
        return found;
    }
    match look_up(asked, &primary).await {
        None => {}
        Some((Slot::Response(stored), tier)) => (found.stored, found.tier) = (Some(stored), tier),
        Some((Slot::Variants(variants), _)) => {
            let of_content = || variants.iter().filter(|v| vary::is_for_content(&v.nominated, request));
            // many origins leave Vary out of their default response, so that those with Vary come first (RFC 9111 §4.1)
            let varying = of_content().filter(|v| vary::varies(&v.nominated));
            let plain = of_content().filter(|v| !vary::varies(&v.nominated));
            let mut variants = varying.chain(plain).peekable();
            if let Some(newest) = variants.peek() {
                found.variants = true;
                found.key = primary.variant(&vary::renominate(&newest.nominated, request, asked.policy()));
            }
            for variant in variants.filter(|v| vary::matches(&v.nominated, request, asked.policy())) {
                if let Some((Slot::Response(stored), tier)) = look_up(asked, &variant.key).await {
                    found.key = variant.key;
                    (found.stored, found.tier) = (Some(stored), tier);
                    break;
                }
            }
        }
    }
    found
}

async fn look_up(asked: &Asked, key: &CacheKey) -> Option<(Slot, Tier)> {
    let store = &asked.cx.store;
    match store.recall(key) {
        Some(slot) => Some((slot, Tier::Memory)),
        None => Some((Box::pin(store.lookup(key)).await?, Tier::Disk)),
    }
}

/// The key of the flights of ranges: their answers are no use to those who ask for the whole.
pub fn ranged_key(asked: &Asked) -> CacheKey {
    asked.key(&ranged(), &asked.request.target)
}

fn ranged() -> Method {
    // only what is not a token cannot be a method
    Method::from_bytes(b"GET-RANGE").unwrap_or_default()
}

impl Question {
    /// Returns true if requests like this one wait for each other: their answers can be shared, as far as can be told before.
    pub fn collapses(&self) -> bool {
        let Request { method, fields, .. } = &*self.asked.request;
        match self.mode {
            // what answers HEAD answers nobody else
            _ if *method == Method::HEAD => false,
            Mode::Pass => false,
            Mode::Validate => true,
            Mode::Fetch | Mode::Complete => {
                (!fields.contains(&header::RANGE) || self.is_ranged()) && !fields.contains(&header::AUTHORIZATION)
            }
        }
    }

    /// Returns true if a range is asked for that no stored response answers or helps to answer.
    pub fn is_ranged(&self) -> bool {
        let Request { method, fields, .. } = &*self.asked.request;
        let asks = range::ranges(fields).is_some() && !fields.contains(&header::IF_RANGE);
        let has_whole = self.stored.as_ref().is_some_and(|stored| stored.head.part.is_none());
        asks && *method == Method::GET && self.mode == Mode::Fetch && !has_whole
    }

    /// Looks up again what is stored, and decides again whether it answers the request.
    pub async fn look_again(&self) -> Again {
        let found = find(&self.asked, &self.content).await;
        let (cx, request) = (&self.asked.cx, &self.asked.request);
        let (key, looked) = (found.key, found.looked);
        let (usable, fresh) =
            match reuse(request, found.stored.as_deref(), found.variants, cx.clock.now(), self.asked.policy()) {
                Reuse::Serve(_, reason) => (found.stored.zip(Some(reason)), true),
                Reuse::Refresh(_, reason) => (found.stored.zip(Some(reason)), false),
                _ => (None, false),
            };
        Again { key, looked, usable, fresh }
    }
}
