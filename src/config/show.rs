//! Every setting and who set it, as a configuration file that sets the same.

use super::{
    file::File,
    types::{Config, Site},
};
use crate::{
    cli::{Arguments, Given, Source, Takes},
    rules::{RuleSpec, quoted},
    units::exact_size,
};

/// The column of the source.
const COLUMN: usize = 40;

/// Returns the lines of `larder config show`.
pub fn lines(arguments: &Arguments, file: Option<&File>, config: &Config) -> Vec<String> {
    let mut lines: Vec<String> = arguments.given().iter().filter_map(|given| line(given, arguments, config)).collect();
    let has_sites = file.is_some_and(|file| !file.sites.is_empty());
    for (nth, site) in config.sites.iter().enumerate() {
        if has_sites {
            let place = file.and_then(|file| Some(file.place(file.sites.get(nth)?.line))).unwrap_or_default();
            lines.extend(of_site(site, &place));
        }
        let head = if has_sites { "[[site.rule]]" } else { "[[rule]]" };
        lines.extend(site.rules.specs().iter().flat_map(|spec| of_rule(spec, head)));
    }
    lines
}

/// Returns the line of a flag, if a file can set it.
fn line(Given { flag, values, source }: &Given, arguments: &Arguments, config: &Config) -> Option<String> {
    let value = |text: &String| {
        let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && text.len() < 18;
        if is_plain { text.clone() } else { quoted(text) }
    };
    let values: Vec<String> = match (&*flag.field, &values[..]) {
        ("cache_dir", _) => vec![config.store.folder.display().to_string()],
        ("max_object", []) => vec![exact_size(config.store.max_object)],
        ("workers", []) => vec![config.client.workers.to_string()],
        (_, values) => values.to_vec(),
    };
    let key = match &*flag.field {
        "allow_host" => "hosts".to_owned(),
        field => field.replace('_', "-"),
    };
    let shown = match flag.takes {
        _ if !flag.is_in_file => return None,
        Takes::Switch => values.concat(),
        Takes::Several => format!("[{}]", values.iter().map(value).collect::<Vec<_>>().join(", ")),
        Takes::Count | Takes::One => value(values.first()?),
    };
    let source = match source {
        Source::Default => "default".to_owned(),
        Source::File { place, .. } => place.clone(),
        Source::Flag | Source::Variable => arguments.name_of(&flag.field),
    };
    Some(format!("{:<COLUMN$} # {source}", format!("{key} = {shown}")))
}

fn of_site(site: &Site, place: &str) -> Vec<String> {
    let mut lines = vec![String::new(), format!("{:<COLUMN$} # {place}", "[[site]]")];
    if !site.hosts.is_empty() {
        let hosts: Vec<String> = site.hosts.iter().map(|host| quoted(host)).collect();
        lines.push(format!("hosts = [{}]", hosts.join(", ")));
    }
    if !site.path.is_empty() {
        lines.push(format!("path = {}", quoted(&site.path)));
    }
    lines.push(format!("origin = {}", quoted(&site.origin.url)));
    lines
}

fn of_rule(spec: &RuleSpec, head: &str) -> Vec<String> {
    let mut lines = vec![String::new(), format!("{head:<COLUMN$} # {}", spec.name)];
    lines.extend(spec.when.written());
    lines.extend(spec.set.set().map(|setting| spec.set.written(setting)));
    lines
}
