//! Turns references to the origin in its responses into references that lead through Larder.

use http::header::{CONTENT_LOCATION, LINK, LOCATION, REFRESH};

use super::forward::OriginUrl;
use crate::message::{FieldName, FieldValue, Fields};

/// Turns the references to any of these URLs in Location, Content-Location, Link and Refresh into references to Larder. Calls
/// `urls` only if there are such fields.
pub fn turn_inward(urls: impl FnOnce() -> Vec<OriginUrl>, fields: &mut Fields) {
    let holds_references = |name: &FieldName| [LOCATION, CONTENT_LOCATION, LINK, REFRESH].contains(name);
    if !fields.iter().any(|(name, _)| holds_references(name)) {
        return;
    }
    let urls = &urls();
    let turned = |(name, value): (FieldName, FieldValue)| {
        let inward = value.to_str().ok().and_then(|text| match name {
            LINK => link(urls, text),
            REFRESH => refresh(urls, text),
            _ if holds_references(&name) => reference(urls, text),
            _ => None,
        });
        let inward = inward.and_then(|inward| FieldValue::try_from(inward).ok());
        (name, inward.unwrap_or(value))
    };
    *fields = std::mem::take(fields).into_iter().map(turned).collect();
}

/// Returns the reference that leads through Larder. Returns `None` if the reference leads elsewhere, or is relative
/// already.
fn reference(urls: &[OriginUrl], reference: &str) -> Option<String> {
    urls.iter().find_map(|url| url.inward(reference))
}

/// Turns the targets of links (RFC 8288 §3): `<http://origin/a>; rel=next, <b>`. Returns `None` if
/// no target must be turned.
fn link(urls: &[OriginUrl], links: &str) -> Option<String> {
    let (mut turned, mut rest, mut any) = (String::with_capacity(links.len()), links, false);
    while let Some(at) = rest.find(['<', '"']) {
        let (before, from) = rest.split_at(at);
        turned.push_str(before);
        let end = match from.as_bytes()[0] {
            b'<' => from.find('>')?,
            _ => 1 + from[1..].find('"')?,
        };
        let (found, behind) = from.split_at(end);
        match found.strip_prefix('<').and_then(|target| reference(urls, target)) {
            Some(inward) => {
                turned.push('<');
                turned.push_str(&inward);
                any = true;
            }
            None => turned.push_str(found),
        }
        turned.push_str(&behind[..1]);
        rest = &behind[1..];
    }
    turned.push_str(rest);
    any.then_some(turned)
}

/// Turns the target of Refresh, which browsers read as in `5; url=http://origin/a`.
fn refresh(urls: &[OriginUrl], value: &str) -> Option<String> {
    let at = value.find([';', ','])? + 1;
    let behind = value[at..].trim_start();
    let named = behind.get(..3).filter(|word| word.eq_ignore_ascii_case("url"));
    let target = named.and_then(|_| behind[3..].trim_start().strip_prefix('=')).unwrap_or(behind).trim_start();
    let quote = target.chars().next().filter(|c| matches!(c, '"' | '\''));
    let target = quote.map_or(target, |quote| target[1..].split(quote).next().unwrap_or_default());
    let inward = reference(urls, target.trim_end())?;
    Some(format!("{} url={inward}", &value[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls() -> Vec<OriginUrl> {
        let url = |https, authority: &str| OriginUrl {
            https,
            authority: authority.to_owned(),
            base: "/api".to_owned(),
            prefix: String::new(),
        };
        vec![url(false, "origin.test:8080"), url(true, "shop.test")]
    }

    #[test]
    fn w20_the_targets_of_links_lead_through_larder() {
        for (links, turned) in [
            ("<http://origin.test:8080/api/a>; rel=next", Some("</a>; rel=next")),
            ("<https://shop.test/api/b>;rel=\"a,<b>\" , <c>, </api/d>", Some("</b>;rel=\"a,<b>\" , <c>, </d>")),
            ("<http://other.test/api/a>; title=\"<http://origin.test:8080/api/a>\"", None),
            ("</other>; rel=preload", None),
            ("<http://origin.test:8080/api/a", None),
            ("", None),
        ] {
            assert_eq!(link(&urls(), links).as_deref(), turned, "{links}");
        }
    }

    #[test]
    fn w20_the_target_of_a_refresh_leads_through_larder() {
        for (value, turned) in [
            ("5; url=http://origin.test:8080/api/a?b", Some("5; url=/a?b")),
            ("0;URL = \"https://shop.test/api/\"", Some("0; url=/")),
            ("5, http://origin.test:8080/api/a", Some("5, url=/a")),
            ("5; url=http://other.test/", None),
            ("5", None),
            ("5;", None),
            ("5; ü", None),
        ] {
            assert_eq!(refresh(&urls(), value).as_deref(), turned, "{value}");
        }
    }
}
