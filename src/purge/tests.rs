use proptest::prelude::*;

use super::*;
use crate::purge::{
    prefixes::PREFIXES,
    tables::{RULES as TABLE, *},
};

const SITE: &str = "http://origin/base";

fn at(milliseconds: u64) -> Position {
    Position { milliseconds, sequence: 0 }
}

fn hard(target: Target, milliseconds: u64) -> Rule {
    Rule { target, strength: Strength::Hard, position: at(milliseconds) }
}

fn soft(target: Target, milliseconds: u64) -> Rule {
    Rule { strength: Strength::Soft, ..hard(target, milliseconds) }
}

fn stored(path_and_query: &str, milliseconds: u64) -> Stored<'_> {
    Stored { position: at(milliseconds), site: SITE, authority: "shop", path_and_query, tags: &[] }
}

fn index(rules: &[Rule]) -> Index {
    let mut index = Index::default();
    rules.iter().for_each(|rule| index.add(*rule));
    index
}

fn rules_of(index: &Index) -> Vec<Rule> {
    Index::parts().flat_map(|part| index.rules(part)).collect()
}

fn remove_until(index: &mut Index, oldest: Position) {
    Index::parts().for_each(|part| index.remove_until(oldest, part));
}

fn liveness(rules: &[Rule], path_and_query: &str, milliseconds: u64) -> Liveness {
    index(rules).standing(&stored(path_and_query, milliseconds)).liveness
}

fn prefix(prefix: &str) -> Target {
    Target::prefix(SITE, None, prefix).unwrap()
}

#[test]
fn a_rule_reaches_what_is_older_and_nothing_else() {
    let rules = [hard(Target::url(SITE, None, "/a?x=1"), 5)];
    assert_eq!(liveness(&rules, "/a?x=1", 4), Liveness::Dead);
    assert_eq!(liveness(&rules, "/a?x=1", 5), Liveness::Alive);
    assert_eq!(liveness(&rules, "/a?x=2", 4), Liveness::Alive);
    assert_eq!(liveness(&rules, "/a", 4), Liveness::Alive);
}

#[test]
fn a_full_url_reaches_one_authority_and_a_path_all_of_the_site() {
    let one = [hard(Target::url(SITE, Some("other"), "/a"), 5)];
    let prefix_of_one = [hard(Target::prefix(SITE, Some("other"), "/a").unwrap(), 5)];
    for rules in [one, prefix_of_one] {
        assert_eq!(liveness(&rules, "/a", 4), Liveness::Alive);
        let other = Stored { authority: "other", ..stored("/a", 4) };
        assert_eq!(index(&rules).standing(&other).liveness, Liveness::Dead);
    }
    let elsewhere = Stored { site: "http://elsewhere", ..stored("/a", 4) };
    for rules in [[hard(Target::url(SITE, None, "/a"), 5)], [hard(prefix("/"), 5)]] {
        assert_eq!(liveness(&rules, "/a", 4), Liveness::Dead);
        assert_eq!(index(&rules).standing(&elsewhere).liveness, Liveness::Alive);
    }
}

#[test]
fn a_prefix_ends_between_segments() {
    let cases: [(&str, &[&str], &[&str]); 6] = [
        ("/", &["/", "/?q", "/a", "/a/b", "//"], &[]),
        (
            "/admin",
            &["/admin", "/admin?q=/", "/admin/", "/admin/users/1"],
            &["/", "/administrator", "/admi", "/x/admin"],
        ),
        ("/admin/", &["/admin/", "/admin/users", "/admin//", "/admin/?q"], &["/admin", "/admin?q=/admin/"]),
        ("/a/b/c", &["/a/b/c", "/a/b/c/d"], &["/a/b", "/a/b/cd", "/a/c/b", "/ab/c"]),
        ("//", &["//", "//a"], &["/", "/a"]),
        ("/%61", &["/%61", "/%61/b"], &["/a"]),
    ];
    for (purged, reached, not_reached) in cases {
        let rules = [hard(prefix(purged), 5)];
        for path in reached {
            assert_eq!(liveness(&rules, path, 4), Liveness::Dead, "{purged} {path}");
        }
        for path in not_reached {
            assert_eq!(liveness(&rules, path, 4), Liveness::Alive, "{purged} {path}");
        }
    }
}

#[test]
fn a_prefix_of_too_many_segments_is_refused_and_a_deep_path_is_found_by_the_first_ones() {
    let path = |segments: usize| "/a".repeat(segments);
    let rules = [hard(prefix(&path(15)), 5)];
    assert_eq!(liveness(&rules, &path(15), 4), Liveness::Dead);
    assert_eq!(liveness(&rules, &path(400), 4), Liveness::Dead);
    assert_eq!(liveness(&rules, &path(14), 4), Liveness::Alive);
    let refused = |prefix: &str| Target::prefix(SITE, None, prefix).unwrap_err().to_string();
    assert_eq!(
        refused(&path(16)),
        format!("invalid prefix \"{}\": 16 segments, expected at most 15, for example /products/", path(16))
    );
    assert_eq!(refused("a"), "invalid prefix \"a\": expected a path that begins with /, for example /products/");
    assert_eq!(refused(""), "invalid prefix \"\": expected a path that begins with /, for example /products/");
    assert_eq!(refused("/a?b"), "invalid prefix \"/a?b\": expected a path without ? and #, for example /products/");
}

#[test]
fn soft_is_stale_and_the_worse_of_two_rules_holds() {
    let url = Target::url(SITE, None, "/a");
    assert_eq!(liveness(&[soft(url, 5)], "/a", 4), Liveness::Stale);
    for rules in [[soft(url, 9), hard(url, 5)], [hard(url, 5), soft(url, 9)]] {
        assert_eq!(liveness(&rules, "/a", 4), Liveness::Dead);
        assert_eq!(liveness(&rules, "/a", 6), Liveness::Stale);
        assert_eq!(liveness(&rules, "/a", 9), Liveness::Alive);
    }
    assert_eq!(liveness(&[soft(Target::All, 9), hard(Target::Floor, 5)], "/a", 4), Liveness::MustValidate);
    assert_eq!(liveness(&[soft(Target::All, 9), hard(Target::All, 5)], "/a", 4), Liveness::Dead);
    assert_eq!(liveness(&[soft(Target::All, 9), hard(Target::All, 5)], "/a", 5), Liveness::Stale);
}

#[test]
fn a_tag_reaches_what_has_it() {
    let rules = [hard(Target::tag("product-1"), 5)];
    let tagged = |tags: &[u64]| index(&rules).standing(&Stored { tags, ..stored("/a", 4) }).liveness;
    assert_eq!(tagged(&[tag_hash("product-2"), tag_hash("product-1")]), Liveness::Dead);
    assert_eq!(tagged(&[tag_hash("product-2")]), Liveness::Alive);
}

#[test]
fn an_unsafe_method_reaches_the_other_queries_only_where_the_lifetime_was_invented() {
    let standing = |target, path| index(&[hard(target, 5)]).standing(&stored(path, 4));
    let must = Liveness::MustValidate;
    for path in ["/items", "/items?page=1", "/items?"] {
        let other = standing(Target::path(SITE, "/items?page=7"), path);
        assert_eq!(other, Standing { if_invented: must, ..Standing::ALIVE });
    }
    assert_eq!(standing(Target::path(SITE, "/items"), "/items/1"), Standing::ALIVE);
}

#[test]
fn over_4096_prefixes_the_older_half_becomes_the_floor() {
    let mut index = Index::default();
    let name = |n: usize| format!("/p{n}");
    for n in 0..=PREFIXES {
        index.add(hard(prefix(&name(n)), 10 + n as u64));
    }
    let of = |n: usize, milliseconds| index.standing(&stored(&name(n), milliseconds)).liveness;
    assert_eq!(of(0, 9), Liveness::MustValidate, "what was purged is not used unseen");
    assert_eq!(of(PREFIXES, 9), Liveness::Dead, "the newer half still kills");
    assert_eq!(of(PREFIXES * 2, 9), Liveness::MustValidate, "nothing dies that was not purged");
    assert_eq!(of(0, 10 + PREFIXES as u64 / 2), Liveness::Alive, "above the floor all is as it was");
    assert_eq!(rules_of(&index).len(), PREFIXES / 2 + 1);
}

#[test]
fn a_crowded_bucket_costs_its_neighbours_a_validation_and_never_their_life() {
    let mut table = PrintTable::default();
    let prints: Vec<Print> = (1..=9).map(Print).collect();
    for (print, milliseconds) in prints.iter().zip(1..) {
        table.add(*print, Strength::Hard, at(milliseconds));
    }
    let of = |print: u64, milliseconds| table.reach(Print(print), at(milliseconds)).liveness;
    assert_eq!(of(9, 0), Liveness::Dead);
    assert_eq!(of(1, 0), Liveness::MustValidate);
    assert_eq!(of(77, 0), Liveness::MustValidate, "the same bucket");
    assert_eq!(of(77 << 48, 0), Liveness::Alive, "another bucket");
    assert_eq!(of(77, 5), Liveness::Alive, "younger than what was blurred");
    assert_eq!((table.rules(0).count(), table.floors(0).collect::<Vec<_>>()), (4, vec![(0, at(5))]));
}

#[test]
fn a_flood_of_changed_paths_displaces_no_purge() {
    let purge = hard(Target::url(SITE, None, "/a"), 5);
    let mut index = index(&[purge]);
    for n in 0..(TABLE as u64 * 2) {
        let print = Print(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        index.add(hard(Target::Path(print), 10 + n));
    }
    assert_eq!(index.standing(&stored("/a", 4)).liveness, Liveness::Dead);
    assert!(rules_of(&index).len() <= 1 + TABLE);
}

#[test]
fn what_is_removed_reaches_nothing_that_is_stored_and_a_late_fill_must_be_validated() {
    let rules = [hard(Target::url(SITE, None, "/a"), 5), soft(prefix("/b"), 6), hard(Target::tag("t"), 8)];
    let mut index = index(&rules);
    remove_until(&mut index, at(4));
    assert_eq!(rules_of(&index).len(), 3);
    remove_until(&mut index, at(7));
    let left = rules_of(&index);
    assert_eq!(left, [hard(Target::Floor, 6), hard(Target::tag("t"), 8)]);
    assert_eq!(index.standing(&stored("/a", 4)).liveness, Liveness::MustValidate);
    assert_eq!(index.standing(&stored("/a", 7)).liveness, Liveness::Alive);
}

/// A full table of URLs and one of tags take 20 MB with that of the paths.
#[test]
fn full_tables_are_counted_looked_through_in_parts_and_given_back() {
    let mut index = Index::default();
    assert_eq!(index.size(), 0);
    for n in 0..TABLE as u64 {
        let print = Print(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        index.add(hard(Target::Url(print), 10 + n));
        index.add(soft(Target::Tag(print.0), 10 + n));
        index.add(hard(Target::Path(print), 10 + n));
    }
    let size = index.size();
    assert!((19 << 20..=20 << 20).contains(&size), "{size}");
    let (mut before, half) = (rules_of(&index), at(10 + TABLE as u64 / 2));
    remove_until(&mut index, half);
    let mut after = rules_of(&index);
    assert_eq!(index.size(), size);
    before.retain(|rule| rule.position > half);
    after.retain(|rule| rule.target != Target::Floor);
    assert_eq!(after, before, "what is older has gone, in every part");
    remove_until(&mut index, at(10 + TABLE as u64));
    assert_eq!((index.size(), rules_of(&index).len()), (0, 1), "the floor stays");
}

#[test]
fn a_slot_is_looked_at_again_only_after_a_rule_came() {
    let (rules, checked) = (Rules::default(), Checked::default());
    let standing = |position| rules.standing(&checked, || stored("/a", position)).liveness;
    assert_eq!(standing(4), Liveness::Alive);
    rules.add(soft(Target::url(SITE, None, "/a"), 5));
    assert_eq!(standing(4), Liveness::Stale);
    assert_eq!(checked.last(), Standing { soft_since: Some(5), ..Standing::of(Liveness::Stale) });
    assert_eq!(checked.clone().last(), Standing::ALIVE);
    // the answer is the one that was remembered: another position is not even looked at
    assert_eq!(standing(9), Liveness::Stale);
    rules.add(hard(Target::All, 6));
    assert_eq!(standing(4), Liveness::Dead);
    assert_eq!(rules.standing_once(&stored("/a", 9)), Standing::ALIVE);
}

const PATHS: [&str; 8] = ["/", "/a", "/a?x", "/a/", "/a/b", "/a/b?y", "/ab", "/a/b/c"];
const AUTHORITIES: [&str; 2] = ["shop", "other"];
const TAGS: [&str; 3] = ["t1", "t2", "t3"];

/// A rule as a naive reader has it.
#[derive(Debug, Clone)]
enum Asked {
    All,
    Url(Option<&'static str>, &'static str),
    Prefix(Option<&'static str>, &'static str),
    Tag(&'static str),
    Path(&'static str),
    Floor,
}

#[derive(Debug, Clone)]
struct Response {
    position: u64,
    authority: &'static str,
    path: &'static str,
    tags: Vec<&'static str>,
}

impl Asked {
    fn target(&self) -> Target {
        match self {
            Asked::All => Target::All,
            Asked::Url(authority, path) => Target::url(SITE, *authority, path),
            Asked::Prefix(authority, path) => Target::prefix(SITE, *authority, path_of(path)).unwrap(),
            Asked::Tag(tag) => Target::tag(tag),
            Asked::Path(path) => Target::path(SITE, path),
            Asked::Floor => Target::Floor,
        }
    }

    fn reaches(&self, response: &Response) -> bool {
        let of = |authority: &Option<&str>| authority.is_none_or(|authority| authority == response.authority);
        let path = path_of(response.path);
        match self {
            Asked::All | Asked::Floor => true,
            Asked::Url(authority, url) => of(authority) && *url == response.path,
            Asked::Prefix(authority, prefix) => {
                let prefix = path_of(prefix);
                let slash = format!("{}/", prefix.strip_suffix('/').unwrap_or(prefix));
                of(authority) && (path == prefix || path.starts_with(&slash))
            }
            Asked::Tag(tag) => response.tags.contains(tag),
            Asked::Path(other) => path_of(other) == path,
        }
    }
}

fn path_of(path_and_query: &str) -> &str {
    path_and_query.split('?').next().unwrap()
}

fn liveness_of(strength: Strength) -> Liveness {
    if strength == Strength::Soft { Liveness::Stale } else { Liveness::Dead }
}

fn naive(rules: &[(Asked, Strength, u64)], response: &Response) -> Standing {
    let mut standing = Standing::ALIVE;
    for (asked, strength, position) in rules {
        if response.position < *position && asked.reaches(response) {
            let liveness = match asked {
                Asked::Path(_) => Liveness::Alive,
                Asked::Floor => Liveness::MustValidate,
                _ => liveness_of(*strength),
            };
            standing.liveness = standing.liveness.max(liveness);
            if matches!(asked, Asked::Path(_)) {
                standing.if_invented = standing.if_invented.max(Liveness::MustValidate);
            }
        }
    }
    standing.if_invented = standing.if_invented.max(standing.liveness);
    standing
}

fn any_rule() -> impl Strategy<Value = (Asked, Strength, u64)> {
    let authority = || proptest::option::of(proptest::sample::select(&AUTHORITIES[..]));
    let path = || proptest::sample::select(&PATHS[..]);
    let asked = prop_oneof![
        1 => Just(Asked::All),
        6 => (authority(), path()).prop_map(|(authority, path)| Asked::Url(authority, path)),
        6 => (authority(), path()).prop_map(|(authority, path)| Asked::Prefix(authority, path)),
        3 => proptest::sample::select(&TAGS[..]).prop_map(Asked::Tag),
        3 => path().prop_map(Asked::Path),
        1 => Just(Asked::Floor),
    ];
    (asked, proptest::sample::select(&[Strength::Soft, Strength::Hard][..]), 1..60u64)
}

fn any_response() -> impl Strategy<Value = Response> {
    let tags = proptest::sample::subsequence(&TAGS[..], 0..=2);
    let name = (proptest::sample::select(&AUTHORITIES[..]), proptest::sample::select(&PATHS[..]));
    (0..60u64, name, tags).prop_map(|(position, (authority, path), tags)| Response { position, authority, path, tags })
}

fn standing(index: &Index, response: &Response) -> Standing {
    let tags: Vec<u64> = response.tags.iter().map(|tag| tag_hash(tag)).collect();
    let standing = index.standing(&Stored {
        position: at(response.position),
        site: SITE,
        authority: response.authority,
        path_and_query: response.path,
        tags: &tags,
    });
    // the model does not know of times
    Standing { soft_since: None, ..standing }
}

fn rule((asked, strength, position): &(Asked, Strength, u64)) -> Rule {
    Rule { target: asked.target(), strength: *strength, position: at(*position) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Few rules fill no table: the index says exactly what a list of them says.
    #[test]
    fn the_index_says_what_a_list_of_all_rules_says(
        rules in proptest::collection::vec(any_rule(), 0..8),
        responses in proptest::collection::vec(any_response(), 1..20),
    ) {
        let mut index = Index::default();
        rules.iter().for_each(|asked| index.add(rule(asked)));
        let mut again = Index::default();
        // the order does not matter, nor that some come twice
        let twice = rules.iter().rev().map(rule);
        twice.chain(rules_of(&index)).for_each(|rule| again.add(rule));
        for response in &responses {
            prop_assert_eq!(standing(&index, response), naive(&rules, response), "{:?}", response);
            prop_assert_eq!(standing(&again, response), naive(&rules, response), "{:?} again", response);
        }
    }

    /// After forgetting, whatever is as old as `oldest` or younger stands as before, and nothing older gets better than a
    /// response that must be validated.
    #[test]
    fn forgetting_changes_nothing_for_what_is_stored(
        rules in proptest::collection::vec(any_rule(), 0..8),
        oldest in 0..60u64,
        responses in proptest::collection::vec(any_response(), 1..20),
    ) {
        let mut index = Index::default();
        rules.iter().for_each(|asked| index.add(rule(asked)));
        remove_until(&mut index, at(oldest));
        for response in &responses {
            let (now, right) = (standing(&index, response), naive(&rules, response));
            if response.position >= oldest {
                prop_assert_eq!(now, right, "{:?}", response);
            } else {
                let blurred = now.liveness.max(Liveness::MustValidate);
                prop_assert!(blurred >= right.liveness.min(Liveness::MustValidate));
                prop_assert!(right.liveness == Liveness::Alive || now.liveness != Liveness::Alive, "{:?}", response);
                prop_assert!(now.liveness != Liveness::Dead || right.liveness == Liveness::Dead, "{:?}", response);
            }
        }
    }

    /// All prints fall into one bucket: nothing purged is alive, nothing else is dead.
    #[test]
    fn a_full_table_is_never_wrong(
        rules in proptest::collection::vec((1..12u64, any::<bool>(), 1..60u64), 0..40),
        responses in proptest::collection::vec((1..12u64, 0..60u64), 1..40),
    ) {
        let mut table = PrintTable::default();
        let strength = |soft: bool| if soft { Strength::Soft } else { Strength::Hard };
        for (print, soft, position) in &rules {
            table.add(Print(*print), strength(*soft), at(*position));
        }
        for (print, position) in responses {
            let reached = rules.iter().filter(|rule| rule.0 == print && position < rule.2);
            let right = reached.map(|rule| liveness_of(strength(rule.1))).max().unwrap_or(Liveness::Alive);
            let now = table.reach(Print(print), at(position)).liveness;
            prop_assert!(right == Liveness::Alive || now != Liveness::Alive);
            prop_assert!(now != Liveness::Dead || right == Liveness::Dead);
            prop_assert!(now != Liveness::Stale || right == Liveness::Stale);
        }
    }
}
