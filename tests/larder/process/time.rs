//! Wrong clocks: this machine's, moved by libfaketime, and the origin's.

use std::{fs, path::PathBuf};

use crate::support::{Origin, Response, Spawned, proxy::larder, respond, until};

/// Debian's libfaketime; `None`, and a word about it, where it is missing.
fn libfaketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    if library.is_none() {
        eprintln!("skipped: libfaketime is missing (apt-get install libfaketime)");
    }
    library
}

fn age(response: &Response) -> u64 {
    let age = response.field("Age").unwrap_or("0");
    let seconds = age.parse().unwrap_or_else(|_| panic!("Age: {age}"));
    assert!(seconds <= 1 << 31, "Age: {age}");
    seconds
}

#[test]
fn f10_a_clock_that_jumps_changes_nothing_that_is_measured() {
    let Some(library) = libfaketime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let offset = folder.path().join("offset");
    let set = |text: &str| {
        let new = folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &offset).unwrap();
    };
    set("+0");
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/brief" => respond(200, &["Cache-Control: max-age=1"], request.index.to_string()),
        _ => respond(200, &["Cache-Control: max-age=3600"], &request.target),
    });
    let cache = folder.path().join("cache");
    let mut command = larder(&["--origin", &origin.url(), "--port", "0", "--cache-dir", cache.to_str().unwrap()]);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", &offset)
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let spawned = Spawned::from(&mut command);
    assert_eq!(spawned.get("/before").x_cache(), "MISS");
    let year = |response: &Response| response.field("Date").unwrap().split(' ').nth(3).unwrap().to_owned();
    let now: i32 = year(&spawned.get("/now")).parse().unwrap();
    for (jump, years) in [("-10y", -10), ("+10y", 10), ("-1", 0), ("+0", 0)] {
        set(jump);
        let fresh = format!("/{jump}");
        let miss = spawned.get(&fresh);
        assert_eq!((miss.x_cache(), age(&miss)), ("MISS", 0), "{jump}");
        // a year of libfaketime's has 365 days, and the year may end in between
        let moved = year(&miss).parse::<i32>().unwrap() - now;
        assert!((years - 1..=years + 1).contains(&moved), "{jump}: the clock did not move: {moved}");
        for target in ["/before", &fresh] {
            let hit = spawned.get(target);
            assert_eq!((hit.x_cache(), hit.text().as_str()), ("HIT", target), "{jump}");
            assert!(age(&hit) < 60, "{jump}: {}", age(&hit));
        }
        // and what has lived its life is stale however the clock stands
        let first = spawned.get("/brief").text();
        until("it to be stale", || spawned.get("/brief").text() != first);
    }
    assert!(!spawned.log().iter().any(|line| line.contains("panicked")), "{:#?}", spawned.log());
    assert_eq!(spawned.stop().code(), Some(0));
}

#[test]
fn f10_a_clock_that_went_back_while_larder_was_down_makes_nothing_live_longer() {
    let Some(library) = libfaketime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=2"], "hello"));
    let start = |offset: &str| {
        let mut command = larder(&["--origin", &origin.url(), "--port", "0", "--cache-dir", cache.to_str().unwrap()]);
        command.env("LD_PRELOAD", &library).env("FAKETIME", offset);
        command.env("DONT_FAKE_MONOTONIC", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Spawned::from(&mut command)
    };
    for offset in ["+0", "-10y", "+10y"] {
        let spawned = start(offset);
        let asked = origin.request_count();
        let first = spawned.get("/a");
        assert!((first.text().as_str(), first.status) == ("hello", 200) && age(&first) < 60, "{offset}");
        until("it to be stale", || {
            let response = spawned.get("/a");
            assert!(age(&response) < 60, "{offset}: {}", age(&response));
            origin.request_count() > asked
        });
        assert!(!spawned.log().iter().any(|line| line.contains("panicked")), "{:#?}", spawned.log());
        assert_eq!(spawned.stop().code(), Some(0));
    }
}

#[test]
fn f10_no_date_of_an_origin_makes_an_age_negative_or_larder_panic() {
    let dates = [
        "",
        "x",
        "0",
        "-1",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sat, 01 Jan 10000 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Fri, 01 Jan 0001 00:00:00 GMT",
        "Tue, 19 Jan 2038 03:14:08 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 31 Feb 2021 25:61:61 GMT",
        "Sun, 06 Nov 1994 08:49:37 PST",
    ];
    let ages = ["", "-1", "x", "2147483648", "18446744073709551616", "1, 2"];
    let answers: Vec<Vec<String>> = dates
        .iter()
        .flat_map(|date| ["Date", "Expires", "Last-Modified"].map(|name| vec![format!("{name}: {date}")]))
        .chain(
            dates
                .iter()
                .map(|date| ["Date", "Expires", "Last-Modified"].map(|name| format!("{name}: {date}")).to_vec()),
        )
        .chain(dates.iter().map(|date| vec![format!("Date: {date}"), "Cache-Control: max-age=2147483648".to_owned()]))
        .chain(
            ages.iter()
                .map(|age| vec![format!("Age: {age}"), "Cache-Control: max-age=99999999999999999999".to_owned()]),
        )
        .collect();
    let count = answers.len();
    let origin = Origin::answering(move |request| {
        let fields: Vec<&str> =
            answers[request.target[1..].parse::<usize>().unwrap()].iter().map(String::as_str).collect();
        respond(200, &fields, &request.target)
    });
    let folder = tempfile::tempdir().unwrap();
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &[]);
    let mut client = spawned.client();
    for n in 0..count {
        for condition in [&[][..], &["If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT"], &["Cache-Control: max-stale"]]
        {
            let response = client.ask("GET", &format!("/{n}"), condition);
            assert!(response.status == 200 && response.text() == format!("/{n}") || response.status == 304, "{n}");
            if response.x_cache() == "HIT" {
                age(&response);
            }
        }
    }
    assert!(!spawned.log().iter().any(|line| line.contains("panicked")), "{:#?}", spawned.log());
}
