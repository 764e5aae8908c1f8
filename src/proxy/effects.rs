//! Updates other stored responses by an answer of the origin.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{context::Asked, shared::Changed};
use crate::{
    fields::method::{is_safe_request, query},
    key::CacheKey,
    message::{Method, ResponseHead, StatusCode, StoredHead},
    policy::{
        Times, invalidation, parts,
        validation::{self, HeadSays},
    },
    purge::{self, Strength, Target},
    store::{Epoch, StoredResponse},
};

/// Updates other stored responses by an answer: invalidation (RFC 9111 §4.4), freshening by HEAD (§4.3.5).
pub async fn after_effects(
    asked: &Asked,
    stored: Option<&Arc<StoredResponse>>,
    response: &ResponseHead,
    times: Times,
    epoch: Epoch,
) {
    let (cx, request) = (&asked.cx, &*asked.request);
    if !is_safe_request(request) {
        // boxed, so that a GET does not pay for its state
        Box::pin(invalidate(asked, response, times)).await;
    } else if request.method == Method::HEAD
        && let Some(stored) = stored
    {
        let (length, options) = (stored.length(), asked.policy_on(&stored.head.head));
        match validation::freshen_by_head(request, &stored.head, length, response, times, &options) {
            HeadSays::Freshened(head) => freshen(asked, stored, *head, times, epoch),
            HeadSays::Changed => cx.store.invalidate(&asked.primary),
            HeadSays::Nothing => {}
        }
    }
}

/// Invalidates what the answer to an unsafe request may have changed (RFC 9111 §4.4).
async fn invalidate(asked: &Asked, response: &ResponseHead, times: Times) {
    let (cx, request) = (&asked.cx, &*asked.request);
    let targets = invalidation::invalidates(request, response);
    // a POST has a key of its own where a rule has it answered from the cache
    let methods = [Method::GET, query(), Method::POST];
    let methods = if asked.site.book.rules().is_empty() { &methods[..2] } else { &methods[..] };
    let keys: Vec<CacheKey> =
        targets.iter().flat_map(|target| methods.iter().map(|method| asked.key(method, target))).collect();
    if asked.site.book.has_keys() {
        // a URL may have many keys: for other fields, by other rules
        let own = asked.steered.request().key.target(&request.target.path_and_query);
        let paths = targets.iter().map(|target| &*target.path_and_query).chain([&*own]);
        for path in paths.collect::<HashSet<_>>() {
            let target = purge::Target::url(&asked.policy().site, None, path);
            cx.store.purge_behind(target, Strength::Hard, cx.clock.wall());
        }
    }
    keys.iter().for_each(|key| cx.shared.note_invalidated(*key, times.response));
    let has_changed = response.status.is_success() || response.status == StatusCode::SEE_OTHER;
    let path = has_changed.then(|| purge_other_queries(asked));
    cx.store.invalidate_durably(&keys, path).await;
    purge_groups(asked, response).await;
}

/// The longest time that an unsafe request waits for a purge of groups to be on the disk.
const GROUPS: Duration = Duration::from_secs(1);

/// Purges the groups that the answer to an unsafe request names (RFC 9875 §3). The rules are in force at once.
async fn purge_groups(asked: &Asked, response: &ResponseHead) {
    let cx = &asked.cx;
    let groups = invalidation::invalidates_groups(&asked.request, response, asked.policy());
    if !groups.is_empty() {
        let purges = groups.into_iter().map(|group| cx.store.purge(group, Strength::Hard, cx.clock.wall()));
        // an error: a crash may take them back
        let _ = tokio::time::timeout(GROUPS, join_all(purges)).await;
    }
}

/// Marks the responses with an invented lifetime for the path of an unsafe request, with any query, as ones that must
/// be validated: a list is likely to have changed with one of its members. This is done at most once a second for a
/// path. A change that comes sooner takes effect when that second is over, or after a crash. Returns the target of the rule.
fn purge_other_queries(asked: &Asked) -> Target {
    let target = Target::path(&asked.policy().site, &asked.request.target.path_and_query);
    let purge = move |asked: &Asked| {
        asked.cx.store.purge_behind(target, Strength::Hard, asked.cx.clock.wall());
    };
    let changed = asked.cx.shared.note_changed(target, asked.cx.clock.now());
    match changed {
        Changed::Now => purge(asked),
        Changed::Later(_) | Changed::Awaited => {
            asked.cx.store.purge_after_a_crash(target, Strength::Hard, asked.cx.clock.wall());
        }
    }
    if let Changed::Later(after) = changed {
        let (asked, held) = (asked.clone(), asked.worker.hold());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(after).await;
            asked.cx.shared.note_changed_late(target, asked.cx.clock.now());
            purge(&asked);
            drop(held);
        });
    }
    target
}

/// Stores the new fields of a stored response, unless it was invalidated since the origin was asked.
pub fn freshen(asked: &Asked, stored: &StoredResponse, head: StoredHead, times: Times, epoch: Epoch) {
    let (cx, primary) = (&asked.cx, asked.primary);
    if !cx.shared.invalidated_since(&primary, times.request) {
        match &stored.parts {
            // the newest part is the one that counts
            Some(parts) => {
                let head = parts::of_part(head, &parts.newest.head);
                cx.store.freshen(primary, &parts.newest, head, epoch);
            }
            None => cx.store.freshen(primary, stored, head, epoch),
        }
        cx.shared.forget_if_invalidated(&cx.store, &primary, times.request);
    }
}
