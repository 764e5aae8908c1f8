//! Asks the origin once for one request, and updates the store by its answer.

use std::sync::Arc;

use http::header::SET_COOKIE;

use super::{
    context::Asked,
    effects::{after_effects, freshen},
    exchange::{self, Answered},
    failure::status_of,
    fetched::Fetched,
    fill::FillReader,
    forward::{self, Conditions},
    keep::{Kept, SHARED_ERROR, announced_length, few, keep, share},
    landing::{Audience, Filling, Flying, Landing},
    question::{Content, Question},
};
use crate::{
    clock::Timestamp,
    fields::method::is_safe_request,
    message::{FieldName, FieldValue, Fields, Method, StoredHead},
    origin::{OriginError, OriginResponse},
    policy::{
        Reason, parts,
        reuse::{Mode, unkeyed_content},
        selection, sharing,
        storing::storing,
        validation,
    },
    purge::Liveness,
    store::{AdmitError, Epoch, StoredResponse},
};

/// The origin's answer cannot be used. The origin must be asked again, for a whole response.
struct AskAnew;

/// Asks the origin, and updates the store by its answer. Tells the followers of `lead` what landed. The lead ends when
/// the response is stored.
pub async fn ask(question: Question, lead: Option<Flying>) -> Fetched {
    let mut asking = Asking {
        epoch: question.asked.cx.store.epoch(),
        unkeyed: matches!(question.content, Content::Stream(_)) && is_safe_request(&question.asked.request),
        question,
        lead,
    };
    if let Some(spared) = asking.spare_a_failing_origin() {
        return spared;
    }
    loop {
        let (conditions, added) = asking.conditions();
        let fetched = match asking.send(conditions, &added).await {
            Ok(answered) => asking.judge(answered).await,
            Err(error) => Ok(asking.failed(error)),
        };
        match fetched {
            Ok(fetched) => return fetched,
            Err(AskAnew) => asking.question.mode = Mode::Fetch,
        }
    }
}

/// A question to the origin that has not been answered yet.
struct Asking {
    question: Question,
    lead: Option<Flying>,
    /// The request is safe and has content that is part of no key. Its answer is for this client alone.
    unkeyed: bool,
    /// The epoch of the store, taken before the origin is asked. If the store is cleared afterwards, the answer is not
    /// stored.
    epoch: Epoch,
}

impl Asking {
    fn land(&self, landing: Landing) {
        if let Some(lead) = &self.lead {
            lead.land(landing);
        }
    }

    /// Returns a stale answer without asking the origin, if the origin has been failing and a stale answer is allowed.
    fn spare_a_failing_origin(&self) -> Option<Fetched> {
        let asked = &self.question.asked;
        if asked.site.health.may_ask(&asked.primary, asked.cx.clock.now()) {
            return None;
        }
        let spared = spared(asked, self.question.stored.as_ref())?;
        self.land(Landing::Spared);
        Some(spared)
    }

    /// Returns which conditions of the client are sent, and the conditions that Larder adds. If there is none to add,
    /// the mode becomes [`Mode::Fetch`]: a whole response is asked for.
    fn conditions(&mut self) -> (Conditions, Vec<(FieldName, FieldValue)>) {
        let Question { stored, begun, mode, gap, .. } = &mut self.question;
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

    async fn send(
        &mut self,
        conditions: Conditions,
        added: &[(FieldName, FieldValue)],
    ) -> Result<Answered, OriginError> {
        let Question { asked, content, client, .. } = &mut self.question;
        // a second question sends the same content, if that was read into memory
        let again = match content {
            Content::Read(bytes) => Content::Read(bytes.clone()),
            _ => Content::None,
        };
        let content = std::mem::replace(content, again);
        let sent = exchange::send(asked, content, conditions, added, client.clone()).await;
        let (health, now) = (&asked.site.health, asked.cx.clock.now());
        match &sent {
            // the origin, or a gateway in front of it, says that it cannot answer now
            Ok(answered) if matches!(answered.response.head.status.as_u16(), 502..=504) => {
                health.erred(&asked.primary, now)
            }
            Ok(_) => health.answered(&asked.primary),
            // these failures are Larder's or the client's, and say nothing about the origin
            Err(OriginError::Upload | OriginError::Exhausted | OriginError::Crowded | OriginError::NoThread) => {}
            Err(_) => health.failed(now),
        }
        sent
    }

    fn failed(&self, error: OriginError) -> Fetched {
        self.land(Landing::Failed(error.clone()));
        let status = status_of(&error);
        match stand_in(&self.question.asked, self.question.stored.as_ref(), status) {
            Some(stale) => stale.because_of(&error),
            None => Fetched::Failed(error),
        }
    }

    async fn judge(&mut self, answered: Answered) -> Result<Fetched, AskAnew> {
        let status = answered.response.head.status.as_u16();
        if let Some((filling, reader)) = self.question.begun.take() {
            // any other answer is treated as if no other request had begun to store a response
            self.question.mode = Mode::Fetch;
            if status == 304 {
                return self.confirmed(filling, reader, &answered);
            }
        }
        match (self.question.mode, self.question.stored.clone()) {
            (Mode::Validate, Some(stored)) if status == 304 => self.validated(&stored, answered),
            (Mode::Complete, _) if status != 200 && status != 206 && status < 500 => Err(AskAnew),
            _ if status == 304 && self.is_unasked() => Ok(self.not_modified_unasked(answered)),
            (Mode::Validate | Mode::Complete | Mode::Fetch, Some(_)) if status >= 500 => Ok(self.stood_in(answered)),
            _ => self.kept_or_relayed(answered).await,
        }
    }

    /// Handles a 304 to Larder's own conditions (RFC 9111 §4.3.4).
    fn validated(&self, stored: &StoredResponse, answered: Answered) -> Result<Fetched, AskAnew> {
        let asked = &self.question.asked;
        if asked.cx.store.standing(stored).liveness == Liveness::Dead {
            // the response was purged since it was found, so its bytes must not be used again
            return Err(AskAnew);
        }
        let Answered { response, times } = &answered;
        let head = validation::freshen(
            &asked.request,
            &stored.head,
            &response.head,
            *times,
            &asked.policy_on(&stored.head.head),
        )
        // the stored part belongs to a representation that If-Range no longer names
        .filter(|head| selection::is_covered(&asked.request, head));
        match head {
            Some(head) => Ok(self.freshened(stored, head, answered)),
            None => Err(AskAnew),
        }
    }

    /// Handles a 304 about a response that another request began to store.
    fn confirmed(&self, begun: Filling, reader: FillReader, answered: &Answered) -> Result<Fetched, AskAnew> {
        let asked = &self.question.asked;
        if asked.cx.store.standing_of(&begun.head).liveness == Liveness::Dead {
            return Err(AskAnew);
        }
        let Answered { response, times } = answered;
        let head = validation::freshen(
            &asked.request,
            &begun.head,
            &response.head,
            *times,
            &asked.policy_on(&begun.head.head),
        );
        let head = head.ok_or(AskAnew)?;
        let cookies = own_cookies(&response.head.fields, &head.head.fields);
        let filling = Filling { head: Arc::new(head), ..begun };
        Ok(Fetched::Confirmed { filling, reader, status: 304, times: *times, cookies })
    }

    /// Returns true if no condition was sent that a 304 could answer. An unsafe method does not count: in some APIs a
    /// 304 to it means that nothing was changed.
    fn is_unasked(&self) -> bool {
        let request = &*self.question.asked.request;
        is_safe_request(request) && (self.question.mode != Mode::Pass || !forward::has_conditions(request))
    }

    /// Handles a 304 to a request without conditions. The 304 may still be about the only response that is stored for
    /// the URL.
    fn not_modified_unasked(&self, answered: Answered) -> Fetched {
        let asked = &self.question.asked;
        let Answered { response, times } = &answered;
        // a variant is never the only response
        let is_dead = |stored: &StoredResponse| asked.cx.store.standing(stored).liveness == Liveness::Dead;
        let stored = self.question.stored.as_ref().filter(|stored| stored.key == asked.primary && !is_dead(stored));
        let head = stored.and_then(|stored| {
            let (request, options) = (&asked.request, asked.policy_on(&stored.head.head));
            validation::freshen_unasked(request, &stored.head, &response.head, *times, &options)
                .filter(|head| selection::is_covered(request, head))
        });
        match stored.zip(head) {
            Some((stored, head)) => self.freshened(stored, head, answered),
            None => self.failed(OriginError::UnaskedNotModified),
        }
    }

    /// Answers with a stored response that the origin has validated, and stores its new fields.
    fn freshened(&self, stored: &StoredResponse, head: StoredHead, answered: Answered) -> Fetched {
        let Answered { response, times } = answered;
        let asked = &self.question.asked;
        let (cx, request) = (&asked.cx, &*asked.request);
        // an answer to one user freshens no response for others
        let bound = response.bound.is_some();
        let shared =
            !bound && !head.invalidated && validation::may_be_shared(request, &head, &asked.policy_on(&head.head));
        if head.invalidated && !bound {
            // the 304 says that the response is for this client alone
            cx.store.invalidate(&asked.primary);
        } else if shared {
            freshen(asked, stored, head.clone(), times, self.epoch);
        }
        let status = response.head.status.as_u16();
        let stored = Arc::new(StoredResponse { head, ..StoredResponse::clone(stored) });
        self.land(match shared {
            true => Landing::Stored { stored: stored.clone(), status, times },
            false => Landing::Alone,
        });
        let cookies = own_cookies(&response.head.fields, &stored.head.head.fields);
        Fetched::Stored { stored, reason: Reason::Validated, validated: Some((status, times)), cookies }
    }

    /// Handles an error of the origin where a response is stored. The error does not replace the stored response.
    fn stood_in(&mut self, answered: Answered) -> Fetched {
        let status = answered.response.head.status.as_u16();
        match stand_in(&self.question.asked, self.question.stored.as_ref(), Some(status)) {
            Some(stale) => {
                self.land(Landing::Erred(status));
                stale
            }
            None => self.not_stored(answered, Reason::OriginError),
        }
    }

    /// Handles an answer that is not stored. The requests that wait for it get it too, if it may be shared.
    fn not_stored(&mut self, answered: Answered, reason: Reason) -> Fetched {
        let Question { asked, flight, .. } = &self.question;
        let Answered { response, times } = &answered;
        let Some(lead) = &self.lead else {
            self.note_still_alone(reason, times.response);
            return Fetched::Relay { answered, reason };
        };
        let head = &response.head;
        let options = asked.policy_on(head);
        let failure = sharing::is_failure(head.status.as_u16());
        let may_share = response.bound.is_none() && !self.unkeyed;
        let shared = match (failure, reason) {
            _ if !may_share => None,
            (true, _) if announced_length(response).is_none_or(|length| length <= SHARED_ERROR) => {
                sharing::error_for_all(&asked.request, head, *times, &options).map(|h| (h, Audience::Anonymous))
            }
            (false, Reason::LifetimeUsedUp) => {
                sharing::outrun(&asked.request, head, *times, &options).map(|h| (h, Audience::Waiting))
            }
            _ => None,
        };
        match shared {
            None if failure => lead.land(Landing::Failing(few())),
            None => {
                lead.land(Landing::Alone);
                if asked.request.method != Method::HEAD {
                    asked.cx.shared.note_alone(flight.variant, times.response);
                }
            }
            Some(_) => {}
        }
        match (shared, self.lead.take()) {
            (Some((head, audience)), Some(lead)) => share(asked, answered, head, audience, lead, reason),
            (_, lead) => {
                self.lead = lead;
                Fetched::Relay { answered, reason }
            }
        }
    }

    /// Remembers for longer that the answers for this URL are for one client each, so that the next burst does not wait
    /// either. A 304 to a client's own condition is no such answer: a request without conditions may get one for all.
    fn note_still_alone(&self, reason: Reason, now: Timestamp) {
        let Question { asked, flight, .. } = &self.question;
        let is_of_one = asked.request.method == Method::GET && reason != Reason::StatusNeverStored;
        if is_of_one && asked.cx.shared.goes_alone(&flight.variant, now) {
            asked.cx.shared.note_alone(flight.variant, now);
        }
    }

    /// Handles any other answer: stores it if that is allowed, and relays it if not.
    async fn kept_or_relayed(&mut self, answered: Answered) -> Result<Fetched, AskAnew> {
        let Question { asked, stored, mode, gap, flight, .. } = &self.question;
        let Answered { response, times } = &answered;
        let request = &asked.request;
        // an answer to one user freshens nothing; a response that was purged since it was found is neither freshened
        // nor completed
        let living = |stored: &&Arc<StoredResponse>| asked.cx.store.standing(stored).liveness != Liveness::Dead;
        let stored = stored.as_ref().filter(living);
        let freshened = stored.filter(|_| response.bound.is_none());
        after_effects(asked, freshened, &response.head, *times, self.epoch).await;
        let options = asked.policy_on(&response.head);
        let storable = match self.unkeyed {
            true => Err(unkeyed_content(request)),
            false if let Some(scheme) = response.bound => Err(scheme.into()),
            false => storing(request, &response.head, *times, &options)
                .and_then(|head| admitted(asked, response).map(|()| head)),
        };
        let completes = *mode == Mode::Complete;
        match storable {
            Ok(head) => {
                let closes =
                    |stored: &&Arc<StoredResponse>| gap.is_some_and(|gap| parts::closes(&stored.head, gap, &head));
                let completed = stored.filter(|_| completes).filter(closes).cloned();
                // the origin was asked for bytes that the stored parts lack, and sent a part of another representation,
                // or too little
                if completes && head.part.is_some() && completed.is_none() {
                    return Err(AskAnew);
                }
                let kept = Kept::new(head, stored, completed);
                asked.cx.shared.note_shareable(&flight.variant);
                let came_stale = !sharing::is_fresh(&kept.head, times.response, &options);
                let outrun = || sharing::outrun(request, &response.head, *times, &options);
                let audience = if came_stale && outrun().is_some() { Audience::Waiting } else { Audience::All };
                Ok(keep(asked, answered, kept, audience, self.lead.take(), self.epoch))
            }
            Err(_) if completes && response.head.status == 206 => {
                self.land(Landing::Alone);
                Err(AskAnew)
            }
            Err(reason) => Ok(self.not_stored(answered, reason)),
        }
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

/// Returns a stale stored response in place of a failed exchange, if that is allowed (RFC 5861 §4). `status` is the
/// status of the origin's answer, if there was one.
pub fn stand_in(asked: &Asked, stored: Option<&Arc<StoredResponse>>, status: Option<u16>) -> Option<Fetched> {
    let (stored, now) = (stored?, asked.cx.clock.now());
    // a purge may have come since the response was found
    asked.cx.store.standing(stored);
    let reason =
        validation::on_error(&asked.request, &**stored, status, now, &asked.policy_on(&stored.head.head)).ok()?;
    Some(Fetched::StoodIn { stored: stored.clone(), reason, status, failure: None })
}

/// Returns a stale stored response without asking an origin that has been failing, if that is allowed (RFC 5861 §4).
pub fn spared(asked: &Asked, stored: Option<&Arc<StoredResponse>>) -> Option<Fetched> {
    match stand_in(asked, stored, None)? {
        Fetched::StoodIn {
            stored,
            reason: reason @ (Reason::StaleIfError | Reason::StaleByDefault | Reason::FreshUnasked),
            ..
        } => Some(Fetched::Spared { stored, reason }),
        _ => None,
    }
}

/// Returns the cookies that the origin sent to this client. They are empty if the stored fields have cookies.
fn own_cookies(sent: &Fields, stored: &Fields) -> Vec<FieldValue> {
    let sent = sent.values(&SET_COOKIE).filter(|_| !stored.contains(&SET_COOKIE));
    sent.cloned().collect()
}
