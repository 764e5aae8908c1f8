//! The text of log lines. Foreign text cannot break out of its line, and credentials are not shown.

use std::{borrow::Cow, fmt::Write};

use memchr::{memchr, memchr2, memchr3};
use percent_encoding::percent_decode_str;

use crate::fields::credentials::OF_PARAMETERS as CREDENTIALS;

/// The longest piece of foreign text in a log line, in bytes.
pub(super) const LONGEST: usize = 1024;
/// The longest line, in bytes.
pub(super) const LONGEST_LINE: usize = 8192;

/// True for the bytes that one of them begins with, in either case.
const INITIALS: [bool; 256] = {
    let mut initials = [false; 256];
    let mut at = 0;
    while at < CREDENTIALS.len() {
        let initial = CREDENTIALS[at].as_bytes()[0];
        initials[initial as usize] = true;
        initials[initial.to_ascii_uppercase() as usize] = true;
        at += 1;
    }
    initials
};
/// The text that replaces a credential.
pub(super) const REDACTED: &str = "***";

/// Escapes text from outside for a log line: control characters and all that is not ASCII become `\x1b` or `\u{202e}`.
/// Text longer than 1 KiB is cut and ends in `...`.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_within(text, LONGEST)
}

/// Redacts a request-target or a URL for a log that others read: `***` replaces user information and the values of
/// parameters whose names speak of credentials, in the query, in the fragment, or behind a `;` in the path. The result must still be escaped.
pub fn redact(target: &str) -> Cow<'_, str> {
    if memchr2(b'@', b'=', target.as_bytes()).is_none() {
        return Cow::Borrowed(target);
    }
    let known = match target.contains('@') {
        true => Cow::Owned(without_user_information(target)),
        false => Cow::Borrowed(target),
    };
    let (mut redacted, mut copied) = (String::new(), 0);
    let mut begins = after_separator(&known, 0);
    while let Some(begin) = begins {
        begins = after_separator(&known, begin);
        let end = begins.map_or(known.len(), |next| next - 1);
        match known[begin..end].split_once('=') {
            Some((name, value)) if !value.is_empty() && is_credential(name) => {
                redacted.push_str(&known[copied..end - value.len()]);
                redacted.push_str(REDACTED);
                copied = end;
            }
            _ => {}
        }
    }
    if copied == 0 {
        return known;
    }
    redacted.push_str(&known[copied..]);
    Cow::Owned(redacted)
}

/// Where the next parameter begins.
fn after_separator(target: &str, from: usize) -> Option<usize> {
    let rest = &target.as_bytes()[from..];
    let at = memchr3(b'?', b'&', b';', rest).unwrap_or(rest.len());
    // most targets have no fragment
    memchr(b'#', &rest[..at]).or((at < rest.len()).then_some(at)).map(|at| from + at + 1)
}

/// Replaces user information, which stands before a host: at the beginning, and behind each scheme.
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

/// Returns true if a parameter's name, as it is or percent-encoded, holds a word that speaks of credentials.
fn is_credential(name: &str) -> bool {
    match name.contains('%') {
        true => holds_credential(&percent_decode_str(name).collect::<Vec<u8>>()),
        false => holds_credential(name.as_bytes()),
    }
}

fn holds_credential(name: &[u8]) -> bool {
    let stands_at = |at: usize, word: &str| {
        name[at..].get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    (0..name.len())
        .filter(|at| INITIALS[usize::from(name[*at])])
        .any(|at| CREDENTIALS.iter().any(|word| stands_at(at, word)))
}

fn escape_within(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest && is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len().min(longest) + 16);
    for c in text.chars() {
        if escaped.len() >= longest {
            escaped.push_str("...");
            break;
        }
        push_escaped(&mut escaped, c);
    }
    Cow::Owned(escaped)
}

/// Returns true if nothing in the text needs to be escaped.
pub(super) fn is_plain(text: &str) -> bool {
    // without an early end, so that many bytes are compared at once
    text.bytes().fold(true, |plain, byte| plain & (0x20..0x7f).contains(&byte))
}

pub(super) fn push_escaped(escaped: &mut String, c: char) {
    // a String takes everything
    let _ = match c {
        ' '..='~' => escaped.write_char(c),
        '\0'..='\x7f' => write!(escaped, "\\x{:02x}", c as u32),
        _ => write!(escaped, "\\u{{{:x}}}", c as u32),
    };
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
            ("/x#access_token=x", "/x#access_token=***"),
            ("/a?token=x#b=1&code=y", "/a?token=***#b=1&code=***"),
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
