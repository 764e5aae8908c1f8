//! Warns of settings that are probably mistakes: unknown variables, and a `~` that no shell has replaced.

use std::{
    ffi::{OsStr, OsString},
    path::{Component, Path},
};

use clap::CommandFactory;

use super::{
    arguments::{Arguments, variable},
    hints,
};

const PREFIX: &str = "LARDER_";

/// Names that are less similar than this, from 0 to 1, are not suggested.
const SIMILAR: f64 = 0.7;

/// Returns one line for each variable that begins with `LARDER_` and is unknown.
pub fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    let definition = Arguments::command();
    let known: Vec<&str> =
        definition.get_arguments().filter_map(|arg| arg.get_env()?.to_str()?.strip_prefix(PREFIX)).collect();
    let mut lines: Vec<String> = environment
        .into_iter()
        .filter_map(|(name, value)| {
            let name = name.to_string_lossy();
            let rest = name.strip_prefix(PREFIX)?;
            (!known.contains(&rest) && !is_of_kubernetes(rest, &value)).then(|| unknown(rest, &known))
        })
        .collect();
    lines.sort();
    lines
}

fn unknown(rest: &str, known: &[&str]) -> String {
    let name = format!("{PREFIX}{rest}").escape_debug().to_string();
    let flag = rest.to_ascii_lowercase().replace('_', "-");
    if flag == "clear-cache" {
        return format!("unknown variable {name}: ignored; only the flag --clear-cache clears the cache");
    }
    match hints::of_flag(&flag) {
        Some(ours) => format!("unknown variable {name}: ignored; did you mean {}?", of_flags(ours)),
        None => match nearest(&rest.to_ascii_uppercase(), known.iter().copied()) {
            Some(meant) => format!("unknown variable {name}: ignored; did you mean {PREFIX}{meant}?"),
            None => format!(
                "unknown variable {name}: ignored; each flag of larder --help has a variable, for example LARDER_PORT"
            ),
        },
    }
}

/// Turns `--host ADDRESS and --port N` into `LARDER_HOST and LARDER_PORT`.
fn of_flags(flags: &str) -> String {
    let words = flags.split(' ').filter(|word| word.starts_with("--") || *word == "and");
    words.map(|word| word.strip_prefix("--").map_or(word.to_owned(), variable)).collect::<Vec<_>>().join(" ")
}

/// Returns true for a variable that Kubernetes sets for a service whose name begins with `larder`.
fn is_of_kubernetes(rest: &str, value: &OsStr) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    parts.contains(&"SERVICE")
        || parts.iter().any(|part| ["TCP", "UDP", "SCTP"].contains(part))
        || parts.ends_with(&["PORT"]) && is_link(value)
}

/// Returns true for a value such as `tcp://10.0.0.1:3000`, by which Kubernetes names a service.
pub(super) fn is_link(value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// Returns the name that is most similar to `typed`, if any is similar.
pub(super) fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let rated = names.into_iter().map(|name| (strsim::jaro(typed, name), name));
    rated.filter(|(rate, _)| *rate > SIMILAR).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

impl Arguments {
    /// Returns one line for each path that begins with `~`. Such a path names a folder called `~`.
    pub fn unexpanded(&self) -> Vec<String> {
        let paths = [("cache_dir", &self.cache_dir), ("config", &self.config), ("origin_ca", &self.origin_ca)];
        let named = paths.into_iter().filter_map(|(field, path)| Some((field, path.as_deref()?)));
        named.filter(|(_, path)| has_tilde(path)).map(|(field, path)| self.tilde(field, path)).collect()
    }

    fn tilde(&self, field: &str, path: &Path) -> String {
        let name = self.name_of(field);
        format!("{name} {path:?}: no shell has replaced the ~, so it is the name of a folder; write $HOME instead")
    }
}

fn has_tilde(path: &Path) -> bool {
    matches!(path.components().next(), Some(Component::Normal(first)) if first.as_encoded_bytes().starts_with(b"~"))
}
