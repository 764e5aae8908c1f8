//! What several rules set together.

use std::sync::Arc;

use super::{
    matched::{How, Matched},
    settings::{Setting, Settings},
    spec::RuleSpec,
    values::Edits,
};

/// The settings of all rules that apply, and who set each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    pub set: Settings,
    /// The changes of the answer's fields, in the order of the rules.
    pub edits: Vec<Edits>,
    /// POST is answered from the cache: the content is part of the key.
    pub keys_content: bool,
    by: Vec<(Setting, Arc<str>)>,
}

impl Merged {
    pub(super) fn new(specs: &[RuleSpec], matched: &Matched) -> Merged {
        let mut merged = Merged::default();
        for (rule, how) in &matched.rules {
            merged.add(&specs[usize::from(*rule)], *how, matched.without_lifetime);
        }
        merged
    }

    /// Adds a rule that comes after those before it.
    fn add(&mut self, spec: &RuleSpec, how: How, without_lifetime: bool) {
        let Merged { set, by, .. } = self;
        let gives_none = without_lifetime && spec.when.status.is_empty();
        set.replace(&spec.set, |setting| {
            let takes = match setting {
                Setting::Ttl | Setting::MinTtl if gives_none => false,
                setting => how == How::Wholly || spec.set.forbids(setting),
            };
            if takes {
                by.retain(|(other, _)| *other != setting);
                by.push((setting, spec.name.clone()));
            }
            takes
        });
        // of two bounds that contradict each other the later one holds
        if let (Some(least), Some(most)) = (self.set.min_ttl, self.set.max_ttl)
            && least > most
        {
            match spec.set.max_ttl == Some(most) {
                true => self.set.min_ttl = None,
                false => self.set.max_ttl = None,
            }
        }
        if let Some(edits) = &spec.set.response {
            self.edits.push(edits.clone());
        }
        let lists_post = spec.when.methods.iter().any(|method| method == "POST");
        self.keys_content |= how == How::Wholly && lists_post && spec.set.give_lifetime();
    }

    /// Returns each rule with what it sets, in the order of the rules: `rule 3 of larder.toml: ttl = "10m"`.
    pub fn each(&self) -> Vec<String> {
        let mut rules: Vec<(&str, Vec<String>)> = Vec::new();
        for (setting, name) in &self.by {
            let written = self.set.written(*setting);
            match rules.iter_mut().find(|(known, _)| *known == &**name) {
                Some((_, settings)) => settings.push(written),
                None => rules.push((name, vec![written])),
            }
        }
        rules.into_iter().map(|(name, settings)| format!("{name}: {}", settings.join(", "))).collect()
    }

    /// Returns who set a setting, and to what: `rule 3 of larder.toml: ttl = "10m"`.
    pub fn says(&self, setting: Setting) -> Option<String> {
        let (_, name) = self.by.iter().find(|(set, _)| *set == setting)?;
        Some(format!("{name}: {}", self.set.written(setting)))
    }
}
