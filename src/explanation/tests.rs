//! Golden screens.

use super::*;
use crate::terminal::Style;

fn example() -> Explanation {
    Explanation {
        outcome: Outcome::Never,
        sentence: "the origin answers it, and the answer is not stored.".to_owned(),
        method: "GET".to_owned(),
        url: "http://127.0.0.1:3000/me".to_owned(),
        asks_origin: true,
        cache_status: None,
        stores: Some(false),
        reasons: vec![
            Why {
                reason: "private".to_owned(),
                words: "Cache-Control: private".to_owned(),
                advice: Some("the origin forbids it; change it there".to_owned()),
            },
            Why {
                reason: "authorization".to_owned(),
                words: "Authorization in the request, without public, s-maxage or must-revalidate in the response"
                    .to_owned(),
                advice: None,
            },
        ],
        changes: vec![Change {
            purpose: "To cache it for each authorization".to_owned(),
            write: "--rule '/me ignore=private key-headers=authorization'".to_owned(),
            only_if: Some("it is the same for everybody".to_owned()),
        }],
        stored: None,
        steps: vec![
            Step::new("request", "GET, no Cookie, Authorization", "may be cached"),
            Step::new("rule", "there is none", ""),
            Step::new("key", "/me", "utm_source, utm_campaign, utm_medium, utm_term left out"),
            Step::new("stored", "2 variants by accept-language: de (41s old), fr (3m old)", "<- no variant"),
            Step::new("response", "200, cache-control: private, max-age=60", "<- Cache-Control: private"),
        ],
    }
}

const SCREEN: &str = "\
NEVER CACHED: the origin answers it, and the answer is not stored.

  request   GET, no Cookie, Authorization           may be cached
  rule      there is none
  key       /me  utm_source, utm_campaign, utm_medium, utm_term left out
  stored    2 variants by accept-language: de (41s old), fr (3m old)
            <- no variant
  response  200, cache-control: private, max-age=60  <- Cache-Control: private

Why: Cache-Control: private
     -> the origin forbids it; change it there
and: Authorization in the request, without public, s-maxage or must-revalidate
     in the response

To cache it for each authorization, only if it is the same for everybody:
  --rule '/me ignore=private key-headers=authorization'";

#[test]
fn a_terminal_gets_a_screen_of_80_columns() {
    let shown = show(&example(), Style { columns: true, colours: false });
    assert_eq!(shown.join("\n"), SCREEN);
    assert!(shown.iter().all(|line| line.chars().count() <= 80), "{shown:#?}");
    let coloured = show(&example(), Style { columns: true, colours: true });
    assert!(coloured[0].starts_with("\x1b[31mNEVER CACHED\x1b[0m: the origin"), "{coloured:?}");
}

#[test]
fn a_pipe_gets_a_line_for_each_fact() {
    assert_eq!(
        show(&example(), Style::PLAIN),
        [
            "NEVER CACHED: the origin answers it, and the answer is not stored.",
            "request: GET, no Cookie, Authorization -- may be cached",
            "rule: there is none",
            "key: /me -- utm_source, utm_campaign, utm_medium, utm_term left out",
            "stored: 2 variants by accept-language: de (41s old), fr (3m old) -- no variant",
            "response: 200, cache-control: private, max-age=60 -- Cache-Control: private",
            "why: Cache-Control: private -- the origin forbids it; change it there",
            "why: Authorization in the request, without public, s-maxage or must-revalidate in the response",
            "change: To cache it for each authorization, only if it is the same for everybody: --rule '/me \
             ignore=private key-headers=authorization'",
        ]
    );
}

#[test]
fn the_json_has_the_names_of_its_documentation() {
    let json = serde_json::to_value(example()).unwrap();
    let read: Explanation = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read, example());
    let page = include_str!("../../docs/commands.md");
    for name in json.as_object().unwrap().keys() {
        assert!(page.contains(&format!("| `{name}` |")), "docs/commands.md lacks {name}");
    }
}
