//! Reads a [`Config`] out of the arguments.

use std::{cell::RefCell, path::PathBuf, time::Duration};

use super::{
    error::{ConfigError, Fault},
    file::File,
    folder::{self, Surroundings},
    origin::{self, Origin},
    types::{Config, Folders, Listen, Log},
    values,
};
use crate::{
    cli::{Arguments, Command, Source},
    client,
    clock::Seconds,
    default,
    origin::is_link_local,
    policy, store,
    units::{self, show_size},
};

/// The limits that are not flags, because nobody has needed to change them.
mod fixed {
    use std::time::Duration;
    pub const ORIGIN_MAX_AGE: Duration = Duration::from_secs(300);
    pub const ORIGIN_MAX_HEAD: usize = 64 << 10;
    pub const ORIGIN_MAX_FIELDS: usize = 256;
    /// The least disk space of a cache. With less, the store's own files leave no room for a response.
    pub const LEAST_DISK: u64 = 16 << 20;
    /// The most worker threads.
    pub const MOST_WORKERS: u64 = 1024;
}

/// Reads a [`Config`] out of the arguments and the file. Each setting that is not valid is noted, and stands for some valid
/// value until all are read.
pub(super) struct Reader<'a> {
    pub arguments: &'a Arguments,
    pub surroundings: &'a Surroundings,
    pub file: Option<&'a File>,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Reader<'a> {
    pub fn new(arguments: &'a Arguments, surroundings: &'a Surroundings, file: Option<&'a File>) -> Reader<'a> {
        Reader { arguments, surroundings, file, errors: RefCell::default() }
    }

    /// Notes an error, once.
    pub fn note(&self, error: ConfigError) {
        let mut errors = self.errors.borrow_mut();
        if !errors.contains(&error) {
            errors.push(error);
        }
    }

    /// Notes the error, if there is one.
    pub fn noted<T: Default>(&self, read: Result<T, ConfigError>) -> T {
        read.unwrap_or_else(|error| {
            self.note(error);
            T::default()
        })
    }

    pub fn config(&self) -> Result<Config, Vec<ConfigError>> {
        let a = self.arguments;
        let (sites, rules) = self.sites();
        let listen =
            Listen { host: self.noted(self.listen_host()), port: self.number("port", &a.port, 0, 65535) as u16 };
        let (allow_hosts, client) = (self.noted(self.allow_hosts()), self.client());
        let folder = self.noted(self.cache_dir().and_then(|named| match (named, sites.first()) {
            (Some(folder), _) => Ok(folder),
            (None, Some(first)) => self.default_folder(&first.origin),
            (None, None) => Ok(PathBuf::new()),
        }));
        let store = self.store(folder);
        let (log, warnings) = (Log { verbose: a.verbose, quiet: a.quiet }, self.warnings(&sites));
        let config = Config { listen, allow_hosts, log, store, client, rules, warnings, sites };
        let mut errors = self.errors.take();
        errors.sort_by_key(ConfigError::line);
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    fn store(&self, folder: PathBuf) -> store::Options {
        let ((disk, max_object), memory) = (self.noted(self.disk()), self.noted(self.memory()));
        store::Options { folder, memory, disk, max_object }
    }

    /// Returns the space of the cache, and of the largest body in it.
    fn disk(&self) -> Result<(u64, u64), ConfigError> {
        let a = self.arguments;
        let disk = self.read_size("disk", &a.disk)?;
        if disk < fixed::LEAST_DISK {
            let least = show_size(fixed::LEAST_DISK);
            return Err(self.invalid("disk", &a.disk, format!("expected at least {least}")));
        }
        let max_object = match &a.max_object {
            Some(text) => self.read_size("max_object", text)?,
            None => disk / default::MAX_OBJECT_FRACTION,
        };
        if max_object > disk {
            let (typed, whole) = (a.max_object.as_deref().unwrap_or_default(), a.name_of("disk"));
            let problem = format!("expected at most {} ({whole}); lower it, or raise {whole}", show_size(disk));
            return Err(self.invalid("max_object", typed, problem));
        }
        Ok((disk, max_object))
    }

    fn memory(&self) -> Result<u64, ConfigError> {
        let typed = &self.arguments.memory;
        let memory = self.read_size("memory", typed)?;
        if (1..store::LEAST_MEMORY).contains(&memory) {
            let least = show_size(store::LEAST_MEMORY);
            let problem = format!("expected at least {least}, or 0B to keep all responses on disk");
            return Err(self.invalid("memory", typed, problem));
        }
        Ok(memory)
    }

    /// Parses a time of whole seconds.
    fn seconds(&self, field: &'static str, text: &str) -> Seconds {
        self.noted(values::seconds(text).map_err(|problem| self.invalid(field, text, problem)))
    }

    /// Parses the time whose counters are shown.
    pub fn window(&self, field: &'static str, text: &str) -> Result<Seconds, ConfigError> {
        let window = values::seconds(text).ok().filter(|window| (60..=86_400).contains(&window.0));
        window.ok_or_else(|| self.invalid(field, text, "expected 1m to 1d, for example 15m".to_owned()))
    }

    pub fn policy(&self) -> policy::Options {
        let a = self.arguments;
        policy::Options {
            strict: a.strict,
            default_ttl: self.seconds("default_ttl", &a.default_ttl),
            negative_ttl: self.seconds("negative_ttl", &a.negative_ttl),
            stale_if_error: self.seconds("stale_if_error", &a.stale_if_error),
            client_reload: a.client_reload,
            ignore_cookies: a.ignore_cookies,
            max_head: fixed::ORIGIN_MAX_HEAD,
            max_fields: fixed::ORIGIN_MAX_FIELDS,
            site: "".into(),
            digest_key: policy::DigestKey::default(),
            keys_host: false,
            steering: policy::Steering::default(),
        }
    }

    pub fn origin_client(&self, origin: &Origin) -> crate::origin::Options {
        let a = self.arguments;
        if let Some(file) = &a.origin_ca
            && let Err(problem) = crate::origin::certificates(file)
        {
            let problem = format!("{problem}; expected a file of PEM certificates");
            self.note(self.invalid("origin_ca", &file.to_string_lossy(), problem));
        }
        crate::origin::Options {
            https: origin.https,
            host: origin.host.clone(),
            port: origin.port,
            allow_link_local: a.allow_link_local_origin,
            ca: a.origin_ca.clone(),
            insecure: a.origin_insecure,
            connect_timeout: self.timeout("connect_timeout", &a.connect_timeout),
            first_byte_timeout: self.timeout("first_byte_timeout", &a.first_byte_timeout),
            between_bytes_timeout: self.timeout("between_bytes_timeout", &a.between_bytes_timeout),
            idle_timeout: self.duration("origin_keep_alive", &a.origin_keep_alive),
            settle: self.duration("origin_settle", &a.origin_settle),
            max_age: fixed::ORIGIN_MAX_AGE,
            max_connections: self.number("origin_connections", &a.origin_connections, 1, 1_000_000) as usize,
            max_streams: self.number("origin_streams", &a.origin_streams, 0, 1_000_000) as usize,
            max_head: fixed::ORIGIN_MAX_HEAD,
            max_fields: fixed::ORIGIN_MAX_FIELDS,
        }
    }

    fn client(&self) -> client::Options {
        let a = self.arguments;
        let (max_head, max_target) = self.noted(self.head());
        let max_connections = self.number("max_connections", &a.max_connections, 1, 1_000_000);
        let per_address = self.number("max_connections_per_address", &a.max_connections_per_address, 1, 1_000_000);
        client::Options {
            workers: match &a.workers {
                Some(text) => self.number("workers", text, 1, fixed::MOST_WORKERS) as usize,
                None => self.surroundings.cores.max(1),
            },
            shutdown_timeout: self.duration("shutdown_timeout", &a.shutdown_timeout),
            head_timeout: self.timeout("head_timeout", &a.head_timeout),
            keep_alive: self.timeout("keep_alive", &a.keep_alive),
            body_timeout: self.timeout("body_timeout", &a.body_timeout),
            min_rate: self.size("min_rate", &a.min_rate),
            write_timeout: self.timeout("write_timeout", &a.write_timeout),
            max_age: self.timeout("max_connection_age", &a.max_connection_age),
            max_requests: self.number("max_connection_requests", &a.max_connection_requests, 1, 1_000_000_000),
            max_head: max_head as usize,
            max_fields: self.number("max_fields", &a.max_fields, 1, client::FIELDS_BOUND as u64) as usize,
            max_target: max_target as usize,
            max_method: self.bounded_size("max_method", &a.max_method, 8, 256) as usize,
            max_chunk_extension: self.bounded_size("max_chunk_extension", &a.max_chunk_extension, 0, 4 << 10) as usize,
            max_chunk_extensions: self.bounded_size("max_chunk_extensions", &a.max_chunk_extensions, 0, 1 << 20)
                as usize,
            max_trailer: self.bounded_size("max_trailer", &a.max_trailer, 2, 64 << 10) as usize,
            drain_limit: self.size("drain_limit", &a.drain_limit),
            drain_timeout: self.timeout("drain_timeout", &a.drain_timeout),
            max_connections: max_connections as usize,
            max_connections_per_address: per_address.min(max_connections) as usize,
            trusted_proxies: self.noted(self.trusted_proxies()),
            direct: !a.without_lane,
            ..client::Options::default()
        }
    }

    /// Returns the largest head of a request, and the longest target in it.
    fn head(&self) -> Result<(u64, u64), ConfigError> {
        let a = self.arguments;
        let max_head = self.read_size_within("max_head", &a.max_head, 1 << 10, 128 << 10)?;
        let max_target = self.read_size_within("max_target", &a.max_target, 256, 128 << 10)?;
        if max_target > max_head {
            let whole = a.name_of("max_head");
            let problem = format!("expected at most {} ({whole}); lower it, or raise {whole}", show_size(max_head));
            return Err(self.invalid("max_target", &a.max_target, problem));
        }
        Ok((max_head, max_target))
    }

    /// Returns the origin of a URL, which may be that of a site in the file.
    pub fn origin(&self, url: &str, line: Option<usize>) -> Result<Origin, ConfigError> {
        // the part before an @ may be a password
        let value = Some(url.to_owned()).filter(|url| !url.contains('@'));
        let wrong = |problem| ConfigError { fault: Fault::Invalid(value), ..self.error_at("origin", line, problem) };
        let origin = Origin::parse(url).map_err(wrong)?;
        match origin.host.trim_matches(['[', ']']).parse() {
            // an earlier run may have allowed the address and filled the cache
            Ok(address) if is_link_local(address) && !self.arguments.allow_link_local_origin && self.serves() => {
                let problem = "link-local and cloud metadata addresses can give away credentials; choose another \
                               address, or allow this one with --allow-link-local-origin";
                let fault = Fault::Invalid(Some(origin.url));
                Err(ConfigError { fault, ..self.error_at("origin", line, problem) })
            }
            _ => Ok(origin),
        }
    }

    fn serves(&self) -> bool {
        !self.arguments.clear_cache && !matches!(self.arguments.command, Some(Command::Stats { .. }))
    }

    /// Returns the error of a setting at this line of the file, or of a flag.
    fn error_at(&self, key: &str, line: Option<usize>, problem: impl Into<String>) -> ConfigError {
        let error = self.error(key, problem);
        match (line, self.file) {
            (Some(line), Some(file)) => ConfigError { place: Some(file.place(line)), setting: key.to_owned(), ..error },
            _ => error,
        }
    }

    pub fn folders(&self) -> Result<Folders, ConfigError> {
        if let Some(folder) = self.cache_dir()? {
            return Ok(Folders::One(folder));
        }
        let (url, sites) = (&self.arguments.origin, self.file.map_or(0, |file| file.sites.len()));
        match url {
            Some(url) => self.default_folder(&self.origin(url, None)?).map(Folders::One),
            None if sites > 0 => self.folder_of_file().map(Folders::One),
            None => self.caches().map(Folders::Below),
        }
    }

    /// Returns the setting of the file that decides the folder, if the file does.
    pub fn folder_decided_by(&self) -> Option<String> {
        let field = if self.arguments.cache_dir.is_some() { "cache_dir" } else { "origin" };
        let is_of_file = matches!(self.arguments.source(field), Source::File { .. });
        is_of_file.then(|| self.arguments.name_of(field))
    }

    /// Returns the folder of the cache where the user names none.
    fn default_folder(&self, origin: &Origin) -> Result<PathBuf, ConfigError> {
        match self.file {
            Some(file) if !file.sites.is_empty() => self.folder_of_file(),
            _ => Ok(folder::of_origin(&self.caches()?, origin)),
        }
    }

    fn folder_of_file(&self) -> Result<PathBuf, ConfigError> {
        let file = self.file.map_or("", |file| &file.path);
        let caches = self.caches()?;
        Ok(std::path::absolute(file).map(|file| folder::of_file(&caches, &file)).unwrap_or(caches))
    }

    fn caches(&self) -> Result<PathBuf, ConfigError> {
        let unknown =
            "neither XDG_CACHE_HOME nor HOME is set; name a folder, for example --cache-dir /var/cache/larder";
        self.surroundings.caches().ok_or_else(|| self.missing("cache_dir", unknown))
    }

    fn cache_dir(&self) -> Result<Option<PathBuf>, ConfigError> {
        let Some(typed) = &self.arguments.cache_dir else { return Ok(None) };
        let wrong = |error| {
            let why = if typed.as_os_str().is_empty() { String::new() } else { format!("{error}; ") };
            let problem = format!("{why}expected a folder, for example /var/cache/larder");
            self.invalid("cache_dir", &typed.to_string_lossy(), problem)
        };
        std::path::absolute(typed).map(Some).map_err(wrong)
    }

    fn listen_host(&self) -> Result<String, ConfigError> {
        let typed = &self.arguments.host;
        // no port follows, so that an IPv6 address needs no brackets here
        let bracketed =
            if typed.contains(':') && !typed.starts_with('[') { format!("[{typed}]") } else { typed.clone() };
        let host = origin::host(&bracketed).map_err(|_| {
            self.invalid("host", typed, "expected an address of this machine, for example 127.0.0.1, 0.0.0.0 or ::1")
        })?;
        Ok(host.trim_matches(['[', ']']).to_owned())
    }

    fn allow_hosts(&self) -> Result<Vec<String>, ConfigError> {
        let expected = "expected a host name, for example example.com, *.example.com or example.com:8080";
        let one = |typed: &String| values::hosts(typed).ok_or_else(|| self.invalid("allow_host", typed, expected));
        self.arguments.allow_host.iter().map(one).collect()
    }

    fn size(&self, field: &str, text: &str) -> u64 {
        self.noted(self.read_size(field, text))
    }

    fn read_size(&self, field: &str, text: &str) -> Result<u64, ConfigError> {
        units::size(text).map_err(|problem| self.invalid(field, text, problem))
    }

    fn bounded_size(&self, field: &str, text: &str, least: u64, most: u64) -> u64 {
        self.noted(self.read_size_within(field, text, least, most))
    }

    fn read_size_within(&self, field: &str, text: &str, least: u64, most: u64) -> Result<u64, ConfigError> {
        let size = self.read_size(field, text)?;
        if !(least..=most).contains(&size) {
            let problem = format!("expected a size from {} to {}", show_size(least), show_size(most));
            return Err(self.invalid(field, text, problem));
        }
        Ok(size)
    }

    fn duration(&self, field: &str, text: &str) -> Duration {
        self.noted(units::duration(text).map_err(|problem| self.invalid(field, text, problem)))
    }

    /// Parses a duration that must not be zero.
    fn timeout(&self, field: &str, text: &str) -> Duration {
        let duration = units::duration(text).and_then(|duration| match duration.is_zero() {
            true => Err("expected more than 0s, for example 30s".to_owned()),
            false => Ok(duration),
        });
        self.noted(duration.map_err(|problem| self.invalid(field, text, problem)))
    }

    fn number(&self, field: &str, text: &str, least: u64, most: u64) -> u64 {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|n| plain && (least..=most).contains(n));
        self.noted(number.ok_or_else(|| self.invalid(field, text, format!("expected {least} to {most}"))))
    }

    pub fn missing(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { fault: Fault::Missing, ..self.error(field, problem) }
    }

    pub fn invalid(&self, field: &str, value: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { fault: Fault::Invalid(Some(value.to_owned())), ..self.error(field, problem) }
    }

    pub fn error(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        let (place, setting) = match self.arguments.source(field) {
            Source::File { place, key } => (Some(place.clone()), key.clone()),
            _ => (None, self.arguments.name_of(field)),
        };
        ConfigError { place, setting, fault: Fault::Conflict, problem: problem.into() }
    }
}
