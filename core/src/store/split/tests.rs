use alloc::{vec, vec::Vec};

use super::{super::Ask, slot};
use crate::{
    config::Algorithm,
    store::{Cell, Guard, LimitSpec, Memory},
};

fn limit(key: &str) -> LimitSpec {
    LimitSpec { key: key.into(), algorithm: Algorithm::FixedWindow, limit: 5, window_ms: 1000, cost: 1 }
}

#[test]
fn slots_are_those_of_the_cluster_specification() {
    let check = |key, expected| assert_eq!(slot(key), expected, "{key}");
    check("123456789", 0x31c3);
    check("foo", 12182);
    check("a{foo}b", 12182);
    check("{foo}{bar}", 12182);
    check("{}foo", slot("{}foo"));
    assert_ne!(slot("{}foo"), slot("foo"));
    assert_ne!(slot("foo{{bar}}zap"), slot("bar"));
    assert_eq!(slot("foo{{bar}}zap"), slot("{bar"));
}

#[test]
fn a_batch_answers_the_same_whole_and_in_parts() {
    let check = |known: bool| {
        let mut store = Memory::default();
        let mut parted = Memory::default();
        if known {
            let set = super::Op::SetHash {
                key: "k:{a}".into(),
                fields: vec![("id".into(), "1".into())],
                ttl_ms: None,
                only_new: false,
            };
            for store in [&mut store, &mut parted] {
                store.apply(&super::Batch { now_ms: 1, ops: vec![set.clone()] });
            }
        }
        let mut ask = Ask::new(5000);
        let record = ask.record("k:{a}".into());
        ask.get("other".into());
        ask.spend(limit("ip"), Guard::UnlessLive(record.op), "m".into(), true);
        ask.spend(limit("x{a}"), Guard::IfLive(record.op), "m".into(), true);
        ask.spend(limit("route"), Guard::IfLive(record.op), "m".into(), true);
        ask.spend_record(record, "l:{a}:".into(), Some(limit("l:{a}:default")), "m".into(), 1);
        let batch = ask.into_batch();
        let split = batch.split_by_slot();
        let mut row = split.row();
        assert_eq!(split.first.len(), 2);
        for group in &split.first {
            group.part.place(parted.apply(&group.part.batch), &mut row);
        }
        let second = split.second(&row);
        assert_eq!(
            second.iter().map(|group| group.slot).collect::<Vec<_>>(),
            [slot(if known { "route" } else { "ip" })]
        );
        for group in second {
            group.part.place(parted.apply(&group.part.batch), &mut row);
        }
        assert_eq!(row, store.apply(&batch), "{known}");
        assert_eq!(row[0], Cell::Int(known.into()));
    };
    check(true);
    check(false);
}
