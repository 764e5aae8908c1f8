//! The bytes that names and values may consist of.

/// Returns true if a token may hold this byte (RFC 9110 §5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns true if a field value may hold this byte: a tab, a space, or anything that is not a control character
/// (RFC 9110 §5.5).
pub fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{FieldName, FieldValue};

    #[test]
    fn the_bytes_are_those_of_the_names_and_values_of_http() {
        for byte in 0..=255u8 {
            // http 0.2 lets a name hold a quote, too
            let is_name = byte != b'"' && FieldName::from_bytes(&[byte]).is_ok();
            assert_eq!(is_token(byte), is_name, "{byte:#x}");
            assert_eq!(is_text(byte), FieldValue::from_bytes(&[byte]).is_ok(), "{byte:#x}");
        }
    }
}
