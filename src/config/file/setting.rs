//! The value of each setting of a rule.

use super::document::{Entry, Written, Wrong, all};
use crate::{
    clock::Seconds,
    config::values,
    message::{FieldName, FieldValue},
    rules::{Edits, Ignore, Rewrite, Setting, Settings, cut},
    units,
};

/// What `ignore-query = ["@tracking"]` stands for: the parameters by which advertising and mail services follow a click. No
/// page depends on them.
const TRACKING: [&str; 31] = [
    "utm_*",
    "gclid",
    "gclsrc",
    "dclid",
    "gbraid",
    "wbraid",
    "gad_source",
    "gad_campaignid",
    "srsltid",
    "_ga",
    "_gl",
    "fbclid",
    "igshid",
    "msclkid",
    "twclid",
    "ttclid",
    "li_fat_id",
    "epik",
    "rdt_cid",
    "ScCid",
    "yclid",
    "mc_cid",
    "mc_eid",
    "mkt_tok",
    "_hsenc",
    "_hsmi",
    "vero_id",
    "oly_anon_id",
    "oly_enc_id",
    "irclickid",
    "wickedid",
];

/// Sets one setting. The error has everything that is wrong with the value.
pub fn set(settings: &mut Settings, setting: Setting, value: &Written) -> Result<(), Vec<Wrong>> {
    match setting {
        Setting::Bypass => settings.bypass = Some(value.switch()?),
        Setting::NoStore => settings.no_store = Some(value.switch()?),
        Setting::Ttl => settings.ttl = Some(seconds(value)?),
        Setting::MinTtl => settings.min_ttl = Some(seconds(value)?),
        Setting::MaxTtl => settings.max_ttl = Some(seconds(value)?),
        Setting::DefaultTtl => settings.default_ttl = Some(seconds(value)?),
        Setting::NegativeTtl => settings.negative_ttl = Some(seconds(value)?),
        Setting::StaleWhileRevalidate => settings.stale_while_revalidate = Some(seconds(value)?),
        Setting::StaleIfError => settings.stale_if_error = Some(seconds(value)?),
        Setting::ForceStale => settings.force_stale = Some(value.switch()?),
        Setting::MaxObject => settings.max_object = Some(size(value)?),
        Setting::Ignore => settings.ignore = Some(value.list(ignore)?),
        Setting::Tags => settings.tags = Some(texts(value, "a tag, for example \"product\"")?),
        Setting::TagHeader => settings.tag_header = Some(field(value)?),
        Setting::ForwardTags => settings.forward_tags = Some(value.switch()?),
        Setting::IgnoreQuery => settings.ignore_query = Some(parameters(value)?),
        Setting::OnlyQuery => settings.only_query = Some(parameters(value)?),
        Setting::SortQuery => settings.sort_query = Some(value.switch()?),
        Setting::ForwardIgnoredQuery => settings.forward_ignored_query = Some(value.switch()?),
        Setting::KeyHeaders => settings.key_headers = Some(value.list(field)?),
        Setting::KeyCookies => settings.key_cookies = Some(texts(value, "the name of a cookie")?),
        Setting::IgnoreHost => settings.ignore_host = Some(value.switch()?),
        Setting::Response => settings.response = Some(edits(value)?),
        Setting::Rewrite => settings.rewrite = Some(rewrite(value)?),
    }
    Ok(())
}

pub fn seconds(value: &Written) -> Result<Seconds, Wrong> {
    let text = value.text_or_number("a time with a unit, for example \"10m\"")?;
    values::seconds(text).map_err(|problem| value.wrong(problem))
}

fn size(value: &Written) -> Result<u64, Wrong> {
    let text = value.text_or_number("a size with a unit, for example \"20M\"")?;
    units::size(text).map_err(|problem| value.wrong(problem))
}

pub fn texts(value: &Written, expected: &str) -> Result<Vec<String>, Vec<Wrong>> {
    value.list(|one| one.text_or_number(expected).map(str::to_owned))
}

/// Reads patterns of names of parameters. `@tracking` stands for many.
fn parameters(value: &Written) -> Result<Vec<String>, Vec<Wrong>> {
    let one = |one: &Written| match one.text_or_number("the name of a parameter, for example \"utm_*\"")? {
        "@tracking" => Ok(TRACKING.iter().map(|name| (*name).to_owned()).collect()),
        unknown if unknown.starts_with('@') => Err(one.wrong("unknown list of parameters; expected \"@tracking\"")),
        name => Ok(vec![name.to_owned()]),
    };
    value.list(one).map(|lists: Vec<Vec<String>>| lists.concat())
}

fn ignore(value: &Written) -> Result<Ignore, Wrong> {
    let words = Ignore::ALL.map(Ignore::as_str).join(", ");
    let expected = format!("one of {words}");
    let word = value.text(&expected)?;
    let known = Ignore::ALL.into_iter().find(|ignore| ignore.as_str() == word);
    known.ok_or_else(|| value.wrong(format!("expected {expected}")))
}

fn field(value: &Written) -> Result<FieldName, Wrong> {
    let expected = "the name of a header, for example \"Accept\"";
    name(value.text(expected)?).ok_or_else(|| value.wrong(format!("expected {expected}")))
}

/// Returns the field of this name. Case does not matter.
pub fn name(text: &str) -> Option<FieldName> {
    FieldName::from_bytes(text.as_bytes()).ok()
}

fn edits(value: &Written) -> Result<Edits, Vec<Wrong>> {
    let expected = "a table, for example { remove = [\"X-Powered-By\"] }";
    let (mut edits, mut all_wrong) = (Edits::default(), Vec::new());
    for entry in value.table(expected)? {
        let read = match &*entry.key {
            "remove" => entry.value.list(field).map(|names| edits.remove = names),
            "set" => lines(&entry.value).map(|lines| edits.set = lines),
            "add" => lines(&entry.value).map(|lines| edits.add = lines),
            _ => Err(entry.wrong("expected remove, set or add").into()),
        };
        let within = |wrong: Wrong| wrong.of(&format!("response.{}", entry.key.escape_debug()));
        all_wrong.extend(read.err().into_iter().flatten().map(within));
    }
    if all_wrong.is_empty() { Ok(edits) } else { Err(all_wrong) }
}

fn lines(value: &Written) -> Result<Vec<(FieldName, FieldValue)>, Vec<Wrong>> {
    all(value.table("a table, for example { X-Frame-Options = \"DENY\" }")?.iter().map(line))
}

fn line(entry: &Entry) -> Result<(FieldName, FieldValue), Wrong> {
    let Entry { key, value, .. } = entry;
    let name = name(key).ok_or_else(|| entry.wrong(format!("{:?} cannot be the name of a header", cut(key))))?;
    let text = value.text_or_number("a text")?;
    let content = FieldValue::from_str(text).ok().filter(|_| text.is_ascii());
    Ok((name, content.ok_or_else(|| value.wrong("expected printable ASCII"))?))
}

fn rewrite(value: &Written) -> Result<Rewrite, Wrong> {
    let expected = "a table, for example { from = \"^/v1/(.*)\", to = \"/$1\" }";
    let (mut from, mut to) = (None, None);
    for entry in value.table(expected)? {
        let text = || entry.value.text("a text").map(str::to_owned).map(Some);
        match &*entry.key {
            "from" => from = text()?,
            "to" => to = text()?,
            _ => return Err(entry.wrong(format!("{:?} is unknown; expected from and to", cut(&entry.key)))),
        }
    }
    let (Some(from), Some(to)) = (from, to) else { return Err(value.wrong(format!("expected {expected}"))) };
    Ok(Rewrite { from, to })
}
