use std::path::PathBuf;

use crate::purge::Position;

mod lines;
mod records;

const POSITION: Position = Position { milliseconds: 1_795_981_743_334, sequence: 7 };

/// What was written once and for all, under this name. `LARDER_BLESS=1` writes it.
pub fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("LARDER_BLESS").is_some() {
        std::fs::write(&path, written).expect("written");
    }
    let stored = std::fs::read(&path).expect("a golden file");
    assert_eq!(stored, written, "{name}");
    stored
}
