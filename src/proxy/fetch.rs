//! Answers from the origin, for one client or for many at once.

use tokio::sync::oneshot;

use super::{
    ask::{ask, spared, stand_in},
    collapse::Join,
    context::Asked,
    failure::status_of,
    fetched::Fetched,
    fill::FillReader,
    landing::{FlightKey, Flying, Landing},
    question::{Again, ClientSide, Content, Found, Question},
    respond,
    verdict::{Answer, Tier, Verdict},
};
use crate::{
    client::Connection,
    message::StoredHead,
    origin::OriginError,
    policy::{
        reuse::{Forward, Mode, Reuse, reuse},
        vary,
    },
};

/// Answers a request from the origin.
pub async fn fetch(asked: Asked, content: Content, connection: Connection, found: Found, forward: Forward) -> Answer {
    let verdict = Verdict::forwarded(forward.fwd, forward.reason);
    let alone = asked.cx.shared.goes_alone(&found.key, asked.cx.clock.now());
    let mode = match forward.mode {
        // where nothing is to be shared the client's own conditions are worth more than a whole response
        Mode::Fetch if alone && found.stored.is_none() => Mode::Pass,
        mode => mode,
    };
    let mut question = question(asked.clone(), content, Some(connection), found, mode);
    let joined = match alone {
        true => Joined::Alone,
        false => join(&mut question, &verdict).await,
    };
    match joined {
        Joined::Answered(answer) => *answer,
        Joined::Leads(lead) => {
            let (told, tell) = oneshot::channel();
            tokio::task::spawn_local(lead_flight(question, lead, Some(told)));
            let fetched = tell.await.unwrap_or(Fetched::Failed(OriginError::Closed));
            answer(&asked, fetched, verdict)
        }
        Joined::Alone => answer(&asked, ask(question, None).await, verdict),
    }
}

/// Validates a stored response after an answer was given from it (RFC 5861 §3).
pub fn refresh(asked: Asked, content: Content, found: Found) {
    let flight = FlightKey { primary: asked.primary, variant: found.key };
    if let Join::Lead(lead) = asked.cx.shared.flights.join(&flight) {
        let question = question(asked, content, None, found, Mode::Validate);
        tokio::task::spawn_local(async move {
            if lead.is_late(question.looked)
                && let Again { usable: Some((stored, _)), fresh: true, .. } = question.look_again().await
            {
                return lead.land(Landing::Found(stored));
            }
            lead_flight(question, lead, None).await;
        });
    }
}

fn question(asked: Asked, content: Content, connection: Option<Connection>, found: Found, mode: Mode) -> Question {
    let flight = FlightKey { primary: asked.primary, variant: found.key };
    let owner = connection.as_ref().filter(|_| !asked.request.forwarded).map(Connection::attached);
    let interim = connection.filter(|_| asked.request.version.has_interim());
    Question {
        asked,
        content,
        client: ClientSide { interim, owner },
        stored: found.stored,
        mode,
        flight,
        looked: found.looked,
    }
}

/// What became of joining the flight of a question.
enum Joined {
    Leads(Flying),
    Answered(Box<Answer>),
    Alone,
}

/// Joins those who ask for the same. The flight's key follows what is learned of the variants on the way, once: an origin
/// that varies otherwise each time is asked by each.
async fn join(question: &mut Question, verdict: &Verdict) -> Joined {
    let mut rejoined = false;
    while question.collapses() {
        let (cx, request) = (&question.asked.cx, &question.asked.request);
        match cx.shared.flights.join(&question.flight) {
            Join::Lead(lead) => {
                if !lead.is_late(question.looked) {
                    return Joined::Leads(lead);
                }
                let again = Box::pin(question.look_again()).await;
                if let Some((stored, reason)) = again.usable {
                    lead.land(Landing::Found(stored.clone()));
                    let answer = respond::hit(&question.asked, &stored, reason, Tier::Memory, cx.clock.now());
                    return Joined::Answered(Box::new(answer));
                }
                question.looked = again.looked;
                if again.key == question.flight.variant || rejoined {
                    return Joined::Leads(lead);
                }
                question.flight.variant = again.key;
            }
            Join::Follow(follow) => {
                let Some(landing) = follow.landed().await else {
                    log::debug!("a flight was given up; joining again");
                    continue;
                };
                let varies = landing.varies_for(request, question.asked.policy());
                if let Some(answer) = followed(question, landing, verdict) {
                    return Joined::Answered(Box::new(answer));
                }
                let variant = varies.filter(|_| !rejoined).map(|values| question.flight.primary.variant(&values));
                match variant {
                    // others may ask for the same variant
                    Some(variant) if variant != question.flight.variant => question.flight.variant = variant,
                    _ => return Joined::Alone,
                }
            }
        }
        rejoined = true;
    }
    Joined::Alone
}

/// Asks for all who follow, and for the one who is told. Where they have all left before the answer comes the question is
/// given up, but for a few: the next to ask may be glad of the answer.
async fn lead_flight(question: Question, lead: Flying, told: Option<oneshot::Sender<Fetched>>) {
    // followers may be on other workers
    let _held = question.asked.worker.hold();
    let followers = lead.followers();
    let site = question.asked.site.clone();
    let mut asking = Box::pin(ask(question, Some(lead)));
    let Some(mut told) = told else {
        asking.await;
        return;
    };
    let deserted = async {
        told.closed().await;
        followers.gone().await;
        if let Some(_place) = site.origin.unattended() {
            std::future::pending().await
        }
    };
    tokio::select! {
        fetched = &mut asking => drop(told.send(fetched)),
        () = deserted => log::debug!("a question to the origin was given up: nobody waits for its answer"),
    }
}

/// The answer for the client whose request went to the origin.
fn answer(asked: &Asked, fetched: Fetched, verdict: Verdict) -> Answer {
    match fetched {
        Fetched::Stored { stored, reason, validated, cookies } => {
            let mut verdict = Verdict { reason, from_cache: true, tier: Tier::Memory, ..verdict };
            if let Some((status, times)) = validated {
                verdict = verdict.answered(status, times);
            }
            respond::stored(asked, &stored, cookies, verdict, asked.cx.clock.now())
        }
        Fetched::Spared { stored, reason } => respond::hit(asked, &stored, reason, Tier::Memory, asked.cx.clock.now()),
        Fetched::StoodIn { stored, reason, status, failure } => {
            let tier = Tier::Memory;
            let verdict = Verdict { reason, from_cache: true, tier, fwd_status: status, failure, ..verdict };
            respond::stored(asked, &stored, Vec::new(), verdict, asked.cx.clock.now())
        }
        Fetched::Filling { head, filling, reader, combined } => {
            let fill = Some(filling.fill.clone());
            let verdict = Verdict { stored: true, fill, ..verdict.answered(filling.status, filling.times) };
            match combined {
                true => respond::filling(asked, &filling, reader, verdict),
                false => respond::fresh_from_origin(asked, &head, &filling, reader, verdict),
            }
        }
        Fetched::Relay { answered, reason } => {
            let status = answered.response.head.status.as_u16();
            let verdict = Verdict { reason, ..verdict.answered(status, answered.times) };
            respond::relayed(asked, answered.response, verdict)
        }
        Fetched::Failed(error) => respond::failed(asked, &error, verdict),
    }
}

/// The answer for a client that waited for another's request; `None`: it has to go alone.
fn followed(question: &Question, landing: Landing, verdict: &Verdict) -> Option<Answer> {
    let (asked, now) = (&question.asked, question.asked.cx.clock.now());
    let used = |head: &StoredHead| match reuse(&asked.request, Some(head), false, now, asked.policy()) {
        Reuse::Serve(_, reason) | Reuse::Refresh(_, reason) => Some(reason),
        _ => None,
    };
    let usable =
        |head: &StoredHead| vary::matches(&head.nominated, &asked.request, asked.policy()) && used(head).is_some();
    let verdict = Verdict { collapsed: true, ..verdict.clone() };
    let stand_in = |status| stand_in(asked, question.stored.as_ref(), status);
    match landing {
        Landing::Stored { stored, status, times } if usable(&stored.head) => {
            let verdict = Verdict { from_cache: true, tier: Tier::Memory, ..verdict.answered(status, times) };
            Some(respond::stored(asked, &stored, Vec::new(), verdict, now))
        }
        Landing::Found(stored) if usable(&stored.head) => {
            Some(respond::hit(asked, &stored, used(&stored.head)?, Tier::Memory, now))
        }
        Landing::Filling(filling) if usable(&filling.head) && filling.may_be_joined(now) => {
            let reader = FillReader::of(&filling.fill)?;
            Some(respond::filling(asked, &filling, reader, verdict.answered(filling.status, filling.times)))
        }
        Landing::Failed(error) => Some(match stand_in(status_of(&error)) {
            Some(fetched) => answer(asked, fetched.because_of(&error), verdict),
            None => respond::failed(asked, &error, verdict),
        }),
        Landing::Erred(status) => Some(answer(asked, stand_in(Some(status))?, verdict)),
        Landing::Spared => Some(answer(asked, spared(asked, question.stored.as_ref())?, verdict)),
        Landing::Stored { .. } | Landing::Found(_) | Landing::Filling(_) | Landing::Alone => None,
    }
}
