//! See [`crate::fuzzing`].

use super::record::{self, BodyForm, Record, RecordBody};
use crate::key::CacheKey;

/// The first 16 bytes of the input begin a record, the rest is its head and its body; length, key and sum are put right,
/// so that what stands behind them is looked at.
pub fn record(data: &[u8]) {
    let key = CacheKey([7; 32]);
    let _ = record::decode(&key, data);
    let Some((prefix, rest)) = data.split_at_checked(16) else { return };
    let mended = record::mend(prefix, &key, rest);
    let again = match record::decode(&key, &mended) {
        None => return,
        Some(Record::Variants(variants)) => record::encode_variants(&key, &variants),
        Some(Record::Response(head, RecordBody::Inline(bytes))) => {
            record::encode_response(&key, &head, BodyForm::Inline(&bytes))
        }
        Some(Record::Response(head, RecordBody::Beside(location))) => {
            record::encode_response(&key, &head, BodyForm::Beside(location))
        }
    };
    let again = again.map(|record| record::decode(&key, &record).is_some());
    assert_eq!(again, Some(true), "what was read can be written, and read again");
}
