//! Import circles among the files of src/.
//!
//! A file imports another one if its shipped code names something that the other one defines. A name is followed through
//! modules and `use` declarations to the file that defines it. A `mod.rs` that only declares its children, or only passes
//! their names on by `pub use`, does not import them, and is not imported by those who use such a name.

use std::collections::{BTreeMap, BTreeSet};

use super::{is_word, sources};

/// The circles that are still allowed, none today: the beginning of the names of all files in a circle, and who removes it.
const ALLOWED: &[(&str, &str)] = &[];

/// A path as the code writes it: `["crate", "clock", "Clock"]`.
type Path = Vec<String>;

/// One name that a `use` declaration brings into its file.
#[derive(Debug, PartialEq)]
struct Import {
    /// `*` stands for all names of a module.
    name: String,
    path: Path,
    /// The declaration is a `pub use`: the file itself imports the name only if it also uses it.
    passed_on: bool,
}

/// What a file declares, and what it names.
#[derive(Debug, Default)]
struct File {
    name: String,
    module: Path,
    /// The children: `mod name;`
    children: BTreeSet<String>,
    /// The functions, types and inline modules that the file defines.
    items: BTreeSet<String>,
    imports: Vec<Import>,
    /// The paths of two or more names outside of `use` declarations.
    paths: Vec<Path>,
    /// The first names of all paths outside of `use` declarations.
    names: BTreeSet<String>,
}

/// Splits code into names, `::` and single characters.
fn tokens(code: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), code.trim_start());
    while let Some(c) = rest.chars().next() {
        let end = match c {
            c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(is_word)
}

/// Reads one tree of a `use` declaration, without its `use` and `;`, into the names that it gives and their paths.
fn use_tree(mut tokens: &[&str], before: &[String]) -> Vec<(String, Path)> {
    let mut path = before.to_vec();
    while let [name, "::", rest @ ..] = tokens {
        path.push((*name).to_owned());
        tokens = rest;
    }
    match tokens {
        ["{", group @ .., "}"] => {
            let mut depth = 0;
            let members = group.split(|token| {
                depth += i32::from(*token == "{") - i32::from(*token == "}");
                depth == 0 && *token == ","
            });
            members.flat_map(|member| use_tree(member, &path)).collect()
        }
        ["self"] if path.len() > 1 || !before.is_empty() => vec![(path.last().unwrap().clone(), path)],
        [name, renamed @ ..] => {
            let given = renamed.last().unwrap_or(name);
            path.push((*name).to_owned());
            vec![((*given).to_owned(), path)]
        }
        [] => Vec::new(),
    }
}

impl File {
    fn read(name: &str, code: &str) -> File {
        let module = match name {
            "lib.rs" => Path::new(),
            _ => name.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect(),
        };
        let mut file = File { name: name.to_owned(), module, ..File::default() };
        let tokens = tokens(code);
        let (mut at, mut depth) = (0, 0);
        while at < tokens.len() {
            let before = if at > 0 { tokens[at - 1] } else { "" };
            match &tokens[at..] {
                ["{", ..] => depth += 1,
                ["}", ..] => depth -= 1,
                ["use", tree @ ..] if tree[0] != "<" => {
                    let end = tree.iter().position(|token| *token == ";").unwrap();
                    let passed_on = matches!(before, "pub" | ")");
                    let given = use_tree(&tree[..end], &[]).into_iter();
                    file.imports.extend(given.map(|(name, path)| Import { name, path, passed_on }));
                    at += end;
                }
                ["mod", name, ";", ..] => {
                    file.children.insert((*name).to_owned());
                    at += 1;
                }
                ["fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "mod", name, ..]
                    if depth == 0 && before != "'" =>
                {
                    file.items.insert((*name).to_owned());
                    at += 1;
                }
                [first, rest @ ..] if is_name(first) && before != "." => {
                    let mut path = vec![(*first).to_owned()];
                    let mut rest = rest;
                    while let ["::", name, others @ ..] = rest
                        && is_name(name)
                    {
                        path.push((*name).to_owned());
                        rest = others;
                    }
                    at += 2 * (path.len() - 1);
                    file.names.insert((*first).to_owned());
                    if path.len() > 1 {
                        file.paths.push(path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        file
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
enum Meaning<'a> {
    Module(&'a File),
    /// Anything else that this file defines, or passes on from another crate.
    Item(&'a File),
}

/// The files by their modules.
pub struct Tree(BTreeMap<Path, File>);

/// More steps from one `use` declaration to the next mean that the declarations name each other.
const MOST_STEPS: usize = 32;

impl Tree {
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Tree {
        let files = files.into_iter().map(|(name, code)| File::read(name, code));
        Tree(files.map(|file| (file.module.clone(), file)).collect())
    }

    /// Finds what a path means in `file`; `None` where it leads to another crate.
    fn meaning(&self, file: &File, path: &[String], steps: usize) -> Option<Meaning<'_>> {
        let mut meaning = match path[0].as_str() {
            "crate" => Meaning::Module(self.0.get(&Path::new())?),
            "self" => Meaning::Module(&self.0[&file.module]),
            "super" => Meaning::Module(self.0.get(&file.module[..file.module.len() - 1])?),
            name => self.look_up(file, name, steps)?,
        };
        for name in &path[1..] {
            let Meaning::Module(of) = meaning else { break };
            meaning = match name.as_str() {
                "super" => Meaning::Module(self.0.get(&of.module[..of.module.len() - 1])?),
                name => self.look_up(of, name, steps).unwrap_or(Meaning::Item(of)),
            };
        }
        Some(meaning)
    }

    fn look_up(&self, file: &File, name: &str, steps: usize) -> Option<Meaning<'_>> {
        let this = &self.0[&file.module];
        if this.children.contains(name) {
            return self.0.get(&[&this.module[..], &[name.to_owned()]].concat()).map(Meaning::Module);
        }
        if this.items.contains(name) || steps > MOST_STEPS {
            return Some(Meaning::Item(this));
        }
        let named = this.imports.iter().find(|import| import.name == name && import.path != [name]);
        if let Some(import) = named {
            return Some(self.meaning(this, &import.path, steps + 1).unwrap_or(Meaning::Item(this)));
        }
        this.imports.iter().filter(|import| import.name == "*").find_map(|import| {
            let path = &import.path[..import.path.len() - 1];
            match self.meaning(this, path, steps + 1)? {
                Meaning::Module(of) if of.module != this.module => self.look_up(of, name, steps + 1),
                _ => None,
            }
        })
    }

    /// The imports from file to file, each with a path that shows it.
    pub fn imports(&self) -> BTreeMap<(&str, &str), String> {
        let mut imports = BTreeMap::new();
        for file in self.0.values() {
            let used = file.imports.iter().filter(|import| !import.passed_on || file.names.contains(&import.name));
            for path in used.map(|import| &import.path).chain(&file.paths) {
                let of = match self.meaning(file, path, 0) {
                    Some(Meaning::Item(of)) => of,
                    Some(Meaning::Module(of)) if path.last().is_some_and(|name| name == "*") => of,
                    _ => continue,
                };
                if of.module != file.module {
                    imports.entry((&*file.name, &*of.name)).or_insert_with(|| path.join("::"));
                }
            }
        }
        imports
    }

    /// The circles: files of which each imports each other one, directly or through others.
    fn circles(&self) -> Vec<BTreeSet<&str>> {
        let imports = self.imports();
        let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for file in self.0.values() {
            let (mut open, found) = (vec![&*file.name], reached.entry(&file.name).or_default());
            while let Some(from) = open.pop() {
                let next = imports.keys().filter(|(importer, _)| *importer == from).map(|(_, imported)| *imported);
                open.extend(next.filter(|imported| found.insert(*imported)));
            }
        }
        let circle = |name: &str| reached[name].iter().copied().filter(|other| reached[other].contains(name)).collect();
        let circles: BTreeSet<BTreeSet<&str>> = reached.keys().map(|name| circle(name)).collect();
        circles.into_iter().filter(|circle| !circle.is_empty()).collect()
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources("src");
    let shipped = sources.iter().filter(|source| !source.tests && source.name != "main.rs");
    let tree = Tree::of(shipped.map(|source| (&*source.name, &*source.shipped)));
    let (circles, imports) = (tree.circles(), tree.imports());
    let within = |circle: &BTreeSet<&str>, beginning: &str| circle.iter().all(|name| name.starts_with(beginning));
    let mut wrong = Vec::new();
    for circle in circles.iter().filter(|circle| !ALLOWED.iter().any(|(allowed, _)| within(circle, allowed))) {
        wrong.push(format!("a circle of {} files:", circle.len()));
        let edges = imports.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to));
        wrong.extend(edges.map(|((from, to), path)| format!("  src/{from} imports src/{to}: {path}")));
    }
    for (allowed, _) in ALLOWED.iter().filter(|(allowed, _)| !circles.iter().any(|circle| within(circle, allowed))) {
        wrong.push(format!("no circle in src/{allowed} any more: remove it from ALLOWED"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_circle_of_two_files_is_found() {
    let b = ("b.rs", "pub struct B; fn of(a: crate::a::A) {}");
    let circles = |files: &[(&str, &str)]| {
        let tree = Tree::of(files.iter().copied().chain([("lib.rs", "pub mod a; pub mod b; pub use a::A;")]));
        tree.circles()
            .into_iter()
            .map(|circle| circle.into_iter().map(str::to_owned).collect())
            .collect::<Vec<Vec<_>>>()
    };
    assert_eq!(
        circles(&[("a.rs", "use crate::{b::{self, B as Other}, c}; pub struct A(Other);"), b]),
        [["a.rs", "b.rs"]]
    );
    assert_eq!(circles(&[("a.rs", "pub struct A(super::b::B);"), b]), [["a.rs", "b.rs"]]);
    assert_eq!(circles(&[("a.rs", "pub struct A; use crate::b; fn of() { b::B; }"), b]), [["a.rs", "b.rs"]]);
    assert_eq!(circles(&[("a.rs", "pub struct A; use crate::b; fn of() { x.b::<B>() }"), b]), [[""; 0]; 0]);
    assert_eq!(circles(&[("a.rs", "pub struct A; pub use crate::b::B;"), b]), [[""; 0]; 0]);
}

#[test]
fn a_name_is_followed_to_the_file_that_defines_it() {
    let tree = Tree::of([
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c; mod d; mod e; pub use b::B; use c::C; use std::io; pub struct A(C); mod inline {}"),
        ("a/b.rs", "use super::A; pub struct B; pub fn b() {}"),
        ("a/c.rs", "use super::B; pub struct C;"),
        (
            "a/d.rs",
            "use super::{b, io}; fn d() { b::b(); Vec::new() } fn f() -> crate::a::C {} impl Iterator + use<> {}",
        ),
        ("a/e.rs", "use super::b::*; fn e() { super::inline::x(); }"),
    ]);
    let imports: Vec<_> = tree.imports().into_keys().collect();
    let expected = [
        ("a/b.rs", "a/mod.rs"),
        ("a/c.rs", "a/b.rs"),
        ("a/d.rs", "a/b.rs"),
        ("a/d.rs", "a/c.rs"),
        // where other crates' names are passed on from
        ("a/d.rs", "a/mod.rs"),
        ("a/e.rs", "a/b.rs"),
        ("a/e.rs", "a/mod.rs"),
        ("a/mod.rs", "a/c.rs"),
    ];
    assert_eq!(imports, expected);
    let circles = tree.circles();
    assert_eq!(circles, [BTreeSet::from(["a/b.rs", "a/c.rs", "a/mod.rs"])]);
}
