//! Whole numbers that take as few bytes as they need: seven bits in each byte, the lowest first; the highest bit is set in
//! every byte but the last (LEB128). Each number has exactly one form.

/// The longest number has so many bytes.
const LONGEST: usize = 10;

/// Appends a number.
pub fn append(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Splits the first number off. Returns `None` if there is none, or if it is in another form than `append` writes.
pub fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(LONGEST).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * at as u32;
        number |= bits << shift;
        if bits << shift >> shift != bits || (*byte == 0 && at > 0) {
            return None;
        }
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        append(&mut bytes, number);
        bytes
    }

    #[test]
    fn a_number_has_one_form() {
        for (number, form) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x80, 1]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            assert_eq!(written(number), form);
            assert_eq!(split(form), Some((number, &[][..])));
        }
        let others: [&[u8]; 5] = [
            &[],
            &[0x80],
            // 0 and 1 with a byte too many
            &[0x80, 0],
            &[0x81, 0],
            // 2^64
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2],
        ];
        for other in others {
            assert_eq!(split(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back_with_what_stands_behind(number: u64, bits in 0..64, rest: Vec<u8>) {
            let number = number >> bits;
            let bytes = [written(number), rest.clone()].concat();
            prop_assert_eq!(split(&bytes), Some((number, &rest[..])));
        }

        #[test]
        fn what_is_read_would_be_written_like_that(bytes: Vec<u8>) {
            if let Some((number, rest)) = split(&bytes) {
                prop_assert_eq!(written(number), &bytes[..bytes.len() - rest.len()]);
            }
        }
    }
}
