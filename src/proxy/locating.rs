//! Finds what is stored under a URL that an operator names: by the code that chooses the site and the key of a request.

use std::{fmt, rc::Rc, sync::Arc};

use super::{
    authority::{Names, host_and_port, is_loopback_name, normal_authority},
    outward::is_below,
    site::choose,
    sites::{Plan, SitePlan},
    steered::Book,
};
use crate::{
    fields::method::query,
    key::{CacheKey, UrlParts},
    message::{Fields, Method, Scheme, StoredHead, Target},
    policy,
    purge::{self, PrefixError},
    rules,
};

/// The most sites that an error names.
const NAMED: usize = 5;

/// The sites whose responses are looked for. There may be none, if no Larder runs and no flag names them.
pub struct Directory<'a> {
    hosts: &'a [String],
    sites: &'a [SitePlan],
    hosts_of_sites: Vec<String>,
    /// The rules of each site.
    books: Vec<Rc<Book>>,
    /// The port that Larder listens on.
    port: u16,
}

/// What a URL stands for.
#[derive(Debug, Default, PartialEq)]
pub struct Located {
    /// Purges by these reach all that is stored under the URL: all methods and variants.
    pub targets: Vec<purge::Target>,
    /// The keys under which responses may be stored. `None`: there may be others, for other fields of the request or for
    /// other hosts.
    pub keys: Option<Vec<CacheKey>>,
}

/// A path of one site, as an operator named it.
struct Place {
    /// The site's place in the list.
    site: usize,
    scheme: Scheme,
    /// `None`: the text names no host.
    authority: Option<String>,
    path: String,
}

/// Why a URL or a prefix stands for nothing here.
#[derive(Debug, PartialEq)]
pub enum LocateError {
    /// The text is not a URL.
    Invalid {
        text: String,
        problem: &'static str,
    },
    /// No site here has this URL. `sites` names them.
    Foreign {
        text: String,
        sites: String,
    },
    Prefix(PrefixError),
}

impl<'a> Directory<'a> {
    /// `port` is the one that Larder listens on.
    pub fn new(plan: &'a Plan, port: u16) -> Directory<'a> {
        Directory::of(&plan.hosts, &plan.sites, port)
    }

    pub fn of(hosts: &'a [String], sites: &'a [SitePlan], port: u16) -> Directory<'a> {
        let books = sites.iter().map(|site| Book::new(site.rules.clone(), site.policy.clone())).collect();
        let hosts_of_sites = sites.iter().flat_map(|site| site.hosts.iter().cloned()).collect();
        Directory { hosts, sites, hosts_of_sites, books, port }
    }

    /// Returns what a URL stands for: `/products/1` of all hosts and sites that have this path, or
    /// `http://127.0.0.1:3000/products/1`.
    pub fn url(&self, text: &str) -> Result<Located, LocateError> {
        let mut located = Located { targets: Vec::new(), keys: Some(Vec::new()) };
        for place in self.places(text)? {
            self.add(&place, &mut located);
        }
        Ok(located)
    }

    /// Returns the targets of a purge by a prefix: `/products` of all sites, or `http://127.0.0.1:3000/products`.
    pub fn prefix(&self, text: &str) -> Result<Vec<purge::Target>, LocateError> {
        let mut targets = Vec::new();
        for Place { site, authority, path, .. } in self.places(text)? {
            let site = &self.sites[site];
            let authority = authority.as_deref().filter(|_| site.tells_client());
            targets.push(purge::Target::prefix(&site.policy.site, authority, &path).map_err(LocateError::Prefix)?);
        }
        targets.dedup();
        Ok(targets)
    }

    /// Returns the policy's options for a stored response, or `base` if no site here has it.
    pub fn options(&self, head: &StoredHead, base: &Arc<policy::Options>) -> Arc<policy::Options> {
        let Some(nth) = self.sites.iter().position(|site| *site.policy.site == *head.line.site()) else {
            return base.clone();
        };
        let (method, path_and_query) = (&head.line.method, head.line.path_and_query());
        let asked = rules::Asked { method, path_and_query, fields: &Fields::new() };
        self.books[nth].asked(asked).answer(&head.head).policy.clone()
    }

    /// Returns the name of a stored response: its path, or its whole URL where there are several sites or hosts.
    pub fn name(&self, head: &StoredHead) -> String {
        let line = &head.line;
        let is_plain = match self.sites {
            [site] => !site.tells_client() || is_loopback_name(line.authority(), line.scheme, self.port),
            _ => false,
        };
        match is_plain {
            true => line.path_and_query().to_owned(),
            false => format!("{}://{}{}", line.scheme.as_str(), line.authority(), line.path_and_query()),
        }
    }

    /// Returns the places that a text is about: one for each site.
    fn places(&self, text: &str) -> Result<Vec<Place>, LocateError> {
        let invalid = |problem| LocateError::Invalid { text: text.to_owned(), problem };
        let foreign = || LocateError::Foreign { text: text.to_owned(), sites: self.shown() };
        let text = sendable(text);
        if text.starts_with('/') {
            let fits = |site: &SitePlan| {
                let path = text.trim_end_matches('/');
                is_below(&text, &site.url.prefix) || is_below(&site.url.prefix, path)
            };
            let sites = self.sites.iter().enumerate().filter(|(_, site)| fits(site));
            let place = |site| Place { site, scheme: Scheme::Http, authority: None, path: text.clone() };
            let places: Vec<_> = sites.map(|(nth, _)| place(nth)).collect();
            return if places.is_empty() { Err(foreign()) } else { Ok(places) };
        }
        const EXPECTED: &str = "expected a path, for example /products/1, or a URL that begins with http://";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| invalid(EXPECTED))?;
        let known = [Scheme::Http, Scheme::Https].into_iter().find(|known| scheme.eq_ignore_ascii_case(known.as_str()));
        let scheme = known.ok_or_else(|| invalid(EXPECTED))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = normal_authority(authority, scheme).ok_or_else(|| invalid("the host is invalid"))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let target = Target { scheme, authority, path_and_query: path };
        if self.is_known(&target)
            && let Some(nth) = choose(self.sites.iter().map(|site| (&site.hosts[..], &*site.url.prefix)), &target)
        {
            let Target { authority, path_and_query: path, .. } = target;
            return Ok(vec![Place { site: nth, scheme, authority: Some(authority), path }]);
        }
        // people know a site by its own URL, too
        let inward = |site: &SitePlan| site.url.inward(&text);
        let of_origin = self.sites.iter().enumerate().filter_map(|(nth, site)| Some((nth, inward(site)?)));
        let places: Vec<_> = of_origin.map(|(site, path)| Place { site, scheme, authority: None, path }).collect();
        if places.is_empty() { Err(foreign()) } else { Ok(places) }
    }

    /// Returns true if clients ask this Larder for the host of this target.
    fn is_known(&self, target: &Target) -> bool {
        let (host, port) = host_and_port(&target.authority);
        let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
        let named = port.map_or(Some(target.scheme.default_port()), |port| port.parse().ok());
        let names = Names { allowed: self.hosts, of_sites: &self.hosts_of_sites, port: self.port, local: None };
        // where the host is in the key, what it does not name stays
        let in_key = || {
            let of_all = self.hosts.is_empty() && !host.is_empty();
            of_all && self.sites.iter().any(|site| site.tells_client() && site.hosts.is_empty() && !is_address)
        };
        names.include(&target.authority, target.scheme) || is_address && named == Some(self.port) || in_key()
    }

    /// Adds what a path of a site stands for.
    fn add(&self, place: &Place, located: &mut Located) {
        let (site, book) = (&self.sites[place.site], &self.books[place.site]);
        let (scheme, authority, path) = (place.scheme, place.authority.as_deref(), &*place.path);
        let (keyed, fields) = (&*site.policy.site, Fields::new());
        let mut target = |authority: Option<&str>, path: &str| {
            let target = purge::Target::url(keyed, authority, path);
            if !located.targets.contains(&target) {
                located.targets.push(target);
            }
        };
        let mut keys = located.keys.take();
        for method in [Method::GET, query(), Method::POST] {
            let steered = book.asked(rules::Asked { method: &method, path_and_query: path, fields: &fields });
            let key = &steered.request().key;
            let rewritten = key.rewritten(path);
            let path_of_key = key.target(&rewritten);
            let tells_client = site.tells_client() && !key.ignores_host;
            target(authority.filter(|_| tells_client), &path_of_key);
            if key.holds_values() || tells_client && authority.is_none() {
                keys = None;
            }
            if let Some(keys) = &mut keys {
                let digest_key = &book.base().digest_key;
                keys.push(CacheKey::of(UrlParts {
                    site: keyed,
                    host_mode: site.host_mode.as_str(),
                    method: &method,
                    path_and_query: &path_of_key,
                    client: authority.filter(|_| tells_client).map(|authority| (scheme, authority)),
                    besides: key.besides(&fields, digest_key).as_deref(),
                }));
            }
        }
        // the rules may make another key of another request
        if site.rules.look_at_fields() {
            target(authority.filter(|_| site.tells_client()), path);
            keys = None;
        }
        located.keys = keys;
    }

    /// Names the sites: `http://127.0.0.1:3000 -> http://example.com`.
    fn shown(&self) -> String {
        let own = format!("127.0.0.1:{}", self.port);
        let shown = self.sites.iter().take(NAMED).map(|site| {
            let host = site.hosts.first().map_or(&*own, |host| host);
            format!("http://{host}{} -> {}", site.url.prefix, site.url.url())
        });
        let mut text = shown.collect::<Vec<_>>().join(", ");
        if self.sites.len() > NAMED {
            text.push_str(&format!(" and {} more", self.sites.len() - NAMED));
        }
        text
    }
}

/// Returns a text as a client sends it: without a fragment, with `%XX` for spaces and bytes beyond ASCII.
fn sendable(text: &str) -> String {
    let text = text.split('#').next().unwrap_or_default();
    let mut sent = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_graphic() {
            true => sent.push(char::from(byte)),
            false => sent.push_str(&format!("%{byte:02X}")),
        }
    }
    sent
}

impl fmt::Display for LocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocateError::Invalid { text, problem } => write!(f, "invalid URL {text:?}: {problem}"),
            LocateError::Foreign { text, sites } if sites.is_empty() => write!(
                f,
                "{text}: no Larder runs on this cache folder, so its sites are not known; name them with --origin or --config"
            ),
            LocateError::Foreign { text, sites } => write!(f, "{text} is no URL of this Larder's sites: {sites}"),
            LocateError::Prefix(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LocateError {}
