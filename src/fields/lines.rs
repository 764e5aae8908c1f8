//! Field lines as bytes (RFC 9112 §5).

use http::header;

use super::spelling;
use crate::message::{FieldName, FieldValue, Fields, WrittenFields};

/// Writes these fields but for those of the framing.
pub fn written(fields: &Fields) -> WrittenFields {
    let mut lines = Vec::with_capacity(size(fields));
    write(fields, &mut lines);
    WrittenFields { lines: lines.into(), dated: fields.contains(&header::DATE) }
}

/// Appends the fields but for those of the framing, in their order.
pub fn write(fields: &Fields, out: &mut Vec<u8>) {
    for (name, value) in without_framing(fields) {
        spelling::write(name, out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Returns how many bytes [`write`] appends.
pub fn size(fields: &Fields) -> usize {
    without_framing(fields).map(|(name, value)| name.as_str().len() + ": ".len() + value.len() + "\r\n".len()).sum()
}

fn without_framing(fields: &Fields) -> impl Iterator<Item = (&FieldName, &FieldValue)> {
    fields.iter().filter(|(name, _)| !is_framing(name))
}

/// Returns true for the fields that follow from the body and the connection: nobody else may set them.
fn is_framing(name: &FieldName) -> bool {
    matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION)
}
