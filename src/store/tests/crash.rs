//! What happens to a process: each test that needs one runs itself again as a child.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::support::*;
use crate::{
    clock,
    store::{AdmitError, Options, Slot, State, Store, StoredBody, disk::generation::Generation},
};

const FOLDER: &str = "LARDER_STORE_TEST_FOLDER";

/// This test (its name below `store::tests`), run alone in a process of its own, with a folder to work in.
pub fn child(test: &str, folder: &Path, wrapped: &[&str]) -> Child {
    let own = std::env::current_exe().expect("the test's own program");
    let mut command = match wrapped {
        [] => Command::new(own),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(own);
            command
        }
    };
    let name = format!("store::tests::{test}");
    command.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.stdout(Stdio::piped()).spawn().expect("a child")
}

pub fn in_child() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

fn length(number: usize) -> usize {
    [200, 1_900, 3_000, 70_000, 16_000][number % 5]
}

/// Stores without end, and prints the number of each response as it was put.
fn store_for_ever(folder: &Path) {
    run(async {
        let store = open(disk_only(folder)).await;
        for number in 0.. {
            let name = number.to_string();
            if number % 50 == 7 {
                let mut stored = response(&name, 0);
                stored.body = StoredBody::Disk(fill(&store, &name, 400_000).await.expect("filled"));
                store.put(key(&name), stored, store.epoch());
            } else {
                put(&store, &name, length(number));
            }
            println!("put {number}");
            beat(1).await;
        }
    });
}

#[test]
fn a_killed_process_loses_nothing_that_was_stored_a_second_before_and_serves_no_wrong_byte() {
    if let Some(folder) = in_child() {
        return store_for_ever(&folder);
    }
    let test = "crash::a_killed_process_loses_nothing_that_was_stored_a_second_before_and_serves_no_wrong_byte";
    for milliseconds in [50, 300, 1_300, 2_100] {
        let folder = folder();
        let mut child = child(test, folder.path(), &[]);
        let started = clock::instant();
        let mut put = Vec::new();
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("put ").and_then(|number| number.parse::<usize>().ok()) {
                put.push((number, clock::instant()));
            }
            if started.elapsed() > Duration::from_millis(milliseconds) && !put.is_empty() {
                break;
            }
        }
        let killed = clock::instant();
        child.kill().expect("killed");
        child.wait().expect("gone");
        run(async {
            let opening = clock::instant();
            let store = open(disk_only(folder.path())).await;
            assert!(opening.elapsed() < Duration::from_secs(2), "it opened in {:?}", opening.elapsed());
            let mut missing = 0;
            for (number, at) in &put {
                let name = number.to_string();
                let length = if number % 50 == 7 { 400_000 } else { length(*number) };
                match served(&store, &name).await {
                    Some(bytes) => assert_eq!(bytes, content(&name, length), "{name}"),
                    None if killed - *at < Duration::from_secs(1) => missing += 1,
                    None => panic!("{number} of {} was lost, put {:?} before", put.len(), killed - *at),
                }
            }
            println!("killed after {milliseconds} ms: {} put, {missing} missing, {:?}", put.len(), store.stats().state);
        });
    }
}

/// Runs a test in a mount namespace of its own where its folder is a disk of this size. Not where that is not permitted.
fn on_a_disk_of(size: &str, test: &str) {
    let (folder, then) = (folder(), "exec \"$0\" \"$@\"");
    let mount = format!("mount -t tmpfs -o size={size},mode=700 none {} && {then}", folder.path().display());
    let permitted = Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    if !permitted {
        println!("skipped: unshare -m is not permitted here");
        return;
    }
    let output =
        child(test, folder.path(), &["unshare", "-m", "sh", "-c", &mount]).wait_with_output().expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    print!("{said}");
}

fn remount(folder: &Path, with: &str) {
    let status = Command::new("mount").args(["-o", &format!("remount,{with}")]).arg(folder).status();
    assert!(status.is_ok_and(|status| status.success()), "remount with {with}");
}

/// Waits until a response that is put reaches the disk; not longer than 5 s.
async fn comes_back(store: &Store, name: &str) {
    let began = clock::instant();
    loop {
        put(store, name, 30_000);
        store.flush().await;
        let stats = store.stats();
        let written = stats.state == State::Open && stats.waiting == 0 && stats.responses > 0;
        if written && let Some(Slot::Response(_)) = store.lookup(&key(name)).await {
            return println!("{name}: back after {:?}", began.elapsed());
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: not back: {stats:?}");
        beat(50).await;
    }
}

#[test]
fn a_full_disk_is_lived_with_and_a_disk_that_is_free_again_is_used_again() {
    let Some(folder) = in_child() else {
        return on_a_disk_of("24m", "crash::a_full_disk_is_lived_with_and_a_disk_that_is_free_again_is_used_again");
    };
    run(async {
        // the limit is far above what the disk has
        let options = Options { disk: 10 << 30, ..disk_only(&folder) };
        let store = open(options).await;
        for number in 0..3_000 {
            put(&store, &number.to_string(), 20_000);
            if number % 20 == 0 {
                store.flush().await;
            }
        }
        store.flush().await;
        println!("60 MB into 24: {:?}", store.stats());
        assert_eq!(served(&store, "2999").await, Some(content("2999", 20_000)));
        let stats = store.stats();
        assert!(stats.effective_disk_limit <= 24 * MIB && stats.effective_disk_limit < stats.disk_limit, "{stats:?}");
        // somebody else takes all of the rest
        let blocker = folder.join("blocker");
        let full = std::fs::write(&blocker, vec![1; 64 << 20]);
        assert!(full.is_err());
        for number in 0..400 {
            put(&store, &format!("full {number}"), 100_000);
            if number % 10 == 0 {
                store.flush().await;
            }
        }
        store.flush().await;
        println!("full: {:?}", store.stats());
        assert_eq!(store.admits(Some(MIB)), Err(AdmitError::NoRoom), "no body of a mebibyte is worth what is left");
        std::fs::remove_file(&blocker).expect("removed");
        comes_back(&store, "after the disk was full").await;
        remount(&folder, "size=200m");
        for number in 0..2_000 {
            put(&store, &format!("more {number}"), 20_000);
            if number % 20 == 0 {
                store.flush().await;
            }
        }
        store.flush().await;
        println!("grown: {:?}", store.stats());
        assert!(store.stats().responses > 1_800, "{:?}", store.stats());
    });
}

#[test]
fn a_store_that_only_answers_gives_way_where_others_fill_the_disk() {
    let Some(folder) = in_child() else {
        return on_a_disk_of("24m", "crash::a_store_that_only_answers_gives_way_where_others_fill_the_disk");
    };
    run(async {
        let store = open(Options { disk: 10 << 30, ..disk_only(&folder) }).await;
        for number in 0..600 {
            put(&store, &number.to_string(), 20_000);
            if number % 20 == 0 {
                store.flush().await;
            }
        }
        store.flush().await;
        let before = store.stats();
        assert!(std::fs::write(folder.join("blocker"), vec![1; 64 << 20]).is_err());
        let began = clock::instant();
        while store.stats().disk_used + MIB > before.disk_used {
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", store.stats());
            beat(50).await;
        }
        println!("from {} to {:?}", before.disk_used, store.stats());
        assert_eq!(served(&store, "599").await, Some(content("599", 20_000)));
    });
}

#[test]
fn a_store_starts_on_a_full_and_on_a_read_only_disk_and_comes_back_when_it_is_neither() {
    let Some(folder) = in_child() else {
        return on_a_disk_of(
            "24m",
            "crash::a_store_starts_on_a_full_and_on_a_read_only_disk_and_comes_back_when_it_is_neither",
        );
    };
    run(async {
        let blocker = folder.join("blocker");
        assert!(std::fs::write(&blocker, vec![1; 64 << 20]).is_err());
        let store = open(disk_only(&folder)).await;
        println!("full at the start: {:?}", store.stats());
        put(&store, "a", 1_000);
        store.lookup(&key("a")).await;
        std::fs::remove_file(&blocker).expect("removed");
        comes_back(&store, "full at the start").await;
        store.close().await;
        remount(&folder, "ro");
        let store = open(disk_only(&folder)).await;
        println!("read-only at the start: {:?}", store.stats());
        assert!(matches!(store.stats().state, State::Down(_)));
        put(&store, "b", 1_000);
        remount(&folder, "rw");
        comes_back(&store, "read-only at the start").await;
        assert!(store.lookup(&key("full at the start")).await.is_some(), "what was stored before is there");
    });
}

#[test]
fn a_disk_that_the_cache_itself_fills_is_opened_again_and_used() {
    let Some(folder) = in_child() else {
        for size in ["4m", "7m", "12m"] {
            on_a_disk_of(size, "crash::a_disk_that_the_cache_itself_fills_is_opened_again_and_used");
        }
        return;
    };
    run(async {
        let options = Options { disk: 10 << 30, ..disk_only(&folder) };
        for round in 0..4 {
            let store = open(options.clone()).await;
            println!("round {round}: {:?}", store.stats());
            assert_eq!(store.stats().state, State::Open);
            comes_back(&store, &format!("round {round}")).await;
            for number in 0..1_500 {
                put(&store, &format!("{round} {number}"), length(number));
                if number % 20 == 0 {
                    store.flush().await;
                }
            }
            store.close().await;
            // bodies of a process that was killed fill it to the last byte
            let live = options.folder.join("live");
            let newest = Generation::list(&live).expect("listed").pop().expect("a generation");
            let generation = live.join(Generation::folder_name(newest.1, newest.0));
            let place = if round % 2 == 0 { options.folder.join("filling/99") } else { generation.join("99.body") };
            assert!(std::fs::write(place, vec![1; 16 << 20]).is_err());
        }
    });
}

/// Says so where it is not.
pub fn strace_is_there() -> bool {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        println!("skipped: there is no strace here");
    }
    there
}

/// Runs a test under strace, which makes system calls fail. Not where there is no strace.
fn with_faults(test: &str, faults: &str) {
    let folder = folder();
    if !strace_is_there() {
        return;
    }
    let log = folder.path().join("strace");
    let log = log.to_str().expect("a path");
    // nothing else in the process writes with these calls
    let wrapped = ["strace", "-f", "-qq", "-o", log, "-e", faults];
    let output = child(test, folder.path(), &wrapped).wait_with_output();
    let output = output.expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{faults}: {said}");
    println!("{faults}: {said}");
}

#[test]
fn a_disk_that_fails_in_mid_run_is_tried_again_until_it_works() {
    if let Some(folder) = in_child() {
        return run(async {
            let store = open(disk_only(&folder)).await;
            let mut wrong = 0;
            for number in 0..300 {
                let name = number.to_string();
                put(&store, &name, length(number));
                if number % 5 == 0 {
                    store.flush().await;
                }
                if let Some(bytes) = served(&store, &name).await {
                    wrong += usize::from(bytes != content(&name, length(number)));
                }
            }
            store.flush().await;
            for number in 0..300 {
                if let Some(bytes) = served(&store, &number.to_string()).await {
                    wrong += usize::from(bytes != content(&number.to_string(), length(number)));
                }
            }
            println!("{:?}", store.stats());
            assert_eq!(wrong, 0);
            assert!(store.stats().errors > 0);
            comes_back(&store, "after the failures").await;
        });
    }
    for faults in [
        "inject=pwrite64:error=EIO:when=20..21",
        "inject=pwrite64:error=ENOSPC:when=30..31",
        // as where the kernel makes a disk read-only; mount does not while files are open
        "inject=pwrite64:error=EROFS:when=40..41",
        "inject=fdatasync:error=EIO:when=6..7",
        "inject=pread64,preadv2:error=EIO:when=5..40+3",
    ] {
        with_faults("crash::a_disk_that_fails_in_mid_run_is_tried_again_until_it_works", faults);
    }
}
