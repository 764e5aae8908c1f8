//! See [`crate::fuzzing`].

use super::text::{LONGEST, REDACTED, escape, redact};
use crate::fields::credentials::OF_PARAMETERS as CREDENTIALS;

const SECRET: &str = "s3cr3t-9Q";

/// A target: what is a credential in it is not shown, all else is; and no text breaks out of its line.
pub fn log_text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let shown = redact(&text);
    assert_eq!(redact(&shown), shown, "redacting twice changes nothing");
    only_credentials_go(&text, &shown);
    if !text.contains(SECRET) {
        let name = CREDENTIALS[data.len() % CREDENTIALS.len()];
        let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for planted in [
            format!("{text}?{name}={SECRET}"),
            format!("{text}&{}={SECRET}&{text}", name.to_uppercase()),
            format!("/;my{encoded}s={SECRET};{text}"),
            format!("http://{name}:{SECRET}@host/{text}"),
        ] {
            assert!(!redact(&planted).contains(SECRET), "{planted:?}");
        }
    }
    let line = escape(&text);
    assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "one line of printable ASCII");
    assert!(line.len() <= LONGEST + "\\u{10ffff}...".len());
    if line.len() <= LONGEST {
        assert_eq!(escape(&line), line, "escaping twice changes nothing");
    }
}

/// Read a second time, piece by piece: each is as it was, or a credential.
fn only_credentials_go(text: &str, shown: &str) {
    let known: Vec<String> = text.split("://").map(without_user_information).collect();
    let known = known.join("://");
    let pieces = |text: &str| -> Vec<String> { text.split(['?', '&', ';', '#']).map(str::to_owned).collect() };
    let (before, after) = (pieces(&known), pieces(shown));
    assert_eq!(before.len(), after.len(), "{known:?} {shown:?}");
    assert_eq!(before.first(), after.first());
    for (before, after) in before.iter().zip(&after).skip(1) {
        match before.split_once('=').filter(|(name, value)| !value.is_empty() && bears_a_credential(name)) {
            Some((name, _)) => assert_eq!(after, &format!("{name}={REDACTED}")),
            None => assert_eq!(after, before),
        }
    }
}

fn without_user_information(text: &str) -> String {
    let authority = text.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((information, _)) => format!("{REDACTED}{}", &text[information.len()..]),
        None => text.to_owned(),
    }
}

fn bears_a_credential(name: &str) -> bool {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut parts = name.as_bytes().split(|byte| *byte == b'%');
    let mut decoded = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        match (digit(part.first()), digit(part.get(1))) {
            (Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                decoded.extend_from_slice(&part[2..]);
            }
            _ => {
                decoded.push(b'%');
                decoded.extend_from_slice(part);
            }
        }
    }
    decoded.make_ascii_lowercase();
    CREDENTIALS.iter().any(|word| decoded.windows(word.len()).any(|window| window == word.as_bytes()))
}
