//! Forwarded (RFC 7239): the client of a proxy, the host that it asked, and the scheme.

use super::list::{members, pieces, unquoted};

/// The facts that one proxy gives about a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    pub forwarded_for: Option<String>,
    pub proto: Option<String>,
    pub host: Option<String>,
}

/// Parses a line of Forwarded. Of a parameter that stands twice in one element the last one counts.
pub fn elements(line: &[u8]) -> Vec<Element> {
    members(line).filter(|member| !member.is_empty()).map(element).collect()
}

fn element(member: &[u8]) -> Element {
    let mut element = Element::default();
    for pair in pieces(member, b';') {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (pair[..at].to_ascii_lowercase(), &pair[at + 1..]);
        let place = match &name[..] {
            b"for" => &mut element.forwarded_for,
            b"proto" => &mut element.proto,
            b"host" => &mut element.host,
            _ => continue,
        };
        let value = unquoted(value).unwrap_or_else(|| value.to_vec());
        *place = String::from_utf8(value).ok().filter(|value| !value.is_empty());
    }
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_names_a_client_a_scheme_and_a_host() {
        let element = |parts: [Option<&str>; 3]| {
            let [forwarded_for, proto, host] = parts.map(|part| part.map(str::to_owned));
            Element { forwarded_for, proto, host }
        };
        for (line, expected) in [
            ("for=192.0.2.1", vec![element([Some("192.0.2.1"), None, None])]),
            (
                "For=\"[2001:db8::1]:4711\";Proto=https ; host=\"a;b,c\", for=_x",
                vec![
                    element([Some("[2001:db8::1]:4711"), Some("https"), Some("a;b,c")]),
                    element([Some("_x"), None, None]),
                ],
            ),
            ("by=10.0.0.1;secret=1", vec![element([None; 3])]),
            ("for=;proto", vec![element([None; 3])]),
            ("", vec![]),
        ] {
            assert_eq!(elements(line.as_bytes()), expected, "{line}");
        }
    }
}
