//! The result of one request to the origin, for the requests that wait for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{collapse::Lead, fill::Fill};
use crate::{
    clock::{Seconds, Timestamp},
    fields::control::Controlled,
    key::CacheKey,
    message::{Nominated, Request, StoredHead},
    origin::OriginError,
    policy::{Options, Times, vary},
    purge::{Judged, Standing},
    store::StoredResponse,
};

/// How long after its head came a response of unknown length may still be joined.
const JOINED_WITHIN: Seconds = Seconds(5);

/// A URL's key, and the key of the variant of it that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlightKey {
    pub primary: CacheKey,
    pub variant: CacheKey,
}

/// The lead of a flight: the duty to tell the followers the result.
pub type Flying = Lead<FlightKey, Landing>;

/// The result that the leader of a flight tells its followers.
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
    /// The response is being received.
    Filling(Filling),
    /// The origin answered with a server error that is for the leader alone. The followers ask again, a few at a time.
    Failing(Arc<Semaphore>),
    /// The answer was for the leader alone.
    Alone,
    Failed(OriginError),
    /// The origin answered with an error. A stale response may stand in for it.
    Erred(u16),
    /// The origin was not asked, because it has been failing. A stale response may answer.
    Spared,
}

/// The head of a response that is being received or was stored just now, with the verdict of the purge rules on it.
pub struct Looked<'a> {
    pub head: &'a StoredHead,
    pub standing: Standing,
}

impl AsRef<StoredHead> for Looked<'_> {
    fn as_ref(&self) -> &StoredHead {
        self.head
    }
}

impl Controlled for Looked<'_> {}

impl Judged for Looked<'_> {
    fn standing(&self) -> Standing {
        self.standing
    }
}

/// A response whose body is being received.
#[derive(Clone)]
pub struct Filling {
    pub head: Arc<StoredHead>,
    pub fill: Arc<Fill>,
    /// The length of the body in bytes, if it is known.
    pub length: Option<u64>,
    /// The status of the origin's answer.
    pub status: u16,
    pub times: Times,
    pub audience: Audience,
    /// False if the response is shared, but not stored.
    pub stored: bool,
}

/// The requests that may get a response that is being received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Every request that may reuse it.
    All,
    /// The same, and also the requests that waited for it, although it was stale when it came.
    Waiting,
    /// Requests that waited for it and carry no credentials: it is a server error.
    Anonymous,
}

impl Filling {
    /// Returns true if a request may join now. A body of unknown length may be a stream: a client that comes later
    /// wants its present, not its history.
    pub fn may_be_joined(&self, now: Timestamp) -> bool {
        self.length.is_some() || now.since(self.times.response) < JOINED_WITHIN
    }
}

impl Landing {
    /// Returns the request's values of the nominated fields, if they differ from those of the response that landed.
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
