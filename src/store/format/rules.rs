//! Purge rules as lines of the journal. The value of a line is the print that the rule finds things by; where a kind of
//! line stands for several rules, a byte before it tells which.

use super::lines::{Line, RuleKind, RuleLine};
use crate::purge::{Print, Rule, Strength, Target};

/// What the first byte of a prefix's value says: whether the path itself is reached, too.
const PATH: u8 = 0;
const BELOW: u8 = 1;
/// What the first byte of a floor's value says: what is below it.
const OF_ALL: u8 = 0;
const OF_URLS: u8 = 1;
const OF_TAGS: u8 = 2;

/// Returns the line of a rule.
pub fn line(rule: &Rule) -> Line {
    let Rule { target, strength, position } = *rule;
    let (kind, value) = match target {
        Target::All => (RuleKind::All, Vec::new()),
        Target::Url(print) => (RuleKind::Url, print.0.to_be_bytes().to_vec()),
        Target::Prefix(print) => (RuleKind::Prefix, which(PATH, &print.0.to_be_bytes())),
        Target::Below(print) => (RuleKind::Prefix, which(BELOW, &print.0.to_be_bytes())),
        Target::Tag(hash) => (RuleKind::Tag, hash.to_be_bytes().to_vec()),
        Target::Path(print) => (RuleKind::Path, print.0.to_be_bytes().to_vec()),
        Target::Floor => (RuleKind::Floor, which(OF_ALL, &[])),
        Target::UrlFloor(bucket) => (RuleKind::Floor, which(OF_URLS, &bucket.to_be_bytes())),
        Target::TagFloor(bucket) => (RuleKind::Floor, which(OF_TAGS, &bucket.to_be_bytes())),
    };
    Line::Rule(Box::new(RuleLine { kind, soft: strength == Strength::Soft, position, value }))
}

fn which(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

/// Returns the rule of a line. `Err`: the line is a rule, and nobody knows which.
pub fn rule(line: &Line) -> Result<Option<Rule>, ()> {
    let Line::Rule(rule) = line else { return Ok(None) };
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).map_err(drop);
    let print = |bytes: &[u8]| number(bytes).map(Print);
    let bucket = |bytes: &[u8]| bytes.try_into().map(u16::from_be_bytes).map_err(drop);
    let target = match (rule.kind, &rule.value[..]) {
        (RuleKind::All, []) => Target::All,
        (RuleKind::Url, value) => Target::Url(print(value)?),
        (RuleKind::Prefix, [PATH, value @ ..]) => Target::Prefix(print(value)?),
        (RuleKind::Prefix, [BELOW, value @ ..]) => Target::Below(print(value)?),
        (RuleKind::Tag, value) => Target::Tag(number(value)?),
        (RuleKind::Path, value) => Target::Path(print(value)?),
        (RuleKind::Floor, [OF_ALL]) => Target::Floor,
        (RuleKind::Floor, [OF_URLS, value @ ..]) => Target::UrlFloor(bucket(value)?),
        (RuleKind::Floor, [OF_TAGS, value @ ..]) => Target::TagFloor(bucket(value)?),
        (RuleKind::All | RuleKind::Prefix | RuleKind::Floor, _) => return Err(()),
    };
    let strength = if rule.soft { Strength::Soft } else { Strength::Hard };
    Ok(Some(Rule { target, strength, position: rule.position }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purge::Position;

    #[test]
    fn a_rule_comes_back_from_its_line_and_an_odd_value_is_no_rule() {
        let print = Print(0x0123_4567_89ab_cdef);
        let targets = [
            Target::All,
            Target::Url(print),
            Target::Prefix(print),
            Target::Below(print),
            Target::Tag(7),
            Target::Path(print),
            Target::Floor,
            Target::UrlFloor(65_535),
            Target::TagFloor(1),
        ];
        for target in targets {
            for strength in [Strength::Hard, Strength::Soft] {
                let rule = Rule { target, strength, position: Position { milliseconds: 5, sequence: 6 } };
                let line = line(&rule);
                assert_eq!(super::rule(&line), Ok(Some(rule)));
                if let Line::Rule(mut odd) = line {
                    odd.value.push(0);
                    assert_eq!(super::rule(&Line::Rule(odd)), Err(()), "{target:?}");
                }
            }
        }
        assert_eq!(super::rule(&Line::HighWater(Position::ZERO)), Ok(None));
    }
}
