//! The results of asking the origin.

use std::sync::Arc;

use super::{exchange::Answered, fill::FillReader, landing::Filling};
use crate::{
    message::{FieldValue, ResponseHead},
    origin::OriginError,
    policy::{Reason, Times},
    store::StoredResponse,
};

/// The result of asking the origin.
pub enum Fetched {
    /// A stored response answers. `validated` is the status and the times of the origin's answer, if that validated it.
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
    /// A stale stored response answers because the origin failed. `status` is that of the origin's answer, if there was
    /// one.
    StoodIn {
        stored: Arc<StoredResponse>,
        reason: Reason,
        status: Option<u16>,
        /// The error, if the origin gave no answer.
        failure: Option<Box<OriginError>>,
    },
    /// The response is being stored, or shared with the requests that wait for it.
    Filling {
        head: ResponseHead,
        filling: Filling,
        reader: FillReader,
        /// The stored response with a gap that this one closes. Both together answer, with the other gaps closed.
        completes: Option<Arc<StoredResponse>>,
        /// Why the response is not stored. `None` means that it is.
        not_stored: Option<Reason>,
    },
    /// A response that another request began to store answers. The origin has validated it for this request.
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
