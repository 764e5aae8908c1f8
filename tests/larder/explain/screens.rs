//! The program itself: its screens, its exit codes, and what it says about wrong input.

use crate::support::{Origin, Spawned, proxy::larder, proxy::output, respond, stats, until};

/// Runs `larder explain` with these words on this folder. Returns the exit code, stdout and stderr.
fn run(folder: &std::path::Path, words: &[&str]) -> (i32, String, String) {
    // the host that the client names is part of the key
    let host = ["-H", "Host: larder.test"];
    let words = [&["explain", "--cache-dir", folder.to_str().unwrap()], words, &host].concat();
    let output = output(&mut larder(&words));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_running_larder_says_why_a_url_is_or_is_not_cached_and_what_would_change_it() {
    let origin = Origin::answering(|request| match &*request.target {
        "/fresh" => respond(200, &["Cache-Control: max-age=100000"], "fresh"),
        "/private" => respond(200, &["Cache-Control: private"], "private"),
        _ => respond(200, &[], "bare"),
    });
    let folder = tempfile::tempdir().unwrap();
    let spawned = Spawned::start(&origin.url(), folder.path(), &[]);
    assert_eq!(spawned.client().get("/fresh").status, 200);
    let counted = || {
        let mut stats = stats(folder.path());
        // the time goes on
        stats.as_object_mut().unwrap().remove("running_seconds");
        stats
    };
    until("the answer to be counted and written", || counted()["waiting"] == 0 && counted()["under_way"] == 0);
    let before = counted();
    let (code, said, _) = run(folder.path(), &["/fresh", "--exit-code"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("HIT: a stored response would answer, with "), "{said}");
    assert!(said.contains("\nstored: 200, 5 B, ") && said.contains(" left of 27h (max-age)"), "{said}");

    let (code, said, _) = run(folder.path(), &["/private", "--ask", "--exit-code", "-H", "Authorization: Basic eDp5"]);
    assert_eq!(code, 4, "{said}");
    assert_eq!(
        said,
        "NEVER CACHED: the origin answers it, and the answer is not stored.\n\
         request: GET, no Cookie, Authorization -- may be cached\n\
         rule: there is none\n\
         key: /private\n\
         stored: nothing -- not in the cache yet\n\
         response: 200, cache-control: private -- Cache-Control: private\n\
         why: Cache-Control: private -- the origin forbids it; change it there\n\
         why: Authorization in the request, without public, s-maxage or must-revalidate in the response -- let the origin \
         add one of them if the answer is not personal\n\
         change: To cache it for each authorization, only if it is the same for all who send the same authorization: \
         --rule '/private ignore=private key-headers=authorization'\n"
    );
    assert_eq!(counted(), before, "explaining counts nothing and stores nothing");
    let asked = origin.request_count();
    let (code, said, _) = run(folder.path(), &["/bare?utm=1"]);
    assert_eq!((code, origin.request_count()), (0, asked), "{said}");
    assert!(said.starts_with("MISS: it would go to the origin (--ask says whether the answer is stored).\n"), "{said}");
    assert!(
        said.contains("\nafter: fresh for as long as the origin says -- without a lifetime: 1h (--default-ttl)\n"),
        "{said}"
    );

    let (code, said, _) = run(folder.path(), &["/bare", "-X", "DELETE", "--json", "--exit-code"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["outcome"], &json["reasons"][0]["reason"]), (4, &"never".into(), &"unsafe_method".into()));

    for (words, beginning) in [
        (&["/bare", "-X", "DELETE", "--ask"][..], "error: "),
        (&["ftp://a.b/"], "error: invalid URL \"ftp://a.b/\": expected a path such as /a"),
        (&["/a", "-H", "x"], "error: invalid --header \"x\": expected a name and a value"),
    ] {
        let (code, said, error) = run(folder.path(), words);
        assert!(code == 1 && said.is_empty() && error.starts_with(beginning), "{words:?}: {code} {said} {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_content_of_a_request_is_part_of_what_is_explained() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/graphql" => respond(200, &["Cache-Control: max-age=100000"], "data"),
        _ => respond(200, &[], "bare"),
    });
    let folder = tempfile::tempdir().unwrap();
    let spawned = Spawned::start(&origin.url(), folder.path(), &["--rule", "/graphql methods=POST default-ttl=1m"]);
    let (query, other) = ("{\"query\":\"{ me }\"}", "{\"query\":\"{ you }\"}");
    let json = "Content-Type: application/json";
    let post = |content: &str| {
        let head =
            format!("POST /graphql HTTP/1.1\r\nHost: larder.test\r\n{json}\r\nContent-Length: {}", content.len());
        spawned.client().send(format!("{head}\r\n\r\n{content}")).response("POST")
    };
    until("it to be stored", || post(query).x_cache() == "HIT");
    // as with curl, content alone makes it a POST
    let words = |content| ["/graphql", "-d", content, "-H", json, "--exit-code"];
    let (code, said, _) = run(folder.path(), &words(query));
    assert!(code == 0 && said.starts_with("HIT: "), "{said}");
    assert!(said.contains("\nrequest: POST, 18 B of content, no Cookie, no Authorization -- "), "{said}");
    assert!(said.contains("\nkey: /graphql -- and the content\n"), "{said}");
    let (code, said, _) = run(folder.path(), &words(other));
    assert!(code == 4 && said.starts_with("MISS: "), "{said}");
    let (code, said, _) = run(folder.path(), &[&words(other)[..], &["--ask"]].concat());
    assert!(code == 4 && said.starts_with("MISS: it goes to the origin, and the answer would be stored."), "{said}");
    assert_eq!(post(other).x_cache(), "MISS", "nothing was stored");
    let (_, said, _) = run(folder.path(), &["/bare", "-X", "GET", "--data", "x"]);
    assert!(said.starts_with("NEVER CACHED: ") && said.contains("\nwhy: the request has content, "), "{said}");
    let (_, said, _) = run(folder.path(), &["/bare", "-d", "x"]);
    assert!(said.starts_with("NEVER CACHED: ") && said.contains("\nwhy: this method is not cached: "), "{said}");
    let change = "\nchange: To cache it for each content, only if it changes nothing at the origin: --rule '/bare methods=POST ttl=60s'\n";
    assert!(said.contains(change), "{said}");
    // no rule has these cached
    for other in [
        &["-d", "{\"query\":\"mutation { a }\"}", "-H", json][..],
        &["-d", "x", "-H", "X-HTTP-Method-Override: PUT"],
        &["-X", "PUT"],
    ] {
        let (_, said, _) = run(folder.path(), &[&["/bare"], other].concat());
        assert!(said.starts_with("NEVER CACHED: ") && !said.contains("change: "), "{other:?}: {said}");
    }
    let (code, _, error) = run(folder.path(), &["/bare", "-d", "x", "--ask"]);
    assert!(code == 1 && error.contains(": --ask sends the request to the origin, and POST may "), "{error}");
}

#[test]
fn a_folder_that_nobody_runs_on_is_explained_with_the_settings_given_and_stays_as_it_is() {
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=100000"], "fresh"));
    let folder = tempfile::tempdir().unwrap();
    let spawned = Spawned::start(&origin.url(), folder.path(), &[]);
    assert_eq!(spawned.client().get("/fresh").status, 200);
    spawned.stop();
    let before = stats(folder.path());
    let url = origin.url();
    let (code, said, error) = run(folder.path(), &["/fresh", "--origin", &url]);
    assert!(code == 0 && said.starts_with("HIT: "), "{said}{error}");
    let (code, said, _) = run(folder.path(), &["/other", "--origin", &url, "--exit-code"]);
    assert!(code == 4 && said.starts_with("MISS: "), "{said}");
    let (code, _, error) = run(folder.path(), &["/fresh"]);
    assert!(code == 1 && error.contains("--origin URL, or --config FILE"), "{error}");
    assert_eq!(stats(folder.path())["responses"], before["responses"]);
}
