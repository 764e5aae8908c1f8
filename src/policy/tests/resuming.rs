use super::*;
use crate::policy::resuming::{continues, rest};

#[test]
fn only_what_has_a_strong_validator_goes_on() {
    for (lines, goes_on) in [
        (&["ETag: \"a\""][..], true),
        (&["ETag: W/\"a\""], false),
        (&["X: 1"], false),
        (&["Last-Modified: Thu, 01 Jan 1998 00:00:00 GMT"], true),
    ] {
        let head = stored(&[&["Cache-Control: max-age=60"], lines].concat(), &usual());
        assert_eq!(rest(&head, 5).is_some(), goes_on, "{lines:?}");
        assert!(rest(&head, 0).is_none());
    }
}

#[test]
fn only_the_very_rest_of_the_same_representation_continues_it() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"a\""], &usual());
    for (status, range, tag, expected) in [
        (206, "bytes 5-9/10", "\"a\"", true),
        (200, "bytes 5-9/10", "\"a\"", false),
        (206, "bytes 4-9/10", "\"a\"", false),
        (206, "bytes 5-8/10", "\"a\"", false),
        (206, "bytes 5-9/*", "\"a\"", false),
        (206, "bytes 5-10/11", "\"a\"", false),
        (206, "bytes 5-9/10", "\"b\"", false),
    ] {
        let lines = [&*format!("Content-Range: {range}"), &format!("ETag: {tag}")];
        assert_eq!(continues(&head, 5, Some(10), &response(status, &lines)), expected, "{status} {range} {tag}");
    }
}
