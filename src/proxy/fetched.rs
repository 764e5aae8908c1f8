//! What came of asking the origin.

use std::sync::Arc;

use super::{exchange::Answered, fill::FillReader, landing::Filling};
use crate::{
    message::{FieldValue, ResponseHead},
    origin::OriginError,
    policy::{Reason, Times},
    store::StoredResponse,
};

/// What came of asking.
pub enum Fetched {
    /// A stored response answers. `validated`: the origin said so, with this status.
    Stored {
        stored: Arc<StoredResponse>,
        reason: Reason,
        validated: Option<(u16, Times)>,
        /// Set-Cookie lines for this client alone.
        cookies: Vec<FieldValue>,
    },
    /// A stale stored response answers. The origin was not asked, because it has been failing.
    Spared {
        stored: Arc<StoredResponse>,
        reason: Reason,
    },
    /// A stale stored response answers because the origin failed, with this status if it answered at all.
    StoodIn {
        stored: Arc<StoredResponse>,
        reason: Reason,
        status: Option<u16>,
        /// The error, where there is no answer.
        failure: Option<Box<OriginError>>,
    },
    /// The response is being stored, or shared with those who wait for it. `combined`: it continues a stored part, and answers
    /// together with that.
    Filling {
        head: ResponseHead,
        filling: Filling,
        reader: FillReader,
        combined: bool,
        /// Why it is not stored.
        not_stored: Option<Reason>,
    },
    /// A response that another request began to store answers: the origin has validated it for this one.
    Confirmed {
        filling: Filling,
        reader: FillReader,
        status: u16,
        times: Times,
        /// Set-Cookie lines for this client alone.
        cookies: Vec<FieldValue>,
    },
    /// The response is for this client alone.
    Relay {
        answered: Answered,
        reason: Reason,
    },
    Failed(OriginError),
}

impl Fetched {
    /// Notes the error that a stale stored response stands in for.
    pub fn because_of(self, error: &OriginError) -> Fetched {
        match self {
            Fetched::StoodIn { stored, reason, status, .. } => {
                Fetched::StoodIn { stored, reason, status, failure: Some(Box::new(error.clone())) }
            }
            other => other,
        }
    }
}
