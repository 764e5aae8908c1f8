//! Clears one cache folder from the command line, whether or not a Larder runs on it.

use std::path::Path;

use serde_json::{Value, json};

use super::{AskError, Command, ask};
use crate::store::Cleared;

/// Asks the running Larder to forget everything. If none runs, `offline` clears the folder. Returns `None` if there is
/// no cache.
pub fn clear(folder: &Path, offline: impl FnOnce(&Path) -> Result<Cleared, String>) -> Result<Option<Cleared>, String> {
    match ask(folder, &Command::Clear) {
        Ok(answer) => Ok(Some(from_json(&answer))),
        Err(AskError::NotRunning) if !folder.exists() => Ok(None),
        Err(AskError::NotRunning) => offline(folder).map(Some),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes the answer to [`Command::Clear`].
pub fn to_json(cleared: Cleared) -> Value {
    json!({ "responses": cleared.responses, "bytes": cleared.bytes })
}

fn from_json(answer: &Value) -> Cleared {
    let number = |name: &str| answer[name].as_u64().unwrap_or(0);
    Cleared { responses: number("responses"), bytes: number("bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{Reply, listen};

    #[test]
    fn a_running_one_clears_and_tells_what_it_removed() {
        let folder = tempfile::tempdir().unwrap();
        let answer = |_, _: &mut Reply<'_>| Ok(to_json(Cleared { responses: 3, bytes: 4096 }));
        let _listening = listen(folder.path(), answer).unwrap();
        let cleared = clear(folder.path(), |_| panic!("a running store was opened")).unwrap().unwrap();
        assert_eq!((cleared.responses, cleared.bytes), (3, 4096));
    }

    #[test]
    fn where_none_runs_the_folder_is_cleared_offline() {
        let folder = tempfile::tempdir().unwrap();
        let cleared = clear(folder.path(), |_| Ok(Cleared { responses: 1, bytes: 2 })).unwrap().unwrap();
        assert_eq!((cleared.responses, cleared.bytes), (1, 2));
    }

    #[test]
    fn no_folder_is_no_cache_and_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(clear(&missing, |_| panic!("there is nothing to open")).unwrap().is_none());
        assert!(!missing.exists());
    }

    #[test]
    fn a_running_one_that_cannot_clear_is_an_error_and_not_cleared_behind_its_back() {
        let folder = tempfile::tempdir().unwrap();
        let _listening = listen(folder.path(), |_, _| Err("read-only".to_owned())).unwrap();
        let error = clear(folder.path(), |_| panic!("a running store was opened")).unwrap_err();
        assert!(error.contains("read-only"), "{error}");
    }
}
