//! Which rules of a list apply.

/// How a rule matches a request whose path and query can be read in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum How {
    /// One reading matches: what the rule forbids is forbidden.
    Partly,
    /// All readings match: the rule applies.
    Wholly,
}

/// The rules that apply, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Matched {
    pub(super) rules: Vec<(u16, How)>,
    /// The answer's status is one for which rules without `status` give no lifetime.
    pub(super) without_lifetime: bool,
}

impl Matched {
    /// Adds the rules that match in another way, for what they forbid.
    pub fn with_part_of(mut self, other: Matched) -> Matched {
        for (rule, _) in other.rules {
            if self.rules.iter().all(|(known, _)| *known != rule) {
                self.rules.push((rule, How::Partly));
            }
        }
        self.rules.sort_unstable();
        self
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
