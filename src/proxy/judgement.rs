//! Decides what an answer of the origin means: for the request that asked, and for what is stored. Nothing changes here.

use std::sync::Arc;

use super::{context::Asked, exchange::Answered, keep::announced_length, question::Question};
use crate::{
    message::StoredHead,
    origin::OriginResponse,
    policy::{
        Reason, parts,
        reuse::{Mode, unkeyed_content},
        selection,
        storing::storing,
        validation,
    },
    purge::Liveness,
    store::{AdmitError, StoredResponse},
};

/// The meaning of an answer of the origin.
pub enum Judgement {
    /// The stored response is still current. Its head is updated.
    Freshened {
        stored: Arc<StoredResponse>,
        head: StoredHead,
        use_of: Freshened,
    },
    /// The response that another request began to store is still current. This is its head, updated.
    Confirmed(StoredHead),
    /// A stale stored response answers in place of the origin's error.
    StandsIn(Arc<StoredResponse>, Reason),
    /// The answer is stored with this head. It closes a gap of `completes`.
    Kept {
        head: StoredHead,
        completes: Option<Arc<StoredResponse>>,
    },
    NotStored(Reason),
    /// The answer cannot be used: it is a 304 that nobody asked for.
    Unasked,
    /// The answer cannot be used. The origin must be asked again, for a whole response.
    Anew {
        for_others: Anew,
    },
}

/// What the requests do that wait for an answer which cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anew {
    /// They wait for the next answer.
    Wait,
    /// They ask for themselves.
    Ask,
}

impl Judgement {
    const ANEW: Judgement = Judgement::Anew { for_others: Anew::Wait };
}

/// Who may use a stored response that was updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshened {
    /// Every request.
    ForAll,
    /// This request alone.
    ForOne,
    /// This request alone, and the stored response is invalidated.
    Invalidates,
}

/// Decides what an answer means.
pub fn judge(question: &Question, answered: &Answered) -> Judgement {
    let Question { asked, begun, mode, stored, .. } = question;
    let status = answered.response.head.status.as_u16();
    let mode = match begun {
        Some((begun, _)) if status == 304 => return confirmed(asked, &begun.head, answered),
        // any other answer is treated as if no other request had begun to store a response
        Some(_) => Mode::Fetch,
        None => *mode,
    };
    match (mode, stored) {
        (Mode::Validate, Some(stored)) if status == 304 => validated(asked, stored, answered),
        (Mode::Complete, _) if status != 200 && status != 206 && status < 500 => Judgement::ANEW,
        _ if status == 304 && question.is_unconditional() => not_modified_unasked(question, answered),
        (Mode::Validate | Mode::Complete | Mode::Fetch, Some(stored)) if status >= 500 => {
            match stands_in(asked, stored, Some(status)) {
                Some(reason) => Judgement::StandsIn(stored.clone(), reason),
                None => Judgement::NotStored(Reason::OriginError),
            }
        }
        _ => kept_or_not(question, mode, answered),
    }
}

/// Returns the reason for which a stale stored response may stand in for a failed exchange (RFC 5861 §4), if it may.
/// `status` is the status of the origin's answer, if there was one.
pub fn stands_in(asked: &Asked, stored: &Arc<StoredResponse>, status: Option<u16>) -> Option<Reason> {
    // a purge may have come since the response was found
    asked.cx.store.standing(stored);
    let (now, options) = (asked.cx.clock.now(), asked.policy_on(&stored.head.head));
    validation::on_error(&asked.request, &**stored, status, now, &options).ok()
}

/// Returns the reason for which a stored response answers without asking an origin that has been failing, if it may.
pub fn spares(asked: &Asked, stored: &Arc<StoredResponse>) -> Option<Reason> {
    let spares = [Reason::StaleIfError, Reason::StaleByDefault, Reason::FreshUnasked];
    stands_in(asked, stored, None).filter(|reason| spares.contains(reason))
}

/// Returns true if a purge has come since the response was found: it must not be used again.
pub fn is_dead(asked: &Asked, stored: &StoredResponse) -> bool {
    asked.cx.store.standing(stored).liveness == Liveness::Dead
}

/// Returns the stored response of a question, unless it was purged since it was found.
pub fn living(question: &Question) -> Option<&Arc<StoredResponse>> {
    question.stored.as_ref().filter(|stored| !is_dead(&question.asked, stored))
}

/// Judges a 304 to Larder's own conditions (RFC 9111 §4.3.4).
fn validated(asked: &Asked, stored: &Arc<StoredResponse>, answered: &Answered) -> Judgement {
    if is_dead(asked, stored) {
        return Judgement::ANEW;
    }
    let Answered { response, times } = answered;
    let (request, options) = (&asked.request, asked.policy_on(&stored.head.head));
    let head = validation::freshen(request, &stored.head, &response.head, *times, &options)
        // the stored part belongs to a representation that If-Range no longer names
        .filter(|head| selection::is_covered(request, head));
    head.map_or(Judgement::ANEW, |head| freshened(asked, stored, head, answered))
}

/// Judges a 304 about a response that another request began to store.
fn confirmed(asked: &Asked, begun: &StoredHead, answered: &Answered) -> Judgement {
    if asked.cx.store.standing_of(begun).liveness == Liveness::Dead {
        return Judgement::ANEW;
    }
    let Answered { response, times } = answered;
    let options = asked.policy_on(&begun.head);
    let head = validation::freshen(&asked.request, begun, &response.head, *times, &options);
    head.map_or(Judgement::ANEW, Judgement::Confirmed)
}

/// Judges a 304 to a request without conditions. The 304 may still be about the only response that is stored for the
/// URL.
fn not_modified_unasked(question: &Question, answered: &Answered) -> Judgement {
    let asked = &question.asked;
    let Answered { response, times } = answered;
    // a variant is never the only response
    let Some(stored) = living(question).filter(|stored| stored.key == asked.primary) else {
        return Judgement::Unasked;
    };
    let (request, options) = (&asked.request, asked.policy_on(&stored.head.head));
    let head = validation::freshen_unasked(request, &stored.head, &response.head, *times, &options)
        .filter(|head| selection::is_covered(request, head));
    head.map_or(Judgement::Unasked, |head| freshened(asked, stored, head, answered))
}

fn freshened(asked: &Asked, stored: &Arc<StoredResponse>, head: StoredHead, answered: &Answered) -> Judgement {
    // an answer to one user freshens no response for others
    let is_bound = answered.response.bound.is_some();
    let may_be_shared = || validation::may_be_shared(&asked.request, &head, &asked.policy_on(&head.head));
    let use_of = match head.invalidated {
        _ if is_bound => Freshened::ForOne,
        // the 304 says that the response is for this client alone
        true => Freshened::Invalidates,
        false if may_be_shared() => Freshened::ForAll,
        false => Freshened::ForOne,
    };
    Judgement::Freshened { stored: stored.clone(), head, use_of }
}

/// Judges any other answer: it is stored if that is allowed.
fn kept_or_not(question: &Question, mode: Mode, answered: &Answered) -> Judgement {
    let Question { asked, gap, .. } = question;
    let Answered { response, times } = answered;
    let request = &asked.request;
    let storable = match question.is_unkeyed {
        true => Err(unkeyed_content(request)),
        false if let Some(scheme) = response.bound => Err(scheme.into()),
        false => storing(request, &response.head, *times, &asked.policy_on(&response.head))
            .and_then(|head| admitted(asked, response).map(|()| head)),
    };
    let completes = mode == Mode::Complete;
    match storable {
        Ok(head) => {
            let closes = |stored: &&Arc<StoredResponse>| gap.is_some_and(|gap| parts::closes(&stored.head, gap, &head));
            // a response that was purged since it was found is not completed
            let completed = living(question).filter(|_| completes).filter(closes).cloned();
            // the origin was asked for bytes that the stored parts lack, and sent a part of another representation, or
            // too little
            match completes && head.part.is_some() && completed.is_none() {
                true => Judgement::ANEW,
                false => Judgement::Kept { head, completes: completed },
            }
        }
        Err(_) if completes && response.head.status == 206 => Judgement::Anew { for_others: Anew::Ask },
        Err(reason) => Judgement::NotStored(reason),
    }
}

/// Returns why the store would not take the body of a response now.
fn admitted(asked: &Asked, response: &OriginResponse) -> Result<(), Reason> {
    let length = announced_length(response);
    if asked.steered.answer(&response.head).max_object().is_some_and(|longest| length > Some(longest)) {
        return Err(Reason::TooLarge);
    }
    asked.cx.store.admits(length).map_err(|refused| match refused {
        AdmitError::LargerThanMaxObject(_) => Reason::TooLarge,
        AdmitError::NoRoom => Reason::NoRoom,
        AdmitError::NotAvailable => Reason::StoreNotAvailable,
    })
}
