//! What one request to the origin brings, for those who wait for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{collapse::Lead, fill::Fill};
use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
    message::{Nominated, Request, StoredHead},
    origin::OriginError,
    policy::{Options, Times, vary},
    purge::{Judged, Standing},
    store::StoredResponse,
};

/// How long after its head a response of unknown length may still be joined.
const JOINED_WITHIN: Seconds = Seconds(5);

/// A URL's key, and the key of the variant of it that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlightKey {
    pub primary: CacheKey,
    pub variant: CacheKey,
}

/// The duty to tell those who follow what became of the request.
pub type Flying = Lead<FlightKey, Landing>;

/// What the leader of a flight tells those who follow.
#[derive(Clone)]
pub enum Landing {
    /// The stored response was validated.
    Stored {
        stored: Arc<StoredResponse>,
        status: u16,
        times: Times,
    },
    /// An earlier flight had stored the response already.
    Found(Arc<StoredResponse>),
    /// The response is on its way.
    Filling(Filling),
    /// The origin answered with a server error that is for the leader alone. Those who ask again do so a few at a time.
    Failing(Arc<Semaphore>),
    /// The answer was for the leader alone.
    Alone,
    Failed(OriginError),
    /// The origin answered with an error. A stale response may stand in for it.
    Erred(u16),
    /// The origin was not asked, because it has been failing. A stale response may answer.
    Spared,
}

/// The head of a response that is on its way or was stored just now, with what the purge rules say about it.
pub struct Looked<'a> {
    pub head: &'a StoredHead,
    pub standing: Standing,
}

impl AsRef<StoredHead> for Looked<'_> {
    fn as_ref(&self) -> &StoredHead {
        self.head
    }
}

impl Judged for Looked<'_> {
    fn standing(&self) -> Standing {
        self.standing
    }
}

/// A response that is being stored.
#[derive(Clone)]
pub struct Filling {
    pub head: Arc<StoredHead>,
    pub fill: Arc<Fill>,
    /// In bytes, where it is known.
    pub length: Option<u64>,
    /// The status of the origin's answer.
    pub status: u16,
    pub times: Times,
    pub audience: Audience,
}

/// Who may get a response that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Everybody who may reuse it.
    All,
    /// Besides, those who asked before it came, though it came stale.
    Waiting,
    /// Those who asked before it came and bring nothing that tells who they are: it is a server error.
    Anonymous,
}

impl Filling {
    /// Returns true if a request may join now. A body of unknown length may be a stream: whoever comes later wants its present,
    /// not its history.
    pub fn may_be_joined(&self, now: Timestamp) -> bool {
        self.length.is_some() || now.since(self.times.response) < JOINED_WITHIN
    }
}

impl Landing {
    /// The request's values of the nominated fields, where they differ from those of the response that landed.
    pub fn varies_for(&self, request: &Request, options: &Options) -> Option<Vec<Nominated>> {
        let nominated = match self {
            Landing::Stored { stored, .. } | Landing::Found(stored) => &stored.head.nominated,
            Landing::Filling(filling) => &filling.head.nominated,
            Landing::Alone | Landing::Failing(_) | Landing::Failed(_) | Landing::Erred(_) | Landing::Spared => {
                return None;
            }
        };
        (!vary::matches(nominated, request, options)).then(|| vary::renominate(nominated, request, options))
    }
}
