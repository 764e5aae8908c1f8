//! The text of log lines: what is foreign cannot break out of its line, and credentials are not shown.

use std::borrow::Cow;

use crate::fields::credentials::OF_PARAMETERS as CREDENTIALS;

/// The longest piece of foreign text in a log line, in bytes.
pub(super) const LONGEST: usize = 1024;
/// The longest line, in bytes.
pub(super) const LONGEST_LINE: usize = 8192;

/// What stands in the log for one.
pub(super) const REDACTED: &str = "***";

/// Text from outside, fit for a log line: control characters and all that is not ASCII as `\x1b` or `\u{202e}`; what
/// is longer than 1 KiB is cut, and ends in `...`.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_within(text, LONGEST)
}

/// A request-target or a URL, fit for a log that others read: `***` in place of user information, and of the values of
/// parameters whose names speak of credentials, in the query or behind a `;` in the path. Still to be escaped.
pub fn redact(target: &str) -> Cow<'_, str> {
    if !target.contains(['@', '=']) {
        return Cow::Borrowed(target);
    }
    let known = without_user_information(target);
    let mut redacted = String::with_capacity(known.len());
    let mut rest = known.as_str();
    while let Some(separator) = rest.find(['?', '&', ';']) {
        let (before, parameter) = rest.split_at(separator + 1);
        redacted.push_str(before);
        let end = parameter.find(['?', '&', ';']).unwrap_or(parameter.len());
        let (this, behind) = parameter.split_at(end);
        match this.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_credential(name) => {
                redacted.push_str(name);
                redacted.push('=');
                redacted.push_str(REDACTED);
            }
            _ => redacted.push_str(this),
        }
        rest = behind;
    }
    redacted.push_str(rest);
    Cow::Owned(redacted)
}

/// User information stands before a host: at the beginning, and behind each scheme.
fn without_user_information(target: &str) -> String {
    let mut shown = String::with_capacity(target.len());
    let mut rest = target;
    loop {
        let authority = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        if let Some(at) = rest[..authority].rfind('@') {
            shown.push_str(REDACTED);
            rest = &rest[at..];
        }
        let Some(scheme) = rest.find("://") else { break };
        let (before, behind) = rest.split_at(scheme + 3);
        shown.push_str(before);
        rest = behind;
    }
    shown + rest
}

/// By its name, as it is or percent-encoded.
fn is_credential(name: &str) -> bool {
    let mut decoded = Vec::with_capacity(name.len());
    let mut bytes = name.as_bytes();
    while let Some((&byte, behind)) = bytes.split_first() {
        // digits alone: from_str_radix would take a sign
        let hex = behind.get(..2).filter(|hex| byte == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        match hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(encoded) => {
                decoded.push(encoded.to_ascii_lowercase());
                bytes = &behind[2..];
            }
            None => {
                decoded.push(byte.to_ascii_lowercase());
                bytes = behind;
            }
        }
    }
    let name = String::from_utf8_lossy(&decoded);
    CREDENTIALS.iter().any(|word| name.contains(word))
}

pub(super) fn escape_within(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len().min(longest) + 16);
    for c in text.chars() {
        if escaped.len() >= longest {
            escaped.push_str("...");
            break;
        }
        match c {
            ' '..='~' => escaped.push(c),
            '\0'..='\x7f' => escaped.push_str(&format!("\\x{:02x}", c as u32)),
            _ => escaped.push_str(&format!("\\u{{{:x}}}", c as u32)),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert!(matches!(escape("GET /a?b=~%20 \\ \"c\""), Cow::Borrowed("GET /a?b=~%20 \\ \"c\"")));
    }

    #[test]
    fn no_text_can_begin_a_line_move_the_cursor_or_turn_the_direction() {
        assert_eq!(escape("a\r\nINFO forged"), "a\\x0d\\x0aINFO forged");
        assert_eq!(escape("\x1b[2J\0\t\x7f"), "\\x1b[2J\\x00\\x09\\x7f");
        assert_eq!(escape("ü\u{202e}\u{85}"), "\\u{fc}\\u{202e}\\u{85}");
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            assert!(escape(&c.to_string()).bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{c:?}");
        }
    }

    #[test]
    fn escaping_twice_changes_nothing() {
        let once = escape("a\r\nü").into_owned();
        assert_eq!(escape(&once), once);
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(escape(&"x".repeat(LONGEST)).len(), LONGEST);
        let cut = escape(&"x".repeat(1 << 20)).into_owned();
        assert!(cut.len() == LONGEST + 3 && cut.ends_with("x..."));
        assert!(escape(&"\n".repeat(1 << 20)).len() <= LONGEST + 16);
    }

    #[test]
    fn credentials_are_redacted_and_nothing_else_is() {
        for (target, shown) in [
            ("/a?token=x&b=1", "/a?token=***&b=1"),
            ("/a?b=1&API_KEY=x;sig=y", "/a?b=1&API_KEY=***;sig=***"),
            ("/a?access_token=a=b==&x", "/a?access_token=***&x"),
            ("/a?%74oke%6E=x&%=1&%4=2&%zz=3", "/a?%74oke%6E=***&%=1&%4=2&%zz=3"),
            ("/a?x%+auth=y&x%+0key=z", "/a?x%+auth=***&x%+0key=***"),
            ("/a;jsessionid=x/b?q", "/a;jsessionid=***?q"),
            ("/a?url=http://h/?secret=x", "/a?url=http://h/?secret=***"),
            (
                "/a?PASSWORD=x&passwd=x&oauth=x&signature=x&credentials=x&code=x",
                "/a?PASSWORD=***&passwd=***&oauth=***&signature=***&credentials=***&code=***",
            ),
            ("/a?token=x&url=http://user:pw@h/", "/a?token=***&url=http://***@h/"),
            ("http://h/?url=http://user:pw@h2/?key=x", "http://h/?url=http://***@h2/?key=***"),
            ("http://user:pw@h/a?b=c", "http://***@h/a?b=c"),
            ("GET http://u@h@h2/?key=1", "GET http://***@h2/?key=***"),
            ("user:pw@h:443", "***@h:443"),
        ] {
            assert_eq!(redact(target), shown);
        }
        for plain in
            ["/", "/a@b?c=d@e", "/token=x", "/a?token", "/a?token=", "/a?q=token", "*", "", "/ü?ü=ü", "/?&&;=&="]
        {
            assert_eq!(redact(plain), plain);
        }
    }
}
