//! The sites and their rules, from the flags and the file.

use std::{path::Path, sync::Arc};

use super::{
    error::{ConfigError, Fault},
    file::{self, Draft, rule_of_words},
    reader::Reader,
    types::Site,
};
use crate::{
    cli::Source,
    rules::{RuleSpec, Rules, Setting, Settings, quoted},
};

/// Where a rule is written.
#[derive(Debug, Clone, Copy)]
enum Origin<'a> {
    File(&'a Draft),
    /// The field of the flag, and its value.
    Flag(&'static str, &'a str),
}

/// A rule in its order, and where it is written.
#[derive(Debug, Clone)]
struct Placed<'a> {
    spec: RuleSpec,
    origin: Origin<'a>,
}

impl Reader<'_> {
    /// Returns the sites, and the number of rules that the operator wrote. There may be none if something is wrong.
    pub fn sites(&self) -> (Vec<Site>, usize) {
        let a = self.arguments;
        let of_sites = self.file.map_or(&[][..], |file| &file.sites);
        let written = self.file.map_or(0, |file| file.rules.rules.len()) + a.rule.len();
        let rules = written + of_sites.iter().map(|site| site.rules.rules.len()).sum::<usize>();
        let general = self.general();
        if of_sites.is_empty() {
            let Some(url) = &a.origin else {
                self.note(self.without_origin());
                self.rules(general);
                return (Vec::new(), rules);
            };
            let site = self.site(url, None, general);
            return (site.into_iter().collect(), rules);
        }
        if a.origin.is_some() {
            let problem = "the sites of the file have origins of their own; leave this one out";
            self.note(self.error("origin", problem));
        }
        self.reject_same(of_sites);
        let each = of_sites.iter().filter_map(|site| {
            let own = in_order(&site.rules, |_| false);
            let all = [general.clone(), own].concat();
            let Some((url, line)) = &site.origin else {
                self.rules(all);
                return None;
            };
            let read = self.site(url, Some(*line), all)?;
            Some(Site { hosts: site.hosts.clone(), path: site.path.clone(), ..read })
        });
        (each.collect(), rules)
    }

    fn without_origin(&self) -> ConfigError {
        let Some(file) = self.file else {
            return self.missing("origin", "the site to cache, for example --origin http://example.com");
        };
        let problem = "the site to cache, for example origin = \"http://example.com\"".to_owned();
        ConfigError { place: Some(file.path.clone()), setting: "origin".to_owned(), fault: Fault::Missing, problem }
    }

    /// Reads a site for all hosts and paths.
    fn site(&self, url: &str, line: Option<usize>, rules: Vec<Placed<'_>>) -> Option<Site> {
        let rules = self.rules(rules);
        let origin = self.origin(url, line).map_err(|error| self.note(error)).ok()?;
        Some(Site {
            hosts: Vec::new(),
            path: String::new(),
            host_mode: self.host_mode(&origin).map_err(|error| self.note(error)).ok()?,
            forward_client: self.arguments.forward_client,
            origin_client: self.origin_client(&origin),
            policy: self.policy(),
            rules: Arc::new(rules),
            origin,
        })
    }

    /// Returns the rules for all sites: those of the file, then those of flags, which so win.
    fn general(&self) -> Vec<Placed<'_>> {
        let a = self.arguments;
        let of_flags = self.settings_of_flags();
        let is_overridden = |setting| of_flags.iter().any(|rule| rule.spec.set.set().any(|set| set == setting));
        let mut placed = self.file.map_or(Vec::new(), |file| in_order(&file.rules, is_overridden));
        let at = placed.len() - self.file.map_or(0, |file| file.rules.rules.len());
        placed.splice(at..at, of_flags);
        for (nth, text) in a.rule.iter().enumerate() {
            let name = a.name_of("rule");
            let name = if a.rule.len() > 1 { format!("{name} {}", nth + 1) } else { name };
            let mut is_valid = true;
            let draft = rule_of_words(text, name.into(), &mut |wrong| {
                is_valid = false;
                let value = wrong.value.map(|value| format!(" {value:?}")).unwrap_or_default();
                let named = if wrong.key.is_empty() { String::new() } else { format!("{}{value}: ", wrong.key) };
                self.note(self.invalid("rule", text, format!("{named}{}", wrong.problem)));
            });
            if is_valid {
                placed.push(Placed { spec: draft.spec, origin: Origin::Flag("rule", text) });
            }
        }
        placed
    }

    /// Returns the settings of a rule that have a flag, as rules for everything.
    fn settings_of_flags(&self) -> Vec<Placed<'_>> {
        let a = self.arguments;
        let is_set = |field: &str| a.source(field) != &Source::Default;
        let mut rules = Vec::new();
        let mut add = |field: &'static str, typed, set: Settings| {
            let spec = RuleSpec { name: a.name_of(field).into(), when: Default::default(), set };
            rules.push(Placed { spec, origin: Origin::Flag(field, typed) });
        };
        let words = |field: &'static str, setting: &str, values: &[String]| {
            let text = format!("{setting}={}", values.join(","));
            let draft = rule_of_words(&text, "".into(), &mut |wrong| {
                self.note(self.invalid(field, &wrong.value.unwrap_or_default(), wrong.problem));
            });
            draft.spec.set
        };
        for (field, setting, values) in [
            ("ignore_query", Setting::IgnoreQuery, &a.ignore_query),
            ("key_header", Setting::KeyHeaders, &a.key_header),
            ("key_cookie", Setting::KeyCookies, &a.key_cookie),
        ] {
            if is_set(field) {
                add(field, values.first().map_or("", |value| value), words(field, setting.as_str(), values));
            }
        }
        if is_set("sort_query") {
            add("sort_query", "", Settings { sort_query: Some(a.sort_query), ..Settings::default() });
        }
        rules
    }

    /// Checks the rules of a site, and notes what is wrong with them.
    fn rules(&self, placed: Vec<Placed<'_>>) -> Rules {
        for rule in placed.iter().filter(|rule| rule.spec.set.ttl.is_some() && self.arguments.strict) {
            let strict = self.arguments.name_of("strict");
            self.note(self.fault(rule, "ttl", format!("it replaces the origin's TTL, which {strict} does not allow")));
        }
        let specs = placed.iter().map(|rule| rule.spec.clone()).collect();
        let rules = Rules::new(specs).unwrap_or_else(|faults| {
            for fault in faults {
                self.note(self.fault(&placed[fault.rule], fault.word, fault.problem));
            }
            Rules::default()
        });
        rules.with_defaults(self.defaults())
    }

    /// Returns the defaults that the file sets, by their lines: `larder.toml:3: default-ttl = "1h"`. Clients may read it, so
    /// the file is named without its folder.
    fn defaults(&self) -> Vec<(Setting, String)> {
        let all = [
            ("default_ttl", Setting::DefaultTtl),
            ("negative_ttl", Setting::NegativeTtl),
            ("stale_if_error", Setting::StaleIfError),
            ("max_object", Setting::MaxObject),
        ];
        let of_file = |(field, setting)| {
            let given = self.arguments.given().iter().find(|given| given.flag.field == field)?;
            let Source::File { place, key } = &given.source else { return None };
            let place = Path::new(place).file_name()?.to_string_lossy();
            Some((setting, format!("{place}: {key} = {}", quoted(given.values.first()?))))
        };
        all.into_iter().filter_map(of_file).collect()
    }

    /// Returns the error of a rule. A problem may begin with the value that is wrong.
    fn fault(&self, rule: &Placed<'_>, word: &str, problem: String) -> ConfigError {
        let begins_with_value = problem.starts_with('"');
        match rule.origin {
            Origin::File(draft) => {
                let place = self.file.map(|file| file.place(draft.line(word)));
                let (setting, problem) = match word {
                    "" => (draft.spec.name.to_string(), problem),
                    word if begins_with_value => (String::new(), format!("{word} {problem}")),
                    word => (word.to_owned(), problem),
                };
                ConfigError { place, setting, fault: Fault::Conflict, problem }
            }
            Origin::Flag("rule", text) => {
                let problem = match word {
                    "" => problem,
                    word if begins_with_value => format!("{word} {problem}"),
                    word => format!("{word}: {problem}"),
                };
                self.invalid("rule", text, problem)
            }
            Origin::Flag(field, typed) => {
                let value = problem.strip_prefix('"').and_then(|problem| problem.split_once("\": "));
                let (value, problem) = value.unwrap_or((typed, &problem));
                self.invalid(field, value, problem)
            }
        }
    }

    /// Notes sites that would answer the same requests.
    fn reject_same(&self, sites: &[file::Site]) {
        let Some(file) = self.file else { return };
        for (nth, site) in sites.iter().enumerate() {
            let same = |other: &&file::Site| {
                let shares_host = site.hosts.iter().any(|host| other.hosts.contains(host));
                site.path == other.path && (shares_host || site.hosts.is_empty() && other.hosts.is_empty())
            };
            let Some(other) = sites[..nth].iter().find(same) else { continue };
            let (place, line) = (Some(file.place(site.line)), other.line);
            let problem = format!("it is the same as the one at line {line}; expected a host or a path of its own");
            let setting = site.rules.settings.spec.name.to_string();
            self.note(ConfigError { place, setting, fault: Fault::Conflict, problem });
        }
    }

    /// Returns a line for each setting that may be a mistake.
    pub fn warnings(&self, sites: &[Site]) -> Vec<String> {
        let specs = sites.iter().flat_map(|site| site.rules.specs());
        let mut lines: Vec<String> = specs
            .filter(|spec| spec.set.forward_ignored_query == Some(true))
            .map(|spec| {
                let name = &spec.name;
                format!(
                    "{name}: forward-ignored-query sends to the origin what is not in the key, so one client can choose \
                     what others get; leave it out if the origin's answer depends on these parameters"
                )
            })
            .collect();
        lines.dedup();
        lines
    }
}

/// Returns the rules in the order in which they apply, without the settings for everything that are overridden.
fn in_order<'a>(rules: &'a file::Rules, is_overridden: impl Fn(Setting) -> bool) -> Vec<Placed<'a>> {
    let file::Rules { preset, settings, rules } = rules;
    let mut set = Settings::default();
    set.replace(&settings.spec.set, |setting| !is_overridden(setting));
    let placed = |draft: &'a Draft| Placed { spec: draft.spec.clone(), origin: Origin::File(draft) };
    let settings = Placed { spec: RuleSpec { set, ..settings.spec.clone() }, origin: Origin::File(settings) };
    let settings = Some(settings).filter(|settings| settings.spec.set.set().next().is_some());
    preset.iter().map(placed).chain(settings).chain(rules.iter().map(placed)).collect()
}

#[cfg(test)]
mod tests;
