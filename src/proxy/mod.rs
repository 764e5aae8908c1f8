//! Handles one request from its head to its answer. All other modules are called from here; the method, the size and
//! the protocol are parameters of the calls.

mod access;
mod admission;
mod ask;
mod authority;
mod collapse;
mod content;
mod context;
mod cookies;
mod count;
mod counts;
mod effects;
mod exchange;
mod explain;
mod failure;
mod fetch;
mod fetched;
mod fill;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod gaps;
mod health;
mod histogram;
mod host_mode;
mod inward;
mod judgement;
mod keep;
mod keying;
mod landing;
mod led;
mod locating;
mod observed;
mod outcome;
mod outward;
mod pieces;
mod putting;
mod question;
mod refusal;
mod request;
mod respond;
mod said;
mod secure;
mod shared;
mod site;
mod sites;
mod steered;
mod tail;
#[cfg(test)]
mod tests;
mod verdict;
mod warning;
mod words;

use std::{pin::pin, rc::Rc};

use self::{
    admission::{Admitted, admit, admit_with_content},
    observed::Observed,
    question::{Found, decide, find},
    refusal::{Refusal, refused},
    said::believe,
    verdict::{Answer, Verdict},
    warning::Warning,
};
pub use self::{
    context::Context,
    counts::{Counts, Total, WorkerCounts},
    explain::{explain, first_answer},
    forward::OriginUrl,
    health::Health,
    histogram::Times,
    host_mode::HostMode,
    locating::{Directory, LocateError, Located},
    observed::refused as refused_by_client_side,
    outcome::Kind,
    secure::Secure,
    shared::Shared,
    site::Site,
    sites::{Plan, SitePlan, Sites},
    tail::{TailItem, TailLine},
};
use crate::{
    client::{Connection, Presented, Reply},
    fields::authentication::authenticates_connection,
    logging::escape,
    message::Request,
    origin::{OriginError, Owner},
    policy::reuse::{Forward, Reuse},
};

/// Tells the operator how to have another host served.
const ALLOW: &str = "it serves one site; --allow-host lets it do so under this name";

/// Answers a request. Its outcome is logged and counted when the answer has been sent.
// no `async fn`: that would hold the request twice, and each request writes all of the future
pub fn serve(cx: Rc<Context>, mut presented: Presented) -> impl Future<Output = Reply> {
    let Presented { peer, scheme, fields, .. } = &mut presented;
    let said = believe(peer, scheme, fields, &cx.trusted);
    let mut observed = Observed::begin(&cx, &presented);
    async move {
        let admitted = match presented.body.is_empty() {
            true => admit(cx, presented, &said),
            // boxed, so that a request without content does not pay for its state
            false => Box::pin(admit_with_content(cx, presented, &said)).await,
        };
        let mut answer = match admitted {
            Ok(admitted) => {
                observed.chose(&admitted.asked.site);
                let found = find(&admitted.asked, &admitted.content).await;
                answer(admitted, found).await
            }
            Err(refusal) => {
                if let Refusal::Foreign(host) = &refusal {
                    static FOREIGN: Warning = Warning::each_minute();
                    let host = escape(host);
                    FOREIGN.say(format_args!(
                        "somebody uses Larder as a proxy for {host}, which is refused (421): {ALLOW}"
                    ));
                }
                refused(&refusal)
            }
        };
        if let Some(steered) = answer.verdict.steered.clone() {
            steered.change(&mut answer.reply.fields);
        }
        observed.end(answer)
    }
}

/// Returns true if the client's connection to the origin is authenticated, or will be by this request.
fn is_bound(request: &Request, connection: &Connection) -> bool {
    let owner = connection.attachment::<Owner>().filter(|_| !request.forwarded);
    owner.is_some_and(|owner| owner.bound().is_some()) || authenticates_connection(&request.fields).is_some()
}

/// Answers from the stored response, from the origin, or with a refusal.
// no `async fn`: see `serve`
fn answer(admitted: Admitted, found: Found) -> impl Future<Output = Answer> {
    let now = admitted.asked.cx.clock.now();
    async move {
        let Admitted { asked, content, connection } = &admitted;
        let decision = decide(asked, content, &found, || is_bound(&asked.request, connection), now);
        match decision {
            Reuse::Serve(stored, reason) => respond::hit(asked, stored, reason, found.tier, now),
            Reuse::Refresh(stored, reason) => {
                let answer = respond::hit(asked, stored, reason, found.tier, now);
                fetch::refresh(admitted.asked, admitted.content, found);
                answer
            }
            Reuse::Refuse(reason) => refused(&Refusal::OnlyIfCached(reason)),
            // boxed, so that a hit does not pay for the state of a fetch
            Reuse::Reload(_, forward) => Box::pin(forwarded(fetch::reload, admitted, found, forward)).await,
            Reuse::Forward(forward) => Box::pin(forwarded(fetch::fetch, admitted, found, forward)).await,
        }
    }
}

/// Answers from the origin, with `fetch`. A client that has ended its side of the connection may have left; only a few
/// such clients may wait.
async fn forwarded<F: Future<Output = Answer>>(
    fetch: impl FnOnce(Admitted, Found, Forward) -> F,
    admitted: Admitted,
    found: Found,
    forward: Forward,
) -> Answer {
    let (asked, connection) = (admitted.asked.clone(), admitted.connection.clone());
    let crowded_out = async {
        connection.half_closed().await;
        if let Some(_place) = asked.site.origin.unattended() {
            std::future::pending().await
        }
    };
    let mut fetching = pin!(fetch(admitted, found, forward));
    tokio::select! {
        biased;
        answer = &mut fetching => answer,
        () = crowded_out => {
            respond::failed(&asked, &OriginError::Crowded, Verdict::forwarded(forward.fwd, forward.reason))
        }
    }
}
