use super::*;
use crate::policy::vary::{is_for_content, matches, nominate, renominate};

fn agree(vary: &str, first: &[&str], second: &[&str]) -> bool {
    agree_by(vary, first, second, &usual())
}

fn agree_by(vary: &str, first: &[&str], second: &[&str], options: &Options) -> bool {
    let nominated = nominate(&fields(&[vary]), &get(first), options).unwrap();
    matches(&nominated, &get(second), options)
}

/// Returns true if two requests whose only field is this one agree on it.
fn mean_the_same(name: &str, first: &str, second: &str) -> bool {
    let line = |value| format!("{name}: {value}");
    agree(&format!("Vary: {name}"), &[&line(first)], &[&line(second)])
}

#[test]
fn requests_match_when_their_nominated_fields_mean_the_same() {
    for (vary, first, second, expected) in [
        ("Vary: Foo", &["Foo: 1"][..], &["Foo: 1", "Other: 2"][..], true),
        ("Vary: Foo", &["Foo: 1"], &["Foo: 2"], false),
        ("Vary: Foo", &[], &["Foo: 1"], false),
        ("Vary: Foo", &["Foo: 1"], &[], false),
        ("Vary: Foo", &[], &[], true),
        ("Vary: Foo", &[], &["Foo: "], false),
        ("Vary: Foo, Bar", &["Foo: 1", "Bar: abc"], &["Bar: abc", "Foo: 1"], true),
        ("Vary: Foo, Bar, Baz", &["Foo: 1", "Bar: abc4", "Baz: 7"], &["Foo: 1", "Bar: abc", "Baz: 7"], false),
        ("Vary: Foo", &["Foo: 1, 2"], &["Foo: 1", "Foo: 2"], true),
        ("Vary: Foo", &["Foo: 1, 2"], &["Foo:  1, 2 "], true),
        ("Vary: Foo", &["Foo: 1,2"], &["Foo: 1, 2"], false),
        ("Vary: Accept", &["Accept: 1,2"], &["Accept:  1, 2 "], true),
        ("Vary: Accept", &["Accept: \"1, 2\""], &["Accept: \"1,2\""], false),
        ("Vary: Accept", &["Accept: \"1", "Accept: 2\""], &["Accept: \"1,2\""], false),
        ("Vary: User-Agent", &["User-Agent: K (a, b)"], &["User-Agent: K (a,b)"], false),
        ("Vary: Foo", &["Foo: 1, 2"], &["Foo: 2, 1"], false),
        ("Vary: Foo", &["Foo: \"1, 2\""], &["Foo: \"1,2\""], false),
        ("Vary: Foo", &["Foo: a"], &["Foo: A"], false),
    ] {
        assert_eq!(agree(vary, first, second), expected, "{vary} {first:?} {second:?}");
    }
}

#[test]
fn languages_are_compared_by_preference() {
    for (first, second, expected) in [
        ("en, de", "de, en", false),
        ("en, de", "eN,De", true),
        ("en, de", "en ,   de", true),
        ("en, de;q=0.9", "de;q=0.5, en", true),
        ("en, de;q=0.9", "en;q=0.9, de", false),
        ("en, de", "en, de;q=0.9", false),
        ("en, de;q=0", "en, de;q=0.1", false),
        ("en", "en, de;q=0", false),
        ("en;q=x", "en", false),
        ("en;q=x", "en;q=x", true),
        ("", "en", false),
        ("en>fr", "en, fr;q=0.5", false),
        ("!en", "en;q=0", false),
        ("en, !fr", "en, fr;q=0", false),
        ("en;q=x", "en ;q=x", false),
    ] {
        assert_eq!(mean_the_same("Accept-Language", first, second), expected, "{first} / {second}");
    }
}

#[test]
fn a_coded_response_without_vary_is_for_all_who_accept_its_codings() {
    for (codings, stored_for, asked, expected) in [
        ("x-gzip", "gzip", &["Accept-Encoding: gzip"][..], true),
        ("x-gzip", "gzip", &["Accept-Encoding: x-gzip"], true),
        ("GZIP", "gzip, br", &["Accept-Encoding: gzip, deflate, zstd"], true),
        ("gzip", "gzip", &["Accept-Encoding: *"], true),
        ("gzip", "gzip", &["Accept-Encoding: gzip;q=0.1, br"], true),
        ("unknown", "*", &["Accept-Encoding: gzip, *;q=0.1"], true),
        ("unknown", "*", &["Accept-Encoding: unknown;q=0, *"], false),
        ("gzip", "gzip", &["Accept-Encoding: gzip;q=0, *"], false),
        ("gzip", "gzip", &["Accept-Encoding: br"], false),
        ("gzip", "gzip", &["Accept-Encoding: gzip;q=x"], false),
        ("gzip", "gzip", &["Accept-Encoding: "], false),
        ("gzip", "gzip", &[], false),
        ("gzip, br", "br, gzip", &["Accept-Encoding: gzip, br, zstd"], true),
        ("gzip, br", "br, gzip", &["Accept-Encoding: gzip"], false),
        // its client did not accept it: the same preferences alone
        ("gzip", "br", &["Accept-Encoding: gzip, br"], false),
        ("gzip", "br", &["Accept-Encoding: br"], true),
    ] {
        let response = fields(&[&format!("Content-Encoding: {codings}")]);
        let nominated = nominate(&response, &get(&[&format!("Accept-Encoding: {stored_for}")]), &usual()).unwrap();
        let request = get(asked);
        assert_eq!(matches(&nominated, &request, &usual()), expected, "{codings} {stored_for} {asked:?}");
        assert_eq!(renominate(&nominated, &request, &usual()) == nominated, expected, "{codings} {asked:?}");
        // the origin says by what it chose
        let chosen = fields(&["Vary: accept-encoding", &format!("Content-Encoding: {codings}")]);
        let nominated = nominate(&chosen, &get(&["Accept-Encoding: gzip, br"]), &usual()).unwrap();
        assert!(!matches(&nominated, &get(&["Accept-Encoding: gzip"]), &usual()), "{codings}");
    }
}

#[test]
fn a_response_in_the_language_that_is_liked_best_matches() {
    let response = fields(&["Vary: Accept-Language", "Content-Language: DE"]);
    let nominated = nominate(&response, &get(&["Accept-Language: de, en;q=0.5"]), &strict()).unwrap();
    for (asked, expected) in [
        (&["Accept-Language: fr;q=0.5, de;q=1.0"][..], true),
        (&["Accept-Language: de"], true),
        (&["Accept-Language: de, en;q=0.9"], true),
        (&["Accept-Language: de, en"], false),
        (&["Accept-Language: fr, de"], false),
        (&["Accept-Language: fr, de;q=0.9"], false),
        (&["Accept-Language: de;q=0"], false),
        (&["Accept-Language: *"], false),
        (&[], false),
    ] {
        assert_eq!(matches(&nominated, &get(asked), &strict()), expected, "{asked:?}");
    }
    let several = fields(&["Vary: Accept-Language", "Content-Language: de, en"]);
    let nominated = nominate(&several, &get(&["Accept-Language: de"]), &strict()).unwrap();
    assert!(!matches(&nominated, &get(&["Accept-Language: de, fr;q=0.5"]), &strict()));
}

#[test]
fn a_response_in_a_language_that_was_not_liked_best_is_for_the_same_preferences_alone() {
    for (stored_for, language, asked, expected) in [
        ("ru", "en", "en, de;q=0.5", false),
        ("ru", "en", "en", false),
        ("ru", "en", "ru", true),
        ("en-GB", "en", "en", false),
        ("en-GB, en;q=0.9", "en", "en", false),
        ("en", "en-GB", "en-GB", false),
        ("en, de", "de", "de", false),
        ("en, de", "de", "de, en", false),
        ("de, en", "en", "de, en", true),
        ("*", "en", "en", false),
        ("en;q=0", "en", "en", false),
        ("en;q=x", "en", "en", false),
        ("en", "en", "en, de;q=0.5", true),
        ("EN;q=0.9, de;q=0.5", "en", "en, fr;q=0.5", true),
    ] {
        let response = fields(&["Vary: Accept-Language", &format!("Content-Language: {language}")]);
        let request = |languages: &str| get(&[&format!("Accept-Language: {languages}")]);
        for options in [usual(), strict()] {
            let nominated = nominate(&response, &request(stored_for), &options).unwrap();
            let found = matches(&nominated, &request(asked), &options);
            assert_eq!(found, expected, "{stored_for} {language} {asked}");
        }
    }
    // what an earlier version stored says no less
    let earlier = vec![(FieldName::from_static("accept-language"), Some(b"\x03ru\nen".to_vec()))];
    assert!(!matches(&earlier, &get(&["Accept-Language: en"]), &usual()));
    assert!(matches(&earlier, &get(&["Accept-Language: ru"]), &usual()));
}

#[test]
fn codings_are_compared_as_the_set_that_is_accepted() {
    for (first, second, expected) in [
        ("gzip, br", "br;q=0.5,GZIP", true),
        ("x-gzip", "gzip", true),
        ("gzip", "gzip, identity", true),
        ("gzip, br;q=0", "gzip", true),
        ("gzip;q=0", "identity", true),
        ("", "identity", true),
        ("gzip", "gzip, dcz", false),
        ("gzip", "gzip, identity;q=0", false),
        ("gzip", "gzip, *;q=0", false),
        ("*", "br, deflate, gzip, zstd, identity", false),
        ("*", "*, gzip", true),
        ("*", "*, compress;q=0", false),
        ("*, compress;q=0", "compress;q=0, *;q=0.1", true),
        ("*", "*, br;q=0", false),
        ("*", "*, identity;q=0", false),
        ("gzip", "gzip, gzip;q=0", false),
        ("gzip, br", "gzip", false),
        ("gz ip", "identity", false),
        ("gzip;q=2", "gzip", false),
    ] {
        assert_eq!(mean_the_same("Accept-Encoding", first, second), expected, "{first} / {second}");
    }
    assert!(!agree("Vary: Accept-Encoding", &[], &["Accept-Encoding: identity"]));
}

#[test]
fn a_response_for_one_origin_varies_by_origin_unless_strict() {
    let one = fields(&["Access-Control-Allow-Origin: https://a.example"]);
    let names = |response: &Fields, options: &Options| {
        let nominated = nominate(response, &get(&["Origin: https://a.example"]), options).unwrap();
        nominated.into_iter().map(|(name, _)| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&one, &usual()), ["origin"]);
    assert!(names(&one, &strict()).is_empty());
    assert!(names(&fields(&["Access-Control-Allow-Origin: *"]), &usual()).is_empty());
    assert_eq!(
        names(&fields(&["Vary: Origin, B, a", "Vary: b", "Access-Control-Allow-Origin: x"]), &usual()),
        ["a", "b", "origin"]
    );
}

#[test]
fn up_to_eight_different_names_over_all_lines_and_no_star_among_them() {
    for (lines, expected) in [
        (&["Vary: a, b, c, d, e, f, g, h"][..], Ok(8)),
        (&["Vary: a, b, c, d, e, f, g, h, i"], Err(Reason::VaryTooLong)),
        (&["Vary: a, b, c, d", "Vary: e, f, g, h"], Ok(8)),
        (&["Vary: a, b, c, d", "Vary: e, f, g, h, i"], Err(Reason::VaryTooLong)),
        (&["Vary: a, A, a, b, B, c, d, e, f, g, h"], Ok(8)),
        (&["Vary: a, b, c, d, e, f, g, h", "Vary: H, g, F"], Ok(8)),
        // a response for one origin varies by Origin even if Vary does not say so
        (&["Vary: a, b, c, d, e, f, g, h", "Access-Control-Allow-Origin: x"], Err(Reason::VaryTooLong)),
        (&["Vary: ,, a ,\t,"], Ok(1)),
        (&["Vary: *"], Err(Reason::VaryStar)),
        (&["Vary:  * "], Err(Reason::VaryStar)),
        (&["Vary: Accept, *"], Err(Reason::VaryStar)),
        (&["Vary: Accept", "Vary: *"], Err(Reason::VaryStar)),
        (&["Vary: *, a, b, c, d, e, f, g, h, i"], Err(Reason::VaryStar)),
    ] {
        let nominated = nominate(&fields(lines), &get(&[]), &usual());
        assert_eq!(nominated.map(|names| names.len()), expected, "{lines:?}");
    }
}

#[test]
fn a_field_that_tells_the_clients_address_matches_nobody() {
    for vary in ["X-Forwarded-For", "FORWARDED", "Accept, x-forwarded-for"] {
        let response = fields(&[&format!("Vary: {vary}")]);
        assert_eq!(nominate(&response, &get(&[]), &usual()), Err(Reason::VaryByClient), "{vary}");
    }
}

#[test]
fn what_larder_writes_for_a_request_is_compared_as_it_is_written() {
    let (one, by_another_name) =
        (get(&[]), Request { target: Target { authority: "other.example".to_owned(), ..target("/") }, ..get(&[]) });
    let older = Request { version: Version::Http10, ..get(&[]) };
    for (vary, another_host, another_version) in [
        // the host is in the key
        ("Vary: X-Forwarded-Host", true, true),
        ("Vary: Via", true, false),
        ("Vary: X-Forwarded-Proto", true, true),
        ("Vary: Host", true, true),
    ] {
        let nominated = nominate(&fields(&[vary]), &one, &strict()).unwrap();
        let found = (matches(&nominated, &by_another_name, &strict()), matches(&nominated, &older, &strict()));
        assert_eq!((matches(&nominated, &one, &strict()), found), (true, (another_host, another_version)), "{vary}");
    }
    assert!(!agree("Vary: Via", &["Via: 1.1 a"], &["Via: 1.1 b"]));
}

#[test]
fn answers_to_query_are_variants_by_content_and_answer_nothing_else() {
    let query = |content: u8, lines: &[&str]| Request { content: Some([content; 32]), ..request("QUERY", lines) };
    let one = query(1, &["Foo: a"]);
    for vary in ["Vary:", "Vary: Foo"] {
        let nominated = nominate(&fields(&[vary]), &one, &strict()).unwrap();
        let keys =
            [&nominated, &renominate(&nominated, &query(2, &["Foo: a"]), &strict()), &renominate(&[], &one, &strict())];
        assert_eq!((keys[0] == keys[1], keys[0] == keys[2]), (false, vary == "Vary:"));
        assert!(matches(&nominated, &one, &strict()) && is_for_content(&nominated, &one), "{vary}");
        assert_eq!(renominate(&nominated, &one, &strict()), nominated);
        for other in [query(2, &["Foo: a"]), get(&["Foo: a"])] {
            assert!(!matches(&nominated, &other, &strict()) && !is_for_content(&nominated, &other), "{vary} {other:?}");
        }
        assert_eq!(matches(&nominated, &query(1, &["Foo: b"]), &strict()), vary == "Vary:");
        assert!(!matches(&nominate(&fields(&[vary]), &get(&["Foo: a"]), &strict()).unwrap(), &one, &strict()));
    }
    // an origin cannot nominate the name that stands for the content
    let named = fields(&["Vary: larder-content"]);
    assert_eq!(nominate(&named, &one, &strict()), Err(Reason::VaryStar));
}

#[test]
fn strictly_an_unknown_field_of_tokens_is_a_list() {
    for (first, second, strictly) in [
        ("Foo: 1,2", "Foo:  1, 2 ", true),
        ("Foo: 1,2", "Foo: 1 2", false),
        ("User-Agent: K (a, b)", "User-Agent: K (a,b)", false),
        ("Cookie: a=1, b", "Cookie: a=1,b", false),
    ] {
        let vary = format!("Vary: {}", first.split(':').next().unwrap());
        let agree = |options: &Options| agree_by(&vary, &[first], &[second], options);
        assert_eq!((agree(&strict()), agree(&usual())), (strictly, false), "{first} / {second}");
    }
}

/// RFC 9111 allows a cache to store the fields of a request. A reader of the disk must not learn a credential from
/// them.
#[test]
fn the_values_of_credentials_are_compared_and_stored_as_keyed_digests() {
    let other_key = Options { digest_key: DigestKey::new([1; 32]), ..usual() };
    for name in ["Cookie", "Authorization", "Proxy-Authorization", "X-Api-Key"] {
        let (vary, first) = (format!("Vary: {name}"), format!("{name}: the-secret"));
        let other = format!("{name}: another");
        for options in [usual(), strict(), other_key.clone()] {
            let nominated = nominate(&fields(&[&vary]), &get(&[&first]), &options).unwrap();
            let [(_, Some(value))] = &nominated[..] else { panic!("{nominated:?}") };
            assert_eq!(value.len(), 33, "{name}");
            assert!(!value.windows(6).any(|part| part == b"secret"), "{name}");
            assert!(matches(&nominated, &get(&[&first]), &options), "{name}");
            assert!(!matches(&nominated, &get(&[&other]), &options), "{name}");
            assert!(!matches(&nominated, &get(&[]), &options), "{name}");
            assert_eq!(renominate(&nominated, &get(&[&first]), &options), nominated, "{name}");
        }
        let nominated = nominate(&fields(&[&vary]), &get(&[&first]), &usual()).unwrap();
        assert!(!matches(&nominated, &get(&[&first]), &other_key), "{name} with another key");
        assert!(matches(&nominate(&fields(&[&vary]), &get(&[]), &usual()).unwrap(), &get(&[]), &usual()), "{name}");
    }
    // a value that looks like a digest is digested, too
    let nominated = nominate(&fields(&["Vary: Cookie"]), &get(&["Cookie: a"]), &usual()).unwrap();
    assert!(nominated[0].1.as_ref().unwrap()[0] < b'\t');
    assert_eq!(format!("{:?}", DigestKey::new([7; 32])), "DigestKey");
}
