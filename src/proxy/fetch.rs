//! Asking the origin on behalf of one client, or of many at once.

use std::{rc::Rc, sync::Arc};

use http::header::SET_COOKIE;
use tokio::sync::oneshot;

use super::{
    Asked, Content, Context, Found, access,
    ask::{ask, stand_in},
    collapse::{Join, Lead, Moment},
    fill::{Fill, FillReader},
    find,
    respond::{self, Verdict},
    shared::FlightKey,
};
use crate::{
    client::{Connection, Reply},
    key::CacheKey,
    message::{FieldValue, Method, Nominated, Request, ResponseHead, StoredHead, StoredResponse},
    origin::{OriginError, OriginResponse, Owner},
    policy::{
        Fwd, Options, Reason,
        reuse::{Reuse, reuse},
        vary,
    },
};

/// How the origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Whether the stored response is current.
    Validate,
    /// For what the stored part lacks.
    Complete,
    /// For a response that others may share.
    Fetch,
    /// As the client asks, for this client alone.
    Pass,
}

/// What the leader of a flight tells those who follow.
#[derive(Clone)]
pub enum Landing {
    /// Validated.
    Stored(Arc<StoredResponse>, u16),
    /// The flight before had brought it already.
    Found(Arc<StoredResponse>),
    /// On its way.
    Filling(Arc<StoredHead>, Arc<Fill>, Option<u64>, u16),
    /// The answer was for the leader alone.
    Alone,
    Failed(OriginError),
    /// The origin answered with an error that a stale response may stand in for.
    Erred(u16),
}

impl Landing {
    /// What this request has of the nominated fields, where what landed is for other values of them.
    fn varies_for(&self, request: &Request, options: &Options) -> Option<Vec<Nominated>> {
        let nominated = match self {
            Landing::Stored(stored, _) | Landing::Found(stored) => &stored.head.nominated,
            Landing::Filling(head, ..) => &head.nominated,
            Landing::Alone | Landing::Failed(_) | Landing::Erred(_) => return None,
        };
        (!vary::matches(nominated, request, options)).then(|| vary::renominate(nominated, request, options))
    }
}

/// What came of asking.
pub(super) enum Outcome {
    /// A stored response answers: the origin said that it is current, or failed.
    Stored {
        stored: Arc<StoredResponse>,
        reason: Reason,
        status: Option<u16>,
        /// What the origin set for this client alone.
        cookies: Vec<FieldValue>,
    },
    /// Storable, and on its way into the store.
    Filling {
        head: ResponseHead,
        stored: Arc<StoredHead>,
        reader: FillReader,
        length: Option<u64>,
        status: u16,
        combined: bool,
    },
    Relay {
        response: OriginResponse,
        reason: Reason,
    },
    Failed(OriginError),
}

/// A question to the origin that outlives the client that asked it.
pub(super) struct Question {
    pub request: Rc<Request>,
    pub content: Content,
    pub interim: Option<Connection>,
    /// Whose connections to the origin it may use besides those that everybody may.
    pub owner: Option<Rc<Owner>>,
    pub primary: CacheKey,
    /// What the answer may validate, complete or be displaced by.
    pub stored: Option<Arc<StoredResponse>>,
    pub way: Way,
}

pub(super) type Flying = Lead<FlightKey, Landing>;

/// Answers a request from the origin.
pub async fn fetch(
    cx: &Rc<Context>,
    asked: Asked,
    found: Found,
    way: Way,
    fwd: Fwd,
    reason: Reason,
    log: &mut access::Entry,
) -> Reply {
    let mut verdict = Verdict::forwarded(fwd, reason);
    let mut flight = FlightKey { primary: asked.primary, variant: found.key };
    let alone = cx.shared.goes_alone(&flight.variant, cx.clock.now());
    // where nothing is to be shared the client's own conditions are worth more than a whole response
    let way = if alone && way == Way::Fetch && found.stored.is_none() { Way::Pass } else { way };
    let mut joining = collapses(&asked, way) && !alone;
    let mut rejoined = false;
    let mut looked = found.looked;
    let question = Question::new(asked, found, way);
    let request = question.request.clone();
    while joining {
        match cx.shared.flights.join(&flight) {
            Join::Lead(lead) => {
                if lead.is_late(looked) {
                    let again = Box::pin(question.look_again(cx)).await;
                    if let Some((stored, reason)) = again.usable {
                        lead.land(Landing::Found(stored.clone()));
                        return respond::hit(cx, &request, &stored, reason, cx.clock.now(), log);
                    }
                    looked = again.looked;
                    if again.key != flight.variant && !rejoined {
                        (flight.variant, rejoined) = (again.key, true);
                        continue;
                    }
                }
                let (told, tell) = oneshot::channel();
                tokio::task::spawn_local(lead_flight(cx.clone(), question, lead, flight, Some(told)));
                let outcome = tell.await.unwrap_or(Outcome::Failed(OriginError::Closed));
                return reply(cx, &request, outcome, verdict, log);
            }
            Join::Follow(follow) => match follow.landed().await {
                Some(landing) => {
                    let varies = landing.varies_for(&request, &cx.policy);
                    if let Some(reply) = follow_reply(cx, &question, landing, &mut verdict, log) {
                        return reply;
                    }
                    // others may ask for the same variant; an origin that varies otherwise each time is asked by each
                    let variant = varies.filter(|_| !rejoined).map(|nominated| flight.primary.variant(&nominated));
                    joining = variant.is_some_and(|variant| variant != flight.variant);
                    flight.variant = variant.unwrap_or(flight.variant);
                    rejoined = true;
                }
                None => log::debug!("a flight was given up; joining again"),
            },
        }
    }
    let outcome = ask(cx, question, None, Some(&flight)).await;
    reply(cx, &request, outcome, verdict, log)
}

/// Validates a stored response behind the answer that was given from it (RFC 5861 §3).
pub fn refresh(cx: &Rc<Context>, asked: Asked, found: Found, _reason: Reason) {
    let (flight, looked) = (FlightKey { primary: asked.primary, variant: found.key }, found.looked);
    if let Join::Lead(lead) = cx.shared.flights.join(&flight) {
        let mut question = Question::new(asked, found, Way::Validate);
        question.interim = None;
        question.owner = None;
        if question.request.method == Method::HEAD {
            Rc::make_mut(&mut question.request).method = Method::GET;
        }
        let cx = cx.clone();
        tokio::task::spawn_local(async move {
            if lead.is_late(looked)
                && let Again { usable: Some((stored, _)), fresh: true, .. } = question.look_again(&cx).await
            {
                return lead.land(Landing::Found(stored));
            }
            lead_flight(cx, question, lead, flight, None).await;
        });
    }
}

impl Question {
    fn new(asked: Asked, found: Found, way: Way) -> Question {
        let owner = (!asked.request.forwarded).then(|| asked.connection.attached());
        let interim = (!asked.request.http_10).then_some(asked.connection);
        Question {
            request: asked.request,
            content: asked.content,
            interim,
            owner,
            primary: asked.primary,
            stored: found.stored,
            way,
        }
    }

    /// What is stored by now.
    async fn look_again(&self, cx: &Context) -> Again {
        let found = find(cx, &self.request, &self.content, self.primary).await;
        let head = found.stored.as_ref().map(|stored| &stored.head);
        let (reason, fresh) = match reuse(&self.request, head, found.variants, cx.clock.now(), &cx.policy) {
            Reuse::Serve(reason) => (Some(reason), true),
            Reuse::Refresh(reason) => (Some(reason), false),
            _ => (None, false),
        };
        Again { key: found.key, looked: found.looked, usable: found.stored.zip(reason), fresh }
    }
}

/// What a second look found.
struct Again {
    key: CacheKey,
    looked: Moment,
    /// What answers the request.
    usable: Option<(Arc<StoredResponse>, Reason)>,
    /// And needs no validation behind.
    fresh: bool,
}

/// Whether requests like this one wait for each other: what they get can be shared, as far as can be told before.
fn collapses(asked: &Asked, way: Way) -> bool {
    let shareable = |name: http::HeaderName| !asked.request.fields.contains(&name);
    match way {
        Way::Pass => false,
        Way::Validate => true,
        Way::Fetch | Way::Complete => shareable(http::header::RANGE) && shareable(http::header::AUTHORIZATION),
    }
}

/// Asks for all who follow, and for the one who is told. Where they have all left before the answer comes the question is
/// given up, but for a few: the next to ask may be glad of the answer.
async fn lead_flight(
    cx: Rc<Context>,
    question: Question,
    lead: Flying,
    flight: FlightKey,
    told: Option<oneshot::Sender<Outcome>>,
) {
    let followers = lead.followers();
    let asking = ask(&cx, question, Some(lead), Some(&flight));
    let Some(mut told) = told else {
        asking.await;
        return;
    };
    let deserted = async {
        told.closed().await;
        followers.gone().await;
        if let Some(_place) = cx.origin.unattended() {
            std::future::pending().await
        }
    };
    tokio::select! {
        outcome = asking => drop(told.send(outcome)),
        () = deserted => log::debug!("a question to the origin was given up: nobody waits for its answer"),
    }
}

/// The answer for the client whose request went to the origin.
fn reply(
    cx: &Rc<Context>,
    request: &Request,
    outcome: Outcome,
    mut verdict: Verdict,
    log: &mut access::Entry,
) -> Reply {
    match outcome {
        Outcome::Stored { stored, reason, status, cookies } => {
            verdict.reason = reason;
            verdict.from_cache = true;
            verdict.fwd_status = status;
            let mut reply = respond::stored(cx, request, &stored, verdict, cx.clock.now(), log);
            cookies.into_iter().for_each(|cookie| reply.fields.append(SET_COOKIE, cookie));
            reply
        }
        Outcome::Filling { head, stored, reader, length, status, combined } => {
            verdict.stored = true;
            verdict.fwd_status = Some(status);
            if combined {
                return respond::filling(cx, request, &stored, reader, length, verdict, log);
            }
            respond::fresh_from_origin(cx, request, head, &stored, reader, length, verdict, log)
        }
        Outcome::Relay { response, reason } => {
            verdict.fwd_status = Some(response.head.status.as_u16());
            verdict.reason = reason;
            respond::relayed(cx, request, response, verdict, log)
        }
        Outcome::Failed(error) => respond::failed(cx, &error, verdict, log),
    }
}

/// The answer for a client that waited behind another's request; `None`: it has to go alone.
fn follow_reply(
    cx: &Rc<Context>,
    question: &Question,
    landing: Landing,
    verdict: &mut Verdict,
    log: &mut access::Entry,
) -> Option<Reply> {
    let now = cx.clock.now();
    let request = &question.request;
    let used = |head: &StoredHead| match reuse(request, Some(head), false, now, &cx.policy) {
        Reuse::Serve(reason) | Reuse::Refresh(reason) => Some(reason),
        _ => None,
    };
    let usable = |head: &StoredHead| vary::matches(&head.nominated, request, &cx.policy) && used(head).is_some();
    let mut verdict = Verdict { collapsed: true, ..verdict.clone() };
    match landing {
        Landing::Stored(stored, status) if usable(&stored.head) => {
            verdict.fwd_status = Some(status);
            verdict.from_cache = true;
            Some(respond::stored(cx, request, &stored, verdict, now, log))
        }
        Landing::Found(stored) if usable(&stored.head) => {
            Some(respond::hit(cx, request, &stored, used(&stored.head)?, now, log))
        }
        Landing::Filling(head, fill, length, status) if usable(&head) => {
            verdict.fwd_status = Some(status);
            Some(respond::filling(cx, request, &head, fill.reader()?, length, verdict, log))
        }
        Landing::Failed(error) => Some(match stand_in(cx, request, question.stored.as_ref(), None) {
            Some(outcome) => reply(cx, request, outcome, verdict, log),
            None => respond::failed(cx, &error, verdict, log),
        }),
        Landing::Erred(status) => {
            let outcome = stand_in(cx, request, question.stored.as_ref(), Some(status))?;
            Some(reply(cx, request, outcome, verdict, log))
        }
        Landing::Stored(..) | Landing::Found(_) | Landing::Filling(..) | Landing::Alone => None,
    }
}
