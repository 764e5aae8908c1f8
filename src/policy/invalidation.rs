use crate::message::{Request, ResponseHead, Target};

/// The targets whose stored responses an answer to an unsafe request invalidates (RFC 9111 §4.4).
pub fn invalidates(_request: &Request, _response: &ResponseHead) -> Vec<Target> {
    todo!()
}
