use super::{Options, Reason};
use crate::{
    clock::{Seconds, Timestamp},
    message::StoredHead,
};

/// How long a response is fresh, and where that was said (RFC 9111 §4.2.1, §4.2.2, RFC 9213).
pub fn freshness_lifetime(_stored: &StoredHead, _options: &Options) -> (Seconds, Reason) {
    todo!()
}

/// RFC 9111 §4.2.3.
pub fn current_age(_stored: &StoredHead, _now: Timestamp) -> Seconds {
    todo!()
}
