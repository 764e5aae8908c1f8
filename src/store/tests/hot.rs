//! What is asked for all the time, beside what is asked for once.

use super::support::*;
use crate::store::{Options, StoredBody};

/// A tenth of the disk limit is asked for in a loop; between its rounds comes a body that a fifth of the limit takes.
#[test]
fn large_bodies_that_are_asked_for_once_leave_what_is_asked_for_all_the_time() {
    const HOT: usize = 48;
    run(async {
        let folder = folder();
        let store = open(Options { disk: 64 * MIB, ..disk_only(folder.path()) }).await;
        let (mut missed, mut by_round) = (0, Vec::new());
        for round in 0..25 {
            let mut of_round = 0;
            for number in 0..HOT {
                let name = format!("hot {number}");
                if served(&store, &name).await.is_none() {
                    put(&store, &name, 100_000);
                    of_round += 1;
                }
            }
            by_round.push(of_round);
            missed += if round == 0 { 0 } else { of_round };
            let name = format!("once {round}");
            let mut large = response(&name, 0);
            let length = 12_000_000;
            let bytes = content(&name, length).0;
            let mut writer = store.begin_body(Some(length as u64)).expect("room for it");
            for from in (0..length).step_by(500_000) {
                writer.append(vec![bytes.slice(from..length.min(from + 500_000))]).await.expect("room for it");
            }
            large.body = StoredBody::Disk(writer.whole().finish(|body| body).await.expect("room for it"));
            store.put(key(&name), large, store.epoch());
        }
        println!("missed by round: {by_round:?}");
        assert!(missed < HOT / 2, "{by_round:?}");
    });
}
