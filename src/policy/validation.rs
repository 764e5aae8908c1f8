use super::{Options, Reason, Times};
use crate::{
    clock::Timestamp,
    message::{FieldName, FieldValue, Request, ResponseHead, StoredHead},
};

/// The conditions that ask whether a stored response is current (RFC 9111 §4.3.1); empty: it cannot be validated.
pub fn conditions(_stored: &StoredHead) -> Vec<(FieldName, FieldValue)> {
    todo!()
}

/// The fields (Range, If-Range) that ask for what is missing of a stored part so that `request` can be answered
/// (RFC 9111 §3.3); `None`: it cannot be completed (no strong validator, unknown length).
pub fn completion(_request: &Request, _stored: &StoredHead) -> Option<Vec<(FieldName, FieldValue)>> {
    todo!()
}

/// A stored response and a 304, made one (RFC 9111 §3.2, §4.3.4); `None`: the 304 is about another one.
pub fn freshen(
    _request: &Request,
    _stored: &StoredHead,
    _response: &ResponseHead,
    _times: Times,
    _options: &Options,
) -> Option<StoredHead> {
    todo!()
}

/// What an answer to HEAD does to the stored answer to GET (RFC 9111 §4.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadSays {
    Freshened(Box<StoredHead>),
    Changed,
    Nothing,
}

pub fn freshen_by_head(
    _request: &Request,
    _stored: &StoredHead,
    _stored_length: u64,
    _response: &ResponseHead,
    _times: Times,
    _options: &Options,
) -> HeadSays {
    todo!()
}

/// A stored part and a 206 that continues it, made one (RFC 9111 §3.4); `None`: they do not belong together. The
/// result's part tells what the two hold together; bytes of the new one win where they overlap.
pub fn combine(_stored: &StoredHead, _new: &StoredHead) -> Option<StoredHead> {
    todo!()
}

/// May a stale stored response stand in for this failed exchange (RFC 9111 §4.2.4, RFC 5861 §4)? `status`: the
/// origin's answer, where there was one.
pub fn on_error(
    _request: &Request,
    _stored: &StoredHead,
    _status: Option<u16>,
    _now: Timestamp,
    _options: &Options,
) -> Result<Reason, Reason> {
    todo!()
}
