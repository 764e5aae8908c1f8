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
    forward::Conditions,
    judgement::{Anew, Freshened, Judgement, judge, living, spares, stands_in},
    keep::{Kept, SHARED_ERROR, announced_length, few, keep, share},
    landing::{Audience, Filling, Flying, Landing},
    question::{Content, Question},
};
use crate::{
    clock::Timestamp,
    message::{FieldName, FieldValue, Fields, Method, StoredHead},
    origin::OriginError,
    policy::{Reason, reuse::Mode, sharing},
    store::{Epoch, StoredResponse},
};

/// The origin's answer cannot be used. The origin must be asked again, for a whole response.
struct AskAnew;

/// Asks the origin, and updates the store by its answer. Tells the followers of `lead` what landed. The lead ends when
/// the response is stored.
// no `async fn`: that would hold the question twice, and each miss writes all of the future
pub fn ask(question: Question, lead: Option<Flying>) -> impl Future<Output = Fetched> {
    let epoch = question.asked.cx.store.epoch();
    let mut asking = Asking { question, lead, epoch };
    async move {
        if let Some(spared) = asking.spare_a_failing_origin() {
            return spared;
        }
        loop {
            let (conditions, added) = asking.question.conditions();
            let answered = match asking.send(conditions, &added).await {
                Ok(answered) => answered,
                Err(error) => return asking.failed(error),
            };
            let judgement = judge(&asking.question, &answered);
            if matches!(judgement, Judgement::Kept { .. } | Judgement::NotStored(_)) {
                asking.update_others(&answered).await;
            }
            match asking.use_answer(judgement, answered) {
                Ok(fetched) => return fetched,
                Err(AskAnew) => asking.question.mode = Mode::Fetch,
            }
        }
    }
}

/// A question to the origin that has not been answered yet.
struct Asking {
    question: Question,
    lead: Option<Flying>,
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

    /// Does what the judgement on an answer says.
    fn use_answer(&mut self, judgement: Judgement, answered: Answered) -> Result<Fetched, AskAnew> {
        let begun = self.question.begun.take();
        match judgement {
            Judgement::Freshened { stored, head, use_of } => Ok(self.freshened(&stored, head, use_of, answered)),
            Judgement::Confirmed(head) => begun.map(|begun| confirmed(head, begun, &answered)).ok_or(AskAnew),
            Judgement::StandsIn(stored, reason) => {
                let status = answered.response.head.status.as_u16();
                self.land(Landing::Erred(status));
                Ok(Fetched::StoodIn { stored, reason, status: Some(status), failure: None })
            }
            Judgement::Kept { head, completes } => Ok(self.kept(head, completes, answered)),
            Judgement::NotStored(reason) => Ok(self.not_stored(answered, reason)),
            Judgement::Unasked => Ok(self.failed(OriginError::UnaskedNotModified)),
            Judgement::Anew { for_others: Anew::Wait } => Err(AskAnew),
            Judgement::Anew { for_others: Anew::Ask } => {
                self.land(Landing::Alone);
                Err(AskAnew)
            }
        }
    }

    /// Updates other stored responses by an answer.
    async fn update_others(&self, answered: &Answered) {
        let Answered { response, times } = answered;
        // an answer to one user freshens nothing; nor is a response freshened that was purged since it was found
        let stored = living(&self.question).filter(|_| response.bound.is_none());
        after_effects(&self.question.asked, stored, &response.head, *times, self.epoch).await;
    }

    /// Answers with a stored response that the origin has validated, and stores its new fields.
    fn freshened(&self, stored: &StoredResponse, head: StoredHead, use_of: Freshened, answered: Answered) -> Fetched {
        let Answered { response, times } = answered;
        let asked = &self.question.asked;
        match use_of {
            Freshened::ForAll => freshen(asked, stored, head.clone(), times, self.epoch),
            Freshened::ForOne => {}
            Freshened::Invalidates => asked.cx.store.invalidate(&asked.primary),
        }
        let status = response.head.status.as_u16();
        let stored = Arc::new(StoredResponse { head, ..StoredResponse::clone(stored) });
        self.land(match use_of {
            Freshened::ForAll => Landing::Stored { stored: stored.clone(), status, times },
            Freshened::ForOne | Freshened::Invalidates => Landing::Alone,
        });
        let cookies = own_cookies(&response.head.fields, &stored.head.head.fields);
        Fetched::Stored { stored, reason: Reason::Validated, validated: Some((status, times)), cookies }
    }

    /// Stores an answer, and gives it to the requests that wait for it.
    fn kept(&mut self, head: StoredHead, completes: Option<Arc<StoredResponse>>, answered: Answered) -> Fetched {
        let Question { asked, flight, .. } = &self.question;
        let Answered { response, times } = &answered;
        let options = asked.policy_on(&response.head);
        let kept = Kept::new(head, living(&self.question), completes);
        asked.cx.shared.note_shareable(&flight.variant);
        let came_stale = !sharing::is_fresh(&kept.head, times.response, &options);
        let outrun = || sharing::outrun(&asked.request, &response.head, *times, &options);
        let audience = if came_stale && outrun().is_some() { Audience::Waiting } else { Audience::All };
        keep(asked, answered, kept, audience, self.lead.take(), self.epoch)
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
        let may_share = response.bound.is_none() && !self.question.is_unkeyed;
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
}

/// Answers with a response that another request began to store, which the origin has validated.
fn confirmed(head: StoredHead, (begun, reader): (Filling, FillReader), answered: &Answered) -> Fetched {
    let Answered { response, times } = answered;
    let cookies = own_cookies(&response.head.fields, &head.head.fields);
    let filling = Filling { head: Arc::new(head), ..begun };
    Fetched::Confirmed { filling, reader, status: 304, times: *times, cookies }
}

/// Returns a stale stored response in place of a failed exchange, if that is allowed (RFC 5861 §4). `status` is the
/// status of the origin's answer, if there was one.
pub fn stand_in(asked: &Asked, stored: Option<&Arc<StoredResponse>>, status: Option<u16>) -> Option<Fetched> {
    let stored = stored?;
    let reason = stands_in(asked, stored, status)?;
    Some(Fetched::StoodIn { stored: stored.clone(), reason, status, failure: None })
}

/// Returns a stale stored response without asking an origin that has been failing, if that is allowed (RFC 5861 §4).
pub fn spared(asked: &Asked, stored: Option<&Arc<StoredResponse>>) -> Option<Fetched> {
    let stored = stored?;
    let reason = spares(asked, stored)?;
    Some(Fetched::Spared { stored: stored.clone(), reason })
}

/// Returns the cookies that the origin sent to this client. They are empty if the stored fields have cookies.
fn own_cookies(sent: &Fields, stored: &Fields) -> Vec<FieldValue> {
    let sent = sent.values(&SET_COOKIE).filter(|_| !stored.contains(&SET_COOKIE));
    sent.cloned().collect()
}
