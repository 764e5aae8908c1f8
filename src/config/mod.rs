//! Checks the settings: every bound and every cross-check. Makes the options for each part of the program.

mod folder;
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod origin;

use std::{fmt, path::PathBuf, time::Duration};

pub use folder::Surroundings;
pub use origin::Origin;

use crate::{
    cli::{Arguments, Command},
    client,
    clock::Seconds,
    default,
    origin::is_link_local,
    policy,
    proxy::HostMode,
    store,
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

/// An invalid or missing setting. Its text is one line: the setting, its value, what is wrong or was expected, an
/// example. The exit code is 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The name by which the user set it: `--disk` or `LARDER_DISK`.
    pub setting: String,
    pub fault: Fault,
    pub problem: String,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Missing,
    /// The value is shown, unless it may hold a password.
    Invalid(Option<String>),
    /// It cannot be combined with another setting.
    Conflict,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigError { setting, fault, problem } = self;
        match fault {
            Fault::Missing => write!(f, "missing {setting}: {problem}"),
            Fault::Invalid(None) => write!(f, "invalid {setting}: {problem}"),
            Fault::Invalid(Some(value)) => write!(f, "invalid {setting} {value:?}: {problem}"),
            Fault::Conflict => write!(f, "{setting}: {problem}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The task that the program was started for.
#[derive(Debug, Clone)]
pub enum Task {
    Serve(Box<Config>),
    Clear(Folders),
    Stats { folders: Folders, json: bool, all: bool },
}

/// The cache folders that a task is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folders {
    One(PathBuf),
    /// All folders of origins below this folder.
    Below(PathBuf),
}

/// The settings of a running Larder. All of them are valid.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: Listen,
    pub origin: Origin,
    /// The hosts that are served, in lower case, with a port only if one was typed. If empty, every host is served.
    pub allow_hosts: Vec<String>,
    /// Which Host the origin gets.
    pub host_mode: HostMode,
    /// True if the origin is told who the client is even if it gets its own Host.
    pub forward_client: bool,
    pub store: store::Options,
    pub policy: policy::Options,
    pub origin_client: crate::origin::Options,
    pub client: client::Options,
}

/// The address to listen on. Port 0 lets the system choose a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address. An IPv6 address is without brackets.
    pub host: String,
    pub port: u16,
}

impl Task {
    /// Checks the arguments and returns the task that they ask for.
    pub fn new(arguments: &Arguments, surroundings: &Surroundings) -> Result<Task, ConfigError> {
        let reader = Reader { arguments, surroundings };
        if let Some(Command::Stats { json, all }) = arguments.command {
            if arguments.clear_cache {
                return Err(reader.error("clear_cache", "cannot be combined with stats; run one, then the other"));
            }
            return Ok(Task::Stats { folders: reader.folders()?, json, all });
        }
        if arguments.clear_cache {
            return Ok(Task::Clear(reader.folders()?));
        }
        reader.config().map(|config| Task::Serve(Box::new(config)))
    }
}

/// Reads a [`Config`] out of the arguments.
struct Reader<'a> {
    arguments: &'a Arguments,
    surroundings: &'a Surroundings,
}

impl Reader<'_> {
    fn config(&self) -> Result<Config, ConfigError> {
        let a = self.arguments;
        let origin = self
            .origin()?
            .ok_or_else(|| self.missing("origin", "the site to cache, for example --origin http://example.com"))?;
        self.reject_link_local(&origin)?;
        let listen = Listen { host: self.listen_host()?, port: self.number("port", &a.port, 0, 65535)? as u16 };
        Ok(Config {
            listen,
            allow_hosts: self.allow_hosts()?,
            host_mode: self.host_mode(&origin)?,
            forward_client: a.forward_client,
            store: self.store(&origin)?,
            policy: self.policy()?,
            origin_client: self.origin_client(&origin)?,
            client: self.client()?,
            origin,
        })
    }

    fn reject_link_local(&self, origin: &Origin) -> Result<(), ConfigError> {
        match origin.host.trim_matches(['[', ']']).parse() {
            Ok(address) if is_link_local(address) && !self.arguments.allow_link_local_origin => {
                let problem = "link-local and cloud metadata addresses can give away credentials; choose another \
                               address, or allow this one with --allow-link-local-origin";
                Err(self.invalid("origin", &origin.url, problem))
            }
            _ => Ok(()),
        }
    }

    fn store(&self, origin: &Origin) -> Result<store::Options, ConfigError> {
        let a = self.arguments;
        let disk = self.size("disk", &a.disk)?;
        if disk < fixed::LEAST_DISK {
            let least = show_size(fixed::LEAST_DISK);
            return Err(self.invalid("disk", &a.disk, format!("expected at least {least}")));
        }
        let max_object = match &a.max_object {
            Some(text) => self.size("max_object", text)?,
            None => disk / default::MAX_OBJECT_FRACTION,
        };
        if max_object > disk {
            let (typed, whole) = (a.max_object.as_deref().unwrap_or_default(), a.name_of("disk"));
            let problem = format!("expected at most {} ({whole}); lower it, or raise {whole}", show_size(disk));
            return Err(self.invalid("max_object", typed, problem));
        }
        let memory = self.size("memory", &a.memory)?;
        if (1..store::LEAST_MEMORY).contains(&memory) {
            let least = show_size(store::LEAST_MEMORY);
            let problem = format!("expected at least {least}, or 0B to keep all responses on disk");
            return Err(self.invalid("memory", &a.memory, problem));
        }
        Ok(store::Options {
            folder: match self.cache_dir()? {
                Some(folder) => folder,
                None => folder::of_origin(&self.caches()?, origin),
            },
            memory,
            disk,
            max_object,
        })
    }

    /// Parses a time of whole seconds.
    fn seconds(&self, field: &'static str, text: &str) -> Result<Seconds, ConfigError> {
        let time = self.duration(field, text)?;
        if time.subsec_millis() != 0 {
            return Err(self.invalid(field, text, "expected whole seconds, for example 1s or 0s"));
        }
        Ok(Seconds(time.as_secs()))
    }

    fn policy(&self) -> Result<policy::Options, ConfigError> {
        let a = self.arguments;
        Ok(policy::Options {
            strict: a.strict,
            default_ttl: self.seconds("default_ttl", &a.default_ttl)?,
            negative_ttl: self.seconds("negative_ttl", &a.negative_ttl)?,
            stale_if_error: self.seconds("stale_if_error", &a.stale_if_error)?,
            client_reload: a.client_reload,
            ignore_cookies: a.ignore_cookies,
            max_head: fixed::ORIGIN_MAX_HEAD,
            max_fields: fixed::ORIGIN_MAX_FIELDS,
            site: "".into(),
            digest_key: policy::DigestKey::default(),
        })
    }

    fn origin_client(&self, origin: &Origin) -> Result<crate::origin::Options, ConfigError> {
        let a = self.arguments;
        if let Some(file) = &a.origin_ca {
            crate::origin::certificates(file).map_err(|problem| {
                let problem = format!("{problem}; expected a file of PEM certificates");
                self.invalid("origin_ca", &file.to_string_lossy(), problem)
            })?;
        }
        Ok(crate::origin::Options {
            https: origin.https,
            host: origin.host.clone(),
            port: origin.port,
            allow_link_local: a.allow_link_local_origin,
            ca: a.origin_ca.clone(),
            insecure: a.origin_insecure,
            connect_timeout: self.timeout("connect_timeout", &a.connect_timeout)?,
            first_byte_timeout: self.timeout("first_byte_timeout", &a.first_byte_timeout)?,
            between_bytes_timeout: self.timeout("between_bytes_timeout", &a.between_bytes_timeout)?,
            idle_timeout: self.duration("origin_keep_alive", &a.origin_keep_alive)?,
            settle: self.duration("origin_settle", &a.origin_settle)?,
            max_age: fixed::ORIGIN_MAX_AGE,
            max_connections: self.number("origin_connections", &a.origin_connections, 1, 1_000_000)? as usize,
            max_streams: self.number("origin_streams", &a.origin_streams, 0, 1_000_000)? as usize,
            max_head: fixed::ORIGIN_MAX_HEAD,
            max_fields: fixed::ORIGIN_MAX_FIELDS,
        })
    }

    fn client(&self) -> Result<client::Options, ConfigError> {
        let a = self.arguments;
        let max_head = self.bounded_size("max_head", &a.max_head, 1 << 10, 128 << 10)?;
        let max_target = self.bounded_size("max_target", &a.max_target, 256, 128 << 10)?;
        if max_target > max_head {
            let whole = a.name_of("max_head");
            let problem = format!("expected at most {} ({whole}); lower it, or raise {whole}", show_size(max_head));
            return Err(self.invalid("max_target", &a.max_target, problem));
        }
        let max_connections = self.number("max_connections", &a.max_connections, 1, 1_000_000)?;
        let per_address = self.number("max_connections_per_address", &a.max_connections_per_address, 1, 1_000_000)?;
        Ok(client::Options {
            workers: match &a.workers {
                Some(text) => self.number("workers", text, 1, fixed::MOST_WORKERS)? as usize,
                None => self.surroundings.cores.max(1),
            },
            shutdown_timeout: self.duration("shutdown_timeout", &a.shutdown_timeout)?,
            head_timeout: self.timeout("head_timeout", &a.head_timeout)?,
            keep_alive: self.timeout("keep_alive", &a.keep_alive)?,
            body_timeout: self.timeout("body_timeout", &a.body_timeout)?,
            min_rate: self.size("min_rate", &a.min_rate)?,
            write_timeout: self.timeout("write_timeout", &a.write_timeout)?,
            max_age: self.timeout("max_connection_age", &a.max_connection_age)?,
            max_requests: self.number("max_connection_requests", &a.max_connection_requests, 1, 1_000_000_000)?,
            max_head: max_head as usize,
            max_fields: self.number("max_fields", &a.max_fields, 1, client::FIELDS_BOUND as u64)? as usize,
            max_target: max_target as usize,
            max_method: self.bounded_size("max_method", &a.max_method, 8, 256)? as usize,
            max_chunk_extension: self.bounded_size("max_chunk_extension", &a.max_chunk_extension, 0, 4 << 10)? as usize,
            max_chunk_extensions: self.bounded_size("max_chunk_extensions", &a.max_chunk_extensions, 0, 1 << 20)?
                as usize,
            max_trailer: self.bounded_size("max_trailer", &a.max_trailer, 2, 64 << 10)? as usize,
            drain_limit: self.size("drain_limit", &a.drain_limit)?,
            drain_timeout: self.timeout("drain_timeout", &a.drain_timeout)?,
            max_connections: max_connections as usize,
            max_connections_per_address: per_address.min(max_connections) as usize,
            trusted_proxies: self.trusted_proxies()?,
            direct: !a.without_lane,
            ..client::Options::default()
        })
    }

    fn origin(&self) -> Result<Option<Origin>, ConfigError> {
        let Some(typed) = self.arguments.origin.as_deref() else { return Ok(None) };
        // the part before an @ may be a password
        let value = Some(typed.to_owned()).filter(|typed| !typed.contains('@'));
        let wrong = |problem| ConfigError { fault: Fault::Invalid(value), ..self.error("origin", problem) };
        Origin::parse(typed).map(Some).map_err(wrong)
    }

    fn folders(&self) -> Result<Folders, ConfigError> {
        Ok(match (self.cache_dir()?, self.origin()?) {
            (Some(folder), _) => Folders::One(folder),
            (None, Some(origin)) => Folders::One(folder::of_origin(&self.caches()?, &origin)),
            (None, None) => Folders::Below(self.caches()?),
        })
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
        let one = |typed: &String| {
            let (host, port) = origin::host_and_port(typed, 0).map_err(|_| {
                self.invalid("allow_host", typed, "expected a host name, for example example.com or example.com:8080")
            })?;
            let host = host.trim_end_matches('.');
            Ok(if port == 0 { host.to_owned() } else { format!("{host}:{port}") })
        };
        self.arguments.allow_host.iter().map(one).collect()
    }

    fn size(&self, field: &str, text: &str) -> Result<u64, ConfigError> {
        units::size(text).map_err(|problem| self.invalid(field, text, problem))
    }

    fn bounded_size(&self, field: &str, text: &str, least: u64, most: u64) -> Result<u64, ConfigError> {
        let size = self.size(field, text)?;
        if !(least..=most).contains(&size) {
            let problem = format!("expected a size from {} to {}", show_size(least), show_size(most));
            return Err(self.invalid(field, text, problem));
        }
        Ok(size)
    }

    fn duration(&self, field: &str, text: &str) -> Result<Duration, ConfigError> {
        units::duration(text).map_err(|problem| self.invalid(field, text, problem))
    }

    /// Parses a duration that must not be zero.
    fn timeout(&self, field: &str, text: &str) -> Result<Duration, ConfigError> {
        let duration = self.duration(field, text)?;
        if duration.is_zero() {
            return Err(self.invalid(field, text, "expected more than 0s, for example 30s"));
        }
        Ok(duration)
    }

    fn number(&self, field: &str, text: &str, least: u64, most: u64) -> Result<u64, ConfigError> {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|n| plain && (least..=most).contains(n));
        number.ok_or_else(|| self.invalid(field, text, format!("expected {least} to {most}")))
    }

    fn missing(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { fault: Fault::Missing, ..self.error(field, problem) }
    }

    pub(super) fn invalid(&self, field: &str, value: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { fault: Fault::Invalid(Some(value.to_owned())), ..self.error(field, problem) }
    }

    fn error(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError { setting: self.arguments.name_of(field), fault: Fault::Conflict, problem: problem.into() }
    }
}

#[cfg(test)]
mod tests;
