//! What an operator types while Larder runs: warm, tail, completions, the manual page.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use crate::support::{Origin, Spawned, proxy::larder, proxy::output, respond, until};

/// Exit code, stdout and stderr of the program with these words.
fn run(words: &[&str]) -> (i32, String, String) {
    let output = output(&mut larder(words));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_list_and_a_sitemap_are_fetched_through_the_running_larder_and_failures_are_named() {
    let origin = Origin::answering(|request| match &*request.target {
        "/map.xml" => {
            let map = "<urlset><url><loc>https://www.shop.example/from-map?a=1&amp;b=2</loc></url></urlset>";
            respond(200, &["Content-Type: application/xml"], map)
        }
        "/index.xml" => respond(
            200,
            &[],
            "<sitemapindex><sitemap><loc>https://www.shop.example/map.xml</loc></sitemap></sitemapindex>",
        ),
        "/gone" => respond(404, &[], ""),
        "/private" => respond(200, &["Cache-Control: private"], "12345"),
        _ => respond(200, &["Cache-Control: max-age=100000"], "12345"),
    });
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    let list = folder.path().join("list");
    std::fs::write(&list, "# a comment\n/a\n\n/b\n").unwrap();
    let at = format!("http://{}", spawned.address);
    let (url, sitemap) = (format!("{at}/c"), format!("{at}/index.xml"));
    let cache = cache.to_str().unwrap();
    let words = ["warm", "--cache-dir", cache, &url, "/private", "/gone", "-f", list.to_str().unwrap()];
    let (code, said, error) = run(&[&words[..], &["--sitemap", &sitemap, "-j", "2", "--rate", "1000/s"]].concat());
    assert_eq!(said, "fetched 5 URLs, 25 B: 1 not stored (larder explain says why), 4 stored\n", "{error}");
    assert_eq!((code, &*error), (1, "error: /gone: status 404\n"));
    let asked: Vec<String> = origin.requests().into_iter().map(|request| request.target).collect();
    for target in ["/a", "/b", "/c", "/from-map?a=1&b=2", "/index.xml", "/map.xml"] {
        assert_eq!(asked.iter().filter(|asked| *asked == target).count(), 1, "{asked:?}");
    }
    let (code, said, _) = run(&["warm", "--cache-dir", cache, &url]);
    assert_eq!((code, &*said), (0, "fetched 1 URL, 5 B: 1 fresh already\n"));
    for (words, line) in [
        (&["/a", "-j", "0"][..], "error: invalid --jobs \"0\": expected a number from 1 to 256\n"),
        (&["/a", "--rate", "x"], "error: invalid --rate \"x\": expected requests a second, for example 10/s\n"),
        (&["--sitemap", "/a"], "error: /a: it is no sitemap: there is no <loc> in it\n"),
        (&["-f", "/nosuch"], "error: cannot read /nosuch: No such file or directory (os error 2)\n"),
    ] {
        let (code, said, error) = run(&[&["warm", "--cache-dir", cache][..], words].concat());
        assert_eq!((code, &*said, &*error), (1, "", line));
    }
}

#[test]
fn a_tail_shows_requests_as_they_end_and_those_alone_that_hold_its_text() {
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=100000"], "12345"));
    let folder = tempfile::tempdir().unwrap();
    let spawned = Spawned::start(&origin.url(), folder.path(), &["-q"]);
    let cache = folder.path().to_str().unwrap();
    let mut tail = larder(&["tail", "--json", "/wanted", "--cache-dir", cache]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let (tell, told) = std::sync::mpsc::channel();
    let reader =
        std::thread::spawn(move || lines.by_ref().map_while(Result::ok).for_each(|line| tell.send(line).unwrap()));
    let mut first = None;
    until("the tail to look on", || {
        spawned.get("/other");
        spawned.get("/wanted");
        first = told.try_recv().ok();
        first.is_some()
    });
    let line: serde_json::Value = serde_json::from_str(&first.unwrap()).unwrap();
    assert_eq!((&line["request"], &line["status"]), (&"GET /wanted".into(), &200.into()));
    assert!(line["word"] == "HIT" || line["word"] == "MISS", "{line}");
    // it ends with Larder, which does not wait for it
    let began = larder::clock::instant();
    assert!(spawned.stop().success());
    assert!(began.elapsed() < std::time::Duration::from_secs(60));
    assert!(tail.wait().unwrap().success());
    reader.join().unwrap();
    assert!(told.try_iter().all(|line| line.contains("GET /wanted")));
    let (code, _, error) = run(&["tail", "--cache-dir", cache]);
    assert!(code == 1 && error.starts_with("error: no Larder runs; "), "{error}");
}

#[test]
fn completions_and_the_manual_page_know_every_command_and_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, said, _) = run(&["completions", shell]);
        assert!(code == 0 && said.contains("explain") && said.contains("default-ttl"), "{shell}: {said}");
    }
    let (code, page, _) = run(&["man"]);
    assert_eq!(code, 0);
    for text in [".TH larder", "LARDER EXPLAIN", "LARDER CONFIG SHOW", "\\-\\-exit\\-code", "\\-\\-default\\-ttl"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let (code, help, _) = run(&["help", "explain"]);
    assert!(code == 0 && help.starts_with("Say why a URL is, or is not, answered from the cache"), "{help}");
    assert_eq!(run(&["explain", "--help"]).1, help);
}
