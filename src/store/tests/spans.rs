//! Spans: where verified bytes of large bodies stand in files.

use std::{fs, os::unix::fs::FileExt};

use super::support::*;
use crate::store::{DiskBody, Store, StoredBody};

const LENGTH: usize = 700_000;

async fn large(store: &Store, name: &str) -> DiskBody {
    let found = found(store, name).await.expect("a stored response");
    let StoredBody::Disk(body) = &found.body else { panic!("it has no file of its own") };
    body.clone()
}

/// The bytes of a span that the file has.
fn bytes(body: &DiskBody, from: u64, length: u64) -> Option<Vec<u8>> {
    let span = body.span(from, length)?;
    let mut bytes = vec![0; span.length as usize];
    let read = span.file.read_at(&mut bytes, span.offset).expect("a file");
    bytes.truncate(read);
    Some(bytes)
}

#[test]
fn there_is_a_span_where_the_pieces_are_verified_and_the_generation_remembers_which() {
    run(async {
        let folder = folder();
        // no memory tier: each lookup makes a body anew
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        put_large(&store, "a", LENGTH).await;
        store.flush().await;
        store.close().await;
        for round in 0..2 {
            let store = open(options.clone()).await;
            let expected = content("a", LENGTH).0;
            // a lookup verifies the first piece
            let body = large(&store, "a").await;
            assert_eq!(bytes(&body, 100, 1_000).as_deref(), Some(&expected[100..1_100]), "{round}");
            assert!(body.span(0, LENGTH as u64).is_none() && body.span(600_000, 1).is_none());
            body.read(600_000, 10).await.expect("bytes");
            let later = large(&store, "a").await;
            assert_eq!(bytes(&later, 600_000, 1_000).as_deref(), Some(&expected[600_000..601_000]));
            assert!(later.span(0, LENGTH as u64).is_none());
            assert_eq!(whole(&StoredBody::Disk(later)).await.expect("bytes"), content("a", LENGTH));
            let last = large(&store, "a").await;
            assert_eq!(bytes(&last, 0, u64::MAX).as_deref(), Some(&*expected));
            assert!(last.span(LENGTH as u64, 1).is_none() && last.span(0, 0).is_none());
            store.close().await;
        }
    });
}

#[test]
fn a_body_that_grows_has_a_span_of_what_was_written_and_a_whole_one_of_what_was_verified() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        let expected = content("a", LENGTH).0;
        let mut writer = store.begin_body(None).expect("a writer");
        let body = writer.reader();
        assert!(body.span(0, u64::MAX).is_none(), "there is no byte");
        writer.append(vec![expected.slice(..300_000)]).await.expect("appended");
        assert_eq!(bytes(&body, 100, u64::MAX).as_deref(), Some(&expected[100..300_000]));
        assert!(body.span(300_000, 1).is_none());
        writer.append(vec![expected.slice(300_000..)]).await.expect("appended");
        writer.whole().finish(drop).await.expect("finished");
        assert!(body.span(0, 1).is_none(), "nobody has read it");
        body.read(0, 1).await.expect("bytes");
        assert_eq!(bytes(&body, 0, 1).as_deref(), Some(&expected[..1]));
        store.close().await;
    });
}

#[test]
fn what_was_verified_before_its_record_was_written_is_known_after() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        put_large(&store, "a", LENGTH).await;
        let body = large(&store, "a").await;
        assert!(body.span(0, 1).is_none(), "nobody has read it");
        whole(&StoredBody::Disk(body)).await.expect("bytes");
        store.flush().await;
        assert!(large(&store, "a").await.span(0, LENGTH as u64).is_some());
        // another body under the same name is verified anew
        put_large(&store, "a", LENGTH + 1).await;
        store.flush().await;
        assert!(large(&store, "a").await.span(0, LENGTH as u64).is_none());
        store.close().await;
    });
}

#[test]
fn a_file_that_is_cut_under_a_span_is_seen_and_its_response_is_forgotten() {
    run(async {
        let folder = folder();
        for by_reader in [true, false] {
            let options = options(folder.path());
            let store = open(options.clone()).await;
            put_large(&store, "a", LENGTH).await;
            store.flush().await;
            let body = large(&store, "a").await;
            whole(&StoredBody::Disk(body.clone())).await.expect("bytes");
            let files = body_files(&options.folder);
            fs::File::options().write(true).open(&files[0]).expect("a file").set_len(300_000).expect("it is cut");
            let rest = bytes(&body, 0, u64::MAX).expect("a span");
            assert_eq!(rest.len(), 300_000);
            if by_reader {
                assert!(body.read(400_000, 10).await.is_err(), "never other bytes");
            } else {
                body.is_cut();
            }
            store.flush().await;
            assert!(found(&store, "a").await.is_none());
            assert_eq!(store.stats().damaged, 1);
            store.close().await;
        }
    });
}
