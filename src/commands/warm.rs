//! `larder warm`: fetches URLs through a running Larder.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    io::Read,
    rc::Rc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::Mutex, task::LocalSet, time::Interval};

use super::{
    bar::Progress,
    place::{Running, Typed, aim, running},
    sitemap::{LONGEST, MOST_URLS, Sitemap},
};
use crate::{
    cli::WarmArguments,
    config::Folders,
    message::{FieldName, FieldValue, Fields, Method},
    origin::{self, Origin, OriginRequest},
};

/// The most URLs of one run.
const MOST: usize = 1_000_000;

/// The most sitemaps of an index that are read.
const MOST_SITEMAPS: usize = 500;

/// The most requests at once.
const MOST_JOBS: usize = 256;

/// The failures that are named.
const NAMED: usize = 5;

/// How long Larder may take to answer, or pause within an answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What has become of the URLs.
#[derive(Debug, Default)]
pub struct Warmed {
    /// By what Larder said: `stored`, `fresh`, `not stored`.
    kinds: BTreeMap<&'static str, u64>,
    bytes: u64,
    failed: u64,
    /// The first failures.
    failures: Vec<String>,
    /// What was left out.
    notes: Vec<String>,
}

impl Warmed {
    /// Returns the lines that say what has become of the URLs.
    pub fn lines(&self) -> Vec<String> {
        let count: u64 = self.kinds.values().sum();
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
        let noun = if count == 1 { "URL" } else { "URLs" };
        let mut lines = self.notes.clone();
        lines.push(format!("fetched {count} {noun}, {}{kinds}", crate::units::show_size(self.bytes)));
        lines
    }

    /// Returns the lines that name the first URLs that failed.
    pub fn failures(&self) -> Vec<String> {
        let mut lines = self.failures.clone();
        let named = self.failures.len() as u64;
        if self.failed > named {
            lines.push(format!("and {} more failed", self.failed - named));
        }
        lines
    }

    fn note(&mut self, url: &str, fetched: Result<(&'static str, u64), String>) {
        match fetched {
            Ok((kind, bytes)) => {
                *self.kinds.entry(kind).or_default() += 1;
                self.bytes += bytes;
            }
            Err(why) => {
                self.failed += 1;
                if self.failures.len() < NAMED {
                    self.failures.push(format!("{url}: {why}"));
                }
            }
        }
    }
}

/// A URL to be fetched from one Larder.
struct Url {
    typed: String,
    host: String,
    target: String,
}

/// Finds the Larder for a URL, and returns where it listens.
type Resolve<'a> = dyn Fn(&str) -> Result<(String, Url), String> + 'a;

/// Fetches the URLs. The error is one line.
pub fn warm(arguments: &WarmArguments, folders: &Folders, quiet: bool) -> Result<Warmed, String> {
    let jobs = number("--jobs", &arguments.jobs, MOST_JOBS)?;
    let rate = arguments.rate.as_deref().map(rate).transpose()?;
    let fields = fields(&arguments.headers)?;
    let running = running(folders)?;
    if running.is_empty() {
        return Err("no Larder runs; start one: URLs are fetched through it".to_owned());
    }
    let named = matches!(folders, Folders::One(_));
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    LocalSet::new().block_on(&rt, async {
        let mut clients: Vec<(String, Rc<Origin>)> = Vec::new();
        for of in &running {
            clients.push((of.listening.clone(), Rc::new(client(of, jobs)?)));
        }
        let resolve = |typed: &str| resolve(typed, &running, named);
        let mut warmed = Warmed::default();
        let mut texts = arguments.urls.clone();
        if let Some(file) = &arguments.file {
            texts.extend(lines_of(file)?);
        }
        if let Some(sitemap) = &arguments.sitemap {
            texts.extend(of_sitemap(sitemap, &resolve, &clients, &fields, &mut warmed).await?);
        }
        if texts.len() > MOST {
            return Err(format!("{} URLs; expected at most {MOST}: split the list", texts.len()));
        }
        let mut urls = Vec::with_capacity(texts.len());
        for text in &texts {
            match resolve(text) {
                Ok(url) => urls.push(url),
                Err(why) => warmed.note(text, Err(why)),
            }
        }
        let progress = Progress::of(urls.len() as u64, quiet);
        let pace = rate.map(|each| Mutex::new(tokio::time::interval(each)));
        let warmed = RefCell::new(warmed);
        let (pace, clients, fields, warmed_by, done) = (&pace, &clients, &fields, &warmed, &progress);
        let fetch_one = |(listening, url): (String, Url)| async move {
            wait(pace.as_ref()).await;
            let client = clients.iter().find(|(of, _)| *of == listening).map(|(_, client)| client);
            let fetched = match client {
                Some(client) => fetch(client, &url, fields, 0).await.and_then(kind),
                None => Err("it has no Larder".to_owned()),
            };
            warmed_by.borrow_mut().note(&url.typed, fetched);
            done.advance();
        };
        stream::iter(urls).for_each_concurrent(jobs, fetch_one).await;
        progress.wipe();
        Ok(warmed.into_inner())
    })
}

/// Waits for the turn of the next request.
async fn wait(pace: Option<&Mutex<Interval>>) {
    if let Some(pace) = pace {
        pace.lock().await.tick().await;
    }
}

/// Finds the Larder for a URL. Returns where it listens.
fn resolve(typed: &str, running: &[Running], named: bool) -> Result<(String, Url), String> {
    let aimed = aim(&Typed::parse(typed)?, running, named)?;
    let of = running.iter().find(|of| of.folder == aimed.folder).ok_or("no Larder runs for it")?;
    let own = of.listening.trim_start_matches("http://").replace("0.0.0.0", "127.0.0.1");
    let host = aimed.host.unwrap_or(own);
    Ok((of.listening.clone(), Url { typed: typed.to_owned(), host, target: aimed.target }))
}

fn client(of: &Running, jobs: usize) -> Result<Origin, String> {
    let authority = of.listening.trim_start_matches("http://");
    let (host, port) = authority.rsplit_once(':').ok_or("the running Larder does not say where it listens")?;
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    let options = origin::Options {
        https: false,
        host: host.to_owned(),
        port: port.parse().map_err(|_| format!("{authority} is no address"))?,
        allow_link_local: true,
        ca: None,
        insecure: false,
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
        between_bytes_timeout: PATIENCE,
        idle_timeout: Duration::from_secs(30),
        settle: Duration::ZERO,
        max_age: Duration::from_secs(300),
        max_connections: jobs * 2,
        max_streams: jobs,
        max_head: 1 << 20,
        max_fields: 1000,
    };
    Ok(Origin::new(Origin::prepare(options)?))
}

/// What Larder has answered.
struct Answer {
    status: u16,
    cache_status: String,
    /// The first bytes of the body, as many as were asked for.
    body: Vec<u8>,
    length: u64,
}

/// Fetches one URL to its end. Keeps so many bytes of its body.
async fn fetch(client: &Origin, url: &Url, fields: &Fields, keeps: usize) -> Result<Answer, String> {
    let mut fields = fields.clone();
    let host = FieldValue::from_str(&url.host).map_err(|_| format!("invalid host {:?}", url.host))?;
    fields.set(http::header::HOST, host);
    let request = OriginRequest { method: Method::GET, target: url.target.clone(), fields, body: None };
    let mut response =
        client.send(request, |_| {}).await.map_err(|error| format!("Larder does not answer: {error}"))?;
    let status = response.head.status.as_u16();
    let said = response.head.fields.values(&crate::fields::CACHE_STATUS).last();
    let cache_status = said.and_then(|said| said.to_str().ok()).unwrap_or_default().to_owned();
    let (mut body, mut length) = (Vec::new(), 0);
    while let Some(bytes) = response.body.next().await {
        let bytes = bytes.map_err(|error| format!("the answer broke off: {error}"))?;
        length += bytes.len() as u64;
        let room = keeps.saturating_sub(body.len());
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    Ok(Answer { status, cache_status, body, length })
}

/// Returns what has become of a URL, and the bytes of its body.
fn kind(Answer { status, cache_status, length, .. }: Answer) -> Result<(&'static str, u64), String> {
    if status >= 400 {
        // where the origin gave this status, the rest is about the cache
        let is_the_origins = cache_status.contains("fwd-status=");
        let why = cache_status.split("detail=").nth(1).filter(|_| !is_the_origins);
        return Err(
            why.map_or_else(|| format!("status {status}"), |why| format!("status {status}: {}", why.trim_matches('"')))
        );
    }
    let kind = match cache_status {
        said if said.contains("; stored") => "stored",
        said if said.contains("; hit") => "fresh already",
        said if said.contains("validated") => "validated",
        _ => "not stored (larder explain says why)",
    };
    Ok((kind, length))
}

/// Returns the URLs of a sitemap, and of those that an index names.
async fn of_sitemap(
    first: &str,
    resolve: &Resolve<'_>,
    clients: &[(String, Rc<Origin>)],
    fields: &Fields,
    warmed: &mut Warmed,
) -> Result<Vec<String>, String> {
    let (mut maps, mut seen, mut urls) = (vec![first.to_owned()], HashSet::new(), Vec::new());
    while let Some(map) = maps.pop() {
        if !seen.insert(map.clone()) {
            continue;
        }
        if seen.len() > MOST_SITEMAPS {
            warmed.notes.push(format!("more than {MOST_SITEMAPS} sitemaps; the others are left out"));
            break;
        }
        // the URLs in a sitemap have the public name of the site
        let (listening, url) = resolve(&map).or_else(|_| resolve(path(&map)))?;
        let client = clients.iter().find(|(of, _)| *of == listening).map(|(_, client)| client);
        let Some(client) = client else { continue };
        let answer = fetch(client, &url, fields, LONGEST + 1).await.map_err(|why| format!("{map}: {why}"))?;
        if answer.status != 200 {
            return Err(format!("{map}: status {}", answer.status));
        }
        if answer.body.len() > LONGEST {
            return Err(format!("{map}: longer than {}", crate::units::show_size(LONGEST as u64)));
        }
        if answer.body.starts_with(&[0x1f, 0x8b]) {
            return Err(format!("{map}: it is compressed; name the plain one"));
        }
        let read = Sitemap::parse(&String::from_utf8_lossy(&answer.body));
        if read.urls.is_empty() {
            return Err(format!("{map}: it is no sitemap: there is no <loc> in it"));
        }
        if read.urls.len() == MOST_URLS {
            warmed.notes.push(format!("{map}: only the first {MOST_URLS} URLs are read"));
        }
        match read.is_index {
            true => maps.extend(read.urls),
            false => urls.extend(read.urls.iter().map(|url| match resolve(url) {
                Ok(_) => url.clone(),
                Err(_) => path(url).to_owned(),
            })),
        }
    }
    Ok(urls)
}

/// Returns the path and the query of a URL.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |at| &rest[at..])
}

fn lines_of(file: &str) -> Result<Vec<String>, String> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        file => std::fs::read_to_string(file).map(|read| text = read),
    };
    read.map_err(|error| format!("cannot read {file}: {error}"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn fields(headers: &[String]) -> Result<Fields, String> {
    let own = [("user-agent", concat!("larder-warm/", env!("CARGO_PKG_VERSION"))), ("accept", "*/*")];
    let own = own.map(|(name, value)| (FieldName::from_static(name), FieldValue::from_static(value)));
    let mut fields: Fields = own.into_iter().collect();
    for line in headers {
        let wrong = || format!("invalid --header {line:?}: expected a name and a value, for example 'Accept: */*'");
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = FieldName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        fields.set(name, FieldValue::from_str(value.trim()).map_err(|_| wrong())?);
    }
    Ok(fields)
}

fn number(flag: &str, text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("invalid {flag} {text:?}: expected a number from 1 to {most}"))
}

/// Returns the time between two requests of a rate such as `10/s`.
fn rate(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches("/s").parse::<f64>().ok().filter(|rate| (0.01..=100_000.0).contains(rate));
    let rate =
        number.ok_or_else(|| format!("invalid --rate {text:?}: expected requests a second, for example 10/s"))?;
    Ok(Duration::from_secs_f64(1.0 / rate))
}
