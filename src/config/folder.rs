//! The folders of caches.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::Origin;

/// The facts about the machine and the environment that settings depend on. Main reads them once.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// `$XDG_CACHE_HOME`
    pub xdg_cache_home: Option<OsString>,
    /// `$HOME`
    pub home: Option<OsString>,
    /// The number of cores that this process may use.
    pub cores: usize,
}

impl Surroundings {
    pub fn read() -> Surroundings {
        Surroundings {
            xdg_cache_home: std::env::var_os("XDG_CACHE_HOME"),
            home: std::env::var_os("HOME"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Returns the folder that holds the folders of all origins: `$XDG_CACHE_HOME/larder`, or `~/.cache/larder`. A
    /// relative path counts as unset (XDG Base Directory Specification). Returns `None` if both variables are unset.
    pub fn caches(&self) -> Option<PathBuf> {
        let absolute = |path: &Option<OsString>| path.as_ref().map(PathBuf::from).filter(|path| path.is_absolute());
        let cache_home =
            absolute(&self.xdg_cache_home).or_else(|| absolute(&self.home).map(|home| home.join(".cache")));
        cache_home.map(|path| path.join("larder"))
    }
}

/// Returns the folder of one origin below `caches`: `<host>-<port>-<8 hex digits of the URL's hash>`.
pub fn of_origin(caches: &Path, origin: &Origin) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '_' };
    // a host may have 253 characters, and a file name 255, so the host is cut; the hash keeps the folders apart
    let host: String = origin.host.chars().take(100).map(plain).collect();
    let hash = blake3::hash(origin.url.as_bytes()).to_hex();
    caches.join(format!("{host}-{}-{}", origin.port, &hash[..8]))
}

/// Returns the folder of the sites of a configuration file below `caches`: `<file>-<8 hex digits of the path's hash>`.
pub fn of_file(caches: &Path, file: &Path) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') { c } else { '_' };
    let name: String = file.file_name().unwrap_or_default().to_string_lossy().chars().take(100).map(plain).collect();
    let hash = blake3::hash(file.as_os_str().as_encoded_bytes()).to_hex();
    caches.join(format!("{name}-{}", &hash[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(xdg: Option<&str>, home: Option<&str>) -> Surroundings {
        Surroundings { xdg_cache_home: xdg.map(OsString::from), home: home.map(OsString::from), cores: 2 }
    }

    #[test]
    fn xdg_comes_first_then_home_and_relative_paths_count_as_unset() {
        let caches = |xdg, home| surroundings(xdg, home).caches();
        assert_eq!(caches(Some("/x"), Some("/home/a")), Some("/x/larder".into()));
        assert_eq!(caches(None, Some("/home/a")), Some("/home/a/.cache/larder".into()));
        assert_eq!(caches(Some(""), Some("/home/a")), Some("/home/a/.cache/larder".into()));
        assert_eq!(caches(Some("x"), Some("/home/a")), Some("/home/a/.cache/larder".into()));
        assert_eq!(caches(None, Some("")), None);
        assert_eq!(caches(None, None), None);
    }

    #[test]
    fn each_origin_has_a_folder_of_its_own() {
        let folder = |url: &str| of_origin(Path::new("/c"), &Origin::parse(url).unwrap());
        let name = folder("http://dummyjson.com").to_string_lossy().into_owned();
        assert!(name.starts_with("/c/dummyjson.com-80-") && name.len() == "/c/dummyjson.com-80-".len() + 8, "{name}");
        assert_eq!(folder("http://dummyjson.com"), folder("HTTP://DummyJSON.com:80/"));
        let all = ["http://a", "http://a/b", "https://a:80", "http://a:81", "http://b", "http://[::1]"].map(folder);
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "{one:?}");
            assert_eq!(one.parent(), Some(Path::new("/c")));
        }
        let long = format!("http://{}.example", "a.".repeat(120).trim_end_matches('.'));
        assert!(folder(&long).file_name().unwrap().len() < 255);
    }
}
