//! Finds the Larder that a URL is meant for.

use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::folders::paths;
use crate::{
    admin::{self, AskError},
    config::Folders,
};

/// What a request line cannot hold as it is, besides what is beyond ASCII.
const NOT_IN_TARGET: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`');

/// A URL as the operator has typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed {
    /// Host and port. `None`: a path alone was typed.
    pub authority: Option<String>,
    /// Path and query, as a request line has them.
    pub target: String,
    /// The scheme is https.
    pub https: bool,
}

/// A Larder that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub folder: PathBuf,
    /// `http://127.0.0.1:3000`
    pub listening: String,
    pub origin: String,
}

/// A request to one Larder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aimed {
    pub folder: PathBuf,
    /// The Host field. `None`: Larder's own address.
    pub host: Option<String>,
    pub target: String,
}

impl Typed {
    /// Parses what was typed: `/a?b`, `http://127.0.0.1:3000/a`, `localhost:3000/a`. The part behind `#` is left out.
    pub fn parse(text: &str) -> Result<Typed, String> {
        let wrong =
            || format!("invalid URL {text:?}: expected a path such as /a, or a URL such as http://127.0.0.1:3000/a");
        let encode = |text: &str| utf8_percent_encode(text, NOT_IN_TARGET).to_string();
        let text = text.split('#').next().unwrap_or_default();
        if text.starts_with('/') {
            return Ok(Typed { authority: None, target: encode(text), https: false });
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return Err(wrong());
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // a word is most likely a path without its slash
        let is_host = authority.contains([':', '.']) || authority == "localhost" || text.contains("://");
        if authority.is_empty() || !is_host || authority.contains(['@', ' ']) {
            return Err(wrong());
        }
        let target = if path.starts_with('/') { encode(path) } else { format!("/{}", encode(path)) };
        Ok(Typed { authority: Some(authority.to_ascii_lowercase()), target, https })
    }

    /// Returns the request that a Larder with this origin gets, if the URL is one of the origin.
    fn at_origin(&self, origin: &str) -> Option<String> {
        let authority = self.authority.as_ref()?;
        let scheme = if self.https { "https" } else { "http" };
        let own = origin.strip_prefix(scheme)?.strip_prefix("://")?;
        let (host, base) = own.split_at(own.find('/').unwrap_or(own.len()));
        let base = base.trim_end_matches('/');
        let rest = (authority == host).then(|| self.target.strip_prefix(base)).flatten()?;
        match rest.as_bytes().first() {
            None | Some(b'?') => Some(format!("/{rest}")),
            Some(b'/') => Some(rest.to_owned()),
            Some(_) => None,
        }
    }

    /// Returns true if the URL is one of a Larder that listens here.
    fn is_at(&self, listening: &str) -> bool {
        let Some(authority) = &self.authority else { return false };
        let split = |authority: &str| {
            let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
            (host.to_owned(), port.to_owned())
        };
        let ((host, port), (own, own_port)) = (split(authority), split(listening.trim_start_matches("http://")));
        let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&&*host);
        port == own_port && !self.https && (is_loopback || host == own || ["0.0.0.0", "[::]"].contains(&&*own))
    }
}

/// Returns the Larders that run on these folders.
pub fn running(folders: &Folders) -> Result<Vec<Running>, String> {
    let mut running = Vec::new();
    for folder in paths(folders)? {
        match admin::ask(&folder, &admin::Command::Stats) {
            Ok(stats) => {
                let text = |name: &str| stats[name].as_str().unwrap_or_default().to_owned();
                running.push(Running { listening: text("listening"), origin: text("origin"), folder });
            }
            Err(AskError::NotRunning) => {}
            // the other Larders may still answer
            Err(error) if matches!(folders, Folders::Below(_)) => log::warn!("{}: {error}", folder.display()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(running)
}

/// Chooses the Larder that a URL is meant for. `named`: the flags name its folder. The error says what runs instead.
pub fn aim(typed: &Typed, running: &[Running], named: bool) -> Result<Aimed, String> {
    let aimed = |of: &Running, host: Option<String>, target: String| Aimed { folder: of.folder.clone(), host, target };
    if let Some(of) = running.iter().find(|of| typed.is_at(&of.listening)) {
        return Ok(aimed(of, typed.authority.clone(), typed.target.clone()));
    }
    if let Some((of, target)) = running.iter().find_map(|of| Some((of, typed.at_origin(&of.origin)?))) {
        return Ok(aimed(of, None, target));
    }
    let list: Vec<String> = running.iter().map(|of| format!("{} ({})", of.listening, of.origin)).collect();
    match (&typed.authority, running) {
        (None, [of]) => Ok(aimed(of, None, typed.target.clone())),
        (Some(host), [of]) if named => Ok(aimed(of, Some(host.clone()), typed.target.clone())),
        (None, _) => Err(format!("several Larders run; write the URL at one of them: {}", list.join(", "))),
        (Some(host), _) => {
            Err(format!("no Larder listens on {host}, and none has that origin; running: {}", list.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Vec<Running> {
        let one = |listening: &str, origin: &str| Running {
            folder: listening.into(),
            listening: listening.to_owned(),
            origin: origin.to_owned(),
        };
        vec![one("http://127.0.0.1:3000", "http://dummyjson.com"), one("http://0.0.0.0:3001", "https://api.example/v2")]
    }

    #[test]
    fn a_url_is_one_of_a_larder_or_of_its_origin() {
        for (url, aimed) in [
            ("http://127.0.0.1:3000/a?b", Ok((3000, Some("127.0.0.1:3000"), "/a?b"))),
            ("localhost:3000", Ok((3000, Some("localhost:3000"), "/"))),
            ("http://10.0.0.5:3001/x#y", Ok((3001, Some("10.0.0.5:3001"), "/x"))),
            ("http://dummyjson.com/products", Ok((3000, None, "/products"))),
            ("https://api.example/v2/me", Ok((3001, None, "/me"))),
            ("https://api.example/v2?x", Ok((3001, None, "/?x"))),
            ("https://api.example/v22", Err("no Larder listens on api.example")),
            ("http://api.example/v2/me", Err("no Larder listens on api.example")),
            ("/a", Err("several Larders run")),
            ("a", Err("invalid URL")),
            ("ftp://a.b/", Err("invalid URL")),
        ] {
            let found = Typed::parse(url).and_then(|typed| aim(&typed, &running(), false));
            match (found, aimed) {
                (Ok(found), Ok((port, host, target))) => {
                    assert!(found.folder.to_str().unwrap().ends_with(&port.to_string()), "{url}: {found:?}");
                    assert_eq!((found.host.as_deref(), &*found.target), (host, target), "{url}");
                }
                (Err(error), Err(beginning)) => assert!(error.starts_with(beginning), "{url}: {error}"),
                other => panic!("{url}: {other:?}"),
            }
        }
        let one = &running()[..1];
        assert_eq!(aim(&Typed::parse("/\u{e4} b").unwrap(), one, false).unwrap().target, "/%C3%A4%20b");
        assert!(aim(&Typed::parse("http://shop.example/").unwrap(), one, true).is_ok(), "a host of a site");
    }
}
