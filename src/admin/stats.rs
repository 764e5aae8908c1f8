//! `larder stats`: gets the numbers of a cache folder.

use std::path::Path;

use serde_json::Value;

use super::{AskError, Command, ask};
use crate::clock::Seconds;

/// Returns the numbers of one cache folder, from the Larder that runs on it, or else from `offline`. `since`: only what was
/// counted in this span up to now. Returns `None` if the folder holds no cache.
pub fn stats(
    folder: &Path,
    since: Option<Seconds>,
    offline: impl FnOnce(&Path) -> Result<Value, String>,
) -> Result<Option<Value>, String> {
    let command = since.map_or(Command::Stats, |since| Command::StatsSince(since.0));
    match ask(folder, &command) {
        Ok(answer) => Ok(Some(answer)),
        Err(AskError::NotRunning) if !folder.exists() => Ok(None),
        Err(AskError::NotRunning) => offline(folder).map(Some),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns true if no Larder runs on the folder and nothing is stored in it.
pub fn is_empty(stats: &Value) -> bool {
    stats["state"] == "not running" && stats["responses"] == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::listen;

    #[test]
    fn the_running_one_is_asked_before_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let offline = |_: &Path| Ok(json!({ "from": "disk" }));
        assert_eq!(stats(folder.path(), None, offline).unwrap(), Some(json!({ "from": "disk" })));
        let _listening = listen(folder.path(), |_, _| Ok(json!({ "from": "process" }))).unwrap();
        assert_eq!(stats(folder.path(), None, offline).unwrap(), Some(json!({ "from": "process" })));
        assert_eq!(stats(&folder.path().join("missing"), None, offline).unwrap(), None);
    }
}
