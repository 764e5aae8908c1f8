//! What rules with regular expressions cost for a target that nobody has asked for before: a seen one is remembered. There are
//! at most `rules::MOST_EXPRESSIONS` of them.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use larder::{
    message::{Fields, Method},
    rules::{Asked, Conditions, RuleSpec, Rules, Settings},
};

/// Makes the expression of this number.
type Numbered = fn(usize) -> String;

/// Regular expressions as sites have them, some that look at the whole path, and some whose automata are large.
const EXPRESSIONS: [(&str, Numbered); 4] = [
    ("anchored", |nth| format!("^/v{nth}/[a-z]+/[0-9]+$")),
    ("anywhere", |nth| format!("/shop{nth}/.*\\.(css|js)$")),
    ("long-winded", |nth| format!("[a-z]+/.*/x{nth}.*y")),
    ("hard", |nth| format!("(a|b)*a(a|b){{12}}c{nth}")),
];

fn rules(count: usize, expression: Numbered) -> Rules {
    let spec = |nth| RuleSpec {
        name: "rule".into(),
        when: Conditions { path_regex: vec![expression(nth)], ..Conditions::default() },
        set: Settings { bypass: Some(true), ..Settings::default() },
    };
    Rules::new((0..count).map(spec).collect()).unwrap()
}

fn unseen(c: &mut Criterion) {
    let plain = format!("/{}", "ab/ba".repeat(1600));
    // chosen at random, so that no automaton knows its states
    let mut seed = 1_u64;
    let random: String = (0..8000)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if seed >> 63 == 0 { 'a' } else { 'b' }
        })
        .collect();
    let random = format!("/{random}");
    let tricky = format!("//h/%61/..%2f{}", "ab;/ba".repeat(1300));
    for (kind, expression) in EXPRESSIONS {
        for count in [20, 100] {
            let rules = rules(count, expression);
            for (name, target) in [
                ("short", "/v7/shop/1"),
                ("8 KB", &*plain),
                ("8 KB random", &*random),
                ("8 KB in many readings", &*tricky),
            ] {
                let fields = Fields::new();
                let asked = Asked { method: &Method::GET, path_and_query: black_box(target), fields: &fields };
                c.bench_function(&format!("{count} {kind} expressions, {name} path"), |b| {
                    b.iter(|| black_box(rules.asked(asked)).is_empty())
                });
            }
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(std::time::Duration::from_millis(100)).measurement_time(std::time::Duration::from_millis(500));
    targets = unseen
}
criterion_main!(benches);
