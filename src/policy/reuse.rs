use super::{Fwd, Options, Reason};
use crate::{
    clock::Timestamp,
    message::{Request, StoredHead},
};

/// What is to be done with a request (RFC 9111 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Answer from the stored response; the reason says what kind of reuse it is (fresh, stale but allowed ...).
    Serve(Reason),
    /// Answer from the stored response and validate it behind (stale-while-revalidate).
    Refresh(Reason),
    /// Ask the origin whether the stored response may be used still.
    Validate(Fwd, Reason),
    /// Ask the origin for a response that others may share.
    Fetch(Fwd, Reason),
    /// Ask the origin for the rest of the representation that the stored part belongs to (RFC 9111 §3.4).
    Complete(Reason),
    /// Relay: the answer is for this request alone.
    Pass(Fwd, Reason),
    /// only-if-cached and nothing to serve: 504 (RFC 9111 §5.2.1.7).
    Refuse(Reason),
}

/// `stored`: the selected stored response, if any. `variants`: responses are stored for this URL, but none for this
/// request's nominated fields.
pub fn reuse(
    _request: &Request,
    _stored: Option<&StoredHead>,
    _variants: bool,
    _now: Timestamp,
    _options: &Options,
) -> Reuse {
    todo!()
}
