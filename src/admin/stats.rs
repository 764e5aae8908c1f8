//! `larder stats`: tells what a cache folder holds.

use std::path::Path;

use serde_json::Value;

use super::{AskError, Command, ask};
use crate::units::show_size;

/// Returns the numbers of one cache folder, from the Larder that runs on it, or else from `offline`. Returns `None` if
/// there is no cache. The numbers are a flat object. The names of sizes end in `bytes`, `_used`, `_limit` or `waiting`.
pub fn stats(folder: &Path, offline: impl FnOnce(&Path) -> Result<Value, String>) -> Result<Option<Value>, String> {
    match ask(folder, Command::Stats) {
        Ok(answer) => Ok(Some(answer)),
        Err(AskError::NotRunning) if !folder.exists() => Ok(None),
        Err(AskError::NotRunning) => offline(folder).map(Some),
        Err(error) => Err(error.to_string()),
    }
}

/// Shows the numbers for people, each on a line of its own.
pub fn show(stats: &Value) -> Vec<String> {
    let line = |(name, value): (&String, &Value)| match (value, value.as_u64()) {
        (_, Some(bytes)) if ["bytes", "_used", "_limit", "waiting"].iter().any(|end| name.ends_with(end)) => {
            format!("{}: {}", name.replace('_', " "), show_size(bytes))
        }
        (Value::String(text), _) => format!("{}: {text}", name.replace('_', " ")),
        _ => format!("{}: {value}", name.replace('_', " ")),
    };
    stats.as_object().into_iter().flatten().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admin::listen;

    #[test]
    fn sizes_and_counts_read_well() {
        let stats = json!({ "responses": 7, "bytes": 2048, "disk_used": 1 << 30, "set_aside": 0, "state": "open" });
        assert_eq!(show(&stats), ["bytes: 2 KiB", "disk used: 1 GiB", "responses: 7", "set aside: 0", "state: open"]);
    }

    #[test]
    fn the_running_one_is_asked_before_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let offline = |_: &Path| Ok(json!({ "from": "disk" }));
        assert_eq!(stats(folder.path(), offline).unwrap(), Some(json!({ "from": "disk" })));
        let _listening = listen(folder.path(), |_| Ok(json!({ "from": "process" }))).unwrap();
        assert_eq!(stats(folder.path(), offline).unwrap(), Some(json!({ "from": "process" })));
        assert_eq!(stats(&folder.path().join("missing"), offline).unwrap(), None);
    }
}
