//! See [`crate::fuzzing`].

use super::{
    hop_by_hop::{strip, strip_request},
    list::{digits, members, unquoted},
};
use crate::message::{FieldName, FieldValue, Fields};

/// Checks the parsers of lists with one field line.
pub fn list(data: &[u8]) {
    let mut rest = data;
    for member in members(data) {
        // between two members stands nothing but whitespace and one comma
        let at = rest.windows(member.len().max(1)).position(|window| window == member).unwrap_or(0);
        let (blank, behind) = rest.split_at(if member.is_empty() { 0 } else { at });
        assert!(blank.iter().all(u8::is_ascii_whitespace), "nothing is left out");
        rest = behind[member.len()..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest);
        assert_eq!(members(member).collect::<Vec<_>>(), [member], "a member is one member");
        for (comma, _) in member.iter().enumerate().filter(|(_, byte)| **byte == b',') {
            let quoted = member[..comma].contains(&b'"') && member[comma..].contains(&b'"');
            assert!(quoted, "a quote that never closes hides nothing");
        }
        if let Some(said) = unquoted(member) {
            assert!(said.len() + 2 <= member.len());
        }
    }
    assert!(rest.trim_ascii().is_empty(), "nothing is left over");
    let mut quoted = vec![b'"'];
    quoted.extend(data.iter().flat_map(|byte| [b'\\', *byte]));
    quoted.push(b'"');
    assert_eq!(unquoted(&quoted).as_deref(), Some(data), "what is quoted is said");
    assert_eq!(members(&quoted).count(), 1);
    let number =
        std::str::from_utf8(data).ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let number = number.map(|text| text.parse().unwrap_or(u64::MAX));
    assert_eq!(digits(data), number);
}

/// Checks with lines of the form `name: value` that the fields for one connection go, and that all others stay in
/// order.
pub fn hop_by_hop(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = FieldName::from_bytes(&line[..colon]).ok()?;
        Some((name, FieldValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    });
    let fields: Fields = lines.collect();
    // the names, split at every comma, since a name holds no quote
    let named: Vec<String> = fields
        .values(&http::header::CONNECTION)
        .flat_map(|line| String::from_utf8_lossy(line.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|name| name.trim_matches(|c: char| c.is_ascii_whitespace()).to_ascii_lowercase())
        .collect();
    let kept = |name: &FieldName| {
        let name = name.as_str();
        let own = ["host", "content-length", "cache-control", "authorization", "cookie", "via", "vary", "age", "date"];
        own.contains(&name) || name.starts_with("x-forwarded-")
    };
    let own = |name: &FieldName| {
        let name = name.as_str();
        ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"].contains(&name)
            || ["proxy-connection", "proxy-authenticate", "proxy-authorization"].contains(&name)
    };
    let mut response = fields.clone();
    strip(&mut response);
    let mut rest = fields.iter();
    for line in response.iter() {
        assert!(rest.any(|(name, value)| (name, value) == line), "in their order, none made up");
        assert!(!own(line.0));
    }
    for (name, _) in fields.iter() {
        let stays = response.contains(name);
        assert!(stays || !kept(name), "{name} is for everyone");
        let mentioned = named.iter().any(|line| line == name.as_str());
        assert!(
            stays || mentioned || own(name) || name.as_str() == "proxy-authentication-info" || name == "http2-settings"
        );
    }
    let mut again = response.clone();
    strip(&mut again);
    assert!(again.iter().eq(response.iter()), "nothing goes later");
    let mut request = fields.clone();
    match strip_request(&mut request) {
        Err(name) => assert!(named.iter().any(|line| line == name.as_str()), "{name}"),
        Ok(()) => {
            assert!(request.iter().eq(response.iter()), "both lose the same where nothing is refused");
            let quotes = fields.values(&http::header::CONNECTION).any(|line| line.as_bytes().contains(&b'"'));
            assert!(quotes || !named.iter().any(|name| FieldName::from_bytes(name.as_bytes()).is_ok_and(|n| kept(&n))));
        }
    }
}
