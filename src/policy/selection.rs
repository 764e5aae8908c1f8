use crate::message::{Part, Request, ResponseHead};

/// What of a response answers the request's conditions and ranges (RFC 9110 §13.2.2, §14.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    Whole,
    /// 304.
    NotModified,
    /// 206 with these bytes, first to last.
    Part(u64, u64),
    /// 206 multipart/byteranges: at least two ranges, in the order asked for, none overlapping.
    Parts(Vec<(u64, u64)>),
    /// 416.
    NotSatisfiable,
}

/// `length`: of the whole representation. `part`: the bytes that are there, where they are not all.
pub fn select(_request: &Request, _response: &ResponseHead, _length: Option<u64>, _part: Option<Part>) -> Selection {
    todo!()
}

pub fn not_modified_fields(_r: &ResponseHead) -> crate::message::Fields {
    todo!()
}
