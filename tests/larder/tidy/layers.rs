//! The layers of the store: which of its files may use which others.

use super::{circles::Tree, sources};

/// The layers, the lowest first: a name, the beginnings of the names of its files below src/store/, and the layers below it
/// that it may use. A file of a folder that is named here belongs to that folder's layer.
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("types", &["budget.rs", "error.rs", "hop.rs", "notice.rs", "options.rs", "stats.rs"], &[]),
    ("format", &["format/"], &[]),
    ("disk", &["disk/"], &["types", "format"]),
    ("response", &["response.rs"], &["types", "format", "disk"]),
    ("tiers", &["tiers/"], &["types", "format", "disk", "response"]),
    ("writer", &["writer/"], &["types", "format", "disk", "response", "tiers"]),
    (
        "top",
        &["fuzzing.rs", "inspect.rs", "mod.rs", "purging.rs", "scan.rs", "storing.rs"],
        &["types", "format", "disk", "response", "tiers", "writer"],
    ),
];

/// What the lowest layer may use of the rest of the crate: the bytes on disk are a matter of plain data.
const FORMAT_USES: &[&str] = &["clock.rs", "key.rs", "message.rs", "purge/", "store/format/"];

/// The layer of a file: its place in [`LAYERS`].
fn layer(file: &str) -> Option<usize> {
    let file = file.strip_prefix("store/")?;
    LAYERS.iter().position(|(_, files, _)| files.iter().any(|beginning| file.starts_with(beginning)))
}

/// Says what is wrong with an import from file to file, if something is.
fn wrong(from: &str, to: &str) -> Option<String> {
    if from.starts_with("store/format/") && !FORMAT_USES.iter().any(|allowed| to.starts_with(allowed)) {
        return Some(format!("src/{from} imports src/{to}: format/ uses only {FORMAT_USES:?}"));
    }
    if !from.starts_with("store/") || !to.starts_with("store/") {
        return None;
    }
    let (Some(user), Some(used)) = (layer(from), layer(to)) else {
        return Some(format!("src/{from} imports src/{to}: one of them belongs to no layer"));
    };
    let (name, _, below) = LAYERS[user];
    let allowed = user == used || below.contains(&LAYERS[used].0);
    (!allowed).then(|| format!("src/{from} ({name}) imports src/{to} ({})", LAYERS[used].0))
}

#[test]
fn the_files_of_the_store_use_only_their_own_layer_and_lower_ones() {
    let sources = sources("src");
    let shipped = sources.iter().filter(|source| !source.tests && source.name != "main.rs");
    let tree = Tree::of(shipped.map(|source| (&*source.name, &*source.shipped)));
    let wrong: Vec<String> = tree.imports().into_keys().filter_map(|(from, to)| wrong(from, to)).collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_file_of_the_store_belongs_to_a_layer() {
    let sources = sources("src");
    let files = sources.iter().filter(|source| source.name.starts_with("store/") && !source.tests);
    let none: Vec<&str> = files.map(|source| &*source.name).filter(|name| layer(name).is_none()).collect();
    assert_eq!(none, [""; 0]);
}

#[test]
fn an_import_upwards_is_found() {
    assert!(wrong("store/disk/body.rs", "store/format/sums.rs").is_none());
    assert!(wrong("store/disk/body.rs", "store/disk/space.rs").is_none());
    assert!(wrong("store/disk/body.rs", "store/tiers/shared.rs").is_some());
    assert!(wrong("store/tiers/shared.rs", "store/writer/command.rs").is_some());
    assert!(wrong("store/writer/mod.rs", "store/mod.rs").is_some());
    assert!(wrong("store/stats.rs", "store/disk/space.rs").is_some());
    assert!(wrong("store/format/record.rs", "store/error.rs").is_some());
    assert!(wrong("store/format/record.rs", "message.rs").is_none());
    assert!(wrong("store/format/record.rs", "policy/mod.rs").is_some());
    assert!(wrong("store/elsewhere.rs", "store/error.rs").is_some());
}
