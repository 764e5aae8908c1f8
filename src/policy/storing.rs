use super::{Options, Reason, Times};
use crate::message::{Request, ResponseHead, StoredHead};

/// May this response be stored, and as what (RFC 9111 §3)? Fields that must not be stored are gone from the result.
/// For an answer to POST the result is what a later GET may use (RFC 9110 §9.3.3).
pub fn storing(
    _request: &Request,
    _response: &ResponseHead,
    _times: Times,
    _options: &Options,
) -> Result<StoredHead, Reason> {
    todo!()
}
