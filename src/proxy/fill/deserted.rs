//! Decides whether the rest of a body is fetched although no client waits for it any more.

use std::time::Duration;

/// A deserted body is fetched to its end only if the rest is expected within this time.
pub const FINISHED_WITHIN: Duration = Duration::from_secs(10);

/// How long the fetching of a deserted body goes on before its pace is judged. If the length is unknown, it ends then.
pub const JUDGED_AFTER: Duration = Duration::from_secs(1);

/// A body that no client waits for.
#[derive(Debug, Clone, Copy)]
pub struct Deserted {
    /// The number of bytes that have come.
    pub total: u64,
    /// The length of the body, if it is known.
    pub known: Option<u64>,
    /// The time since the fill began.
    pub coming: Duration,
    /// The time for which no client has waited for it.
    pub alone: Duration,
}

impl Deserted {
    /// Returns true if the rest may still be fetched.
    pub fn may_go_on(&self) -> bool {
        if self.alone < JUDGED_AFTER {
            return true;
        }
        let Some(known) = self.known else { return false };
        let rest = known.saturating_sub(self.total);
        let left = FINISHED_WITHIN.saturating_sub(self.alone);
        // rest / (total / coming) <= left, without a division by zero
        u128::from(rest) * self.coming.as_millis() <= left.as_millis() * u128::from(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deserted_body_goes_on_while_its_rest_is_expected_in_time() {
        let ms = Duration::from_millis;
        for (total, known, coming, alone, goes_on) in [
            // too early to tell
            (0, None, 0, 0, true),
            (0, Some(1 << 40), 0, 999, true),
            // no length: no end can be expected
            (1 << 20, None, 2_000, 1_000, false),
            // nothing has come in a second
            (0, Some(1), 1_000, 1_000, false),
            // 1,000 bytes a second: 9,000 come in 9 s, 9,001 do not
            (1_000, Some(10_000), 1_000, 1_000, true),
            (1_000, Some(10_001), 1_000, 1_000, false),
            // the time that is left shrinks
            (9_999, Some(10_000), 20_000, 9_990, true),
            (9_999, Some(10_000), 20_000, 9_999, false),
            (9_999, Some(10_000), 20_000, 10_000, false),
            (u64::MAX - 1, Some(u64::MAX), u64::MAX, 1_000, true),
        ] {
            let deserted = Deserted { total, known, coming: ms(coming), alone: ms(alone) };
            assert_eq!(deserted.may_go_on(), goes_on, "{deserted:?}");
        }
    }
}
