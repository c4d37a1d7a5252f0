//! Where batches go whose operations belong to the store, to the process, or to both.

use std::pin::pin;

use acip_core::{
    plugin::Source,
    store::{Ask, Batch, Cell, Home, Op},
};
use bytes::Bytes;

use super::scripted::{Scripted, poll};
use crate::homes::{self, Row};

fn ready<T>(future: impl Future<Output = T>) -> T {
    match poll(&mut pin!(future)) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

fn get(key: &str) -> Op {
    Op::Get { key: key.into() }
}

fn set(key: &str) -> Op {
    Op::Set { key: key.into(), value: Bytes::new(), ttl_ms: None, only_new: false }
}

fn batch(ops: Vec<Op>) -> Batch {
    Batch { now_ms: 1, ops }
}

fn local(op: Op) -> Op {
    Home::Process.of(op)
}

/// Operations that the store was asked, and that the process kept, of all batches.
fn told(ports: &Scripted) -> (Vec<Op>, Vec<Op>) {
    let ops = |batches: &std::cell::RefCell<Vec<Batch>>| {
        batches.borrow_mut().drain(..).flat_map(|batch| batch.ops).collect()
    };
    (ops(&ports.0.asked), ops(&ports.0.kept))
}

#[test]
fn the_store_is_asked_only_what_is_its_own() {
    let watch = || {
        let mut ask = Ask::new(1);
        let _ = ask.watch("config".into(), 3);
        ask.into_batch().ops.remove(0)
    };
    let (nil, here, text) = (Cell::Nil, Cell::Int(7), Cell::Bytes(Bytes::from_static(b"new")));
    let s = |ops: &[Op]| ops.to_vec();
    struct Case {
        what: &'static str,
        ops: Vec<Op>,
        due: bool,
        changed: bool,
        down: bool,
        row: Vec<Cell>,
        source: Source,
        asked: Vec<Op>,
        kept: Vec<Op>,
    }
    let case = |what, ops: &[Op], row: &[&Cell], asked: &[Op], kept: &[Op]| Case {
        what,
        ops: s(ops),
        due: false,
        changed: false,
        down: false,
        row: row.iter().map(|cell| (*cell).clone()).collect(),
        source: Source::Store,
        asked: s(asked),
        kept: s(kept),
    };
    let cases = [
        case("all of it", &[watch(), get("a")], &[&nil, &nil], &[watch(), get("a")], &[]),
        case(
            "some of it",
            &[watch(), get("a"), local(get("c")), get("b")],
            &[&nil, &nil, &here, &nil],
            &[watch(), get("a"), get("b")],
            &[get("c")],
        ),
        case("nothing but to look", &[watch(), local(get("c"))], &[&nil, &here], &[], &[get("c")]),
        Case {
            due: true,
            ..case("a look that is due", &[watch(), local(get("c"))], &[&nil, &here], &[watch()], &[get("c")])
        },
        Case {
            due: true,
            changed: true,
            ..case(
                "a change: nothing else happens",
                &[watch(), local(set("c")), local(get("c"))],
                &[&text, &nil],
                &[watch()],
                &[],
            )
        },
        Case {
            changed: true,
            ..case(
                "a change, with more to ask",
                &[watch(), get("a"), local(get("c"))],
                &[&text, &nil, &nil],
                &[watch(), get("a")],
                &[],
            )
        },
        Case {
            due: true,
            down: true,
            ..case("a look in vain", &[watch(), local(get("c"))], &[&nil, &here], &[watch()], &[get("c")])
        },
        Case {
            down: true,
            source: Source::Fallback,
            ..case(
                "a store that is down",
                &[watch(), get("a"), local(get("c"))],
                &[&nil, &nil, &here],
                &[watch(), get("a")],
                &[get("c")],
            )
        },
    ];
    for case in cases {
        let ports = Scripted::new(0, Vec::new());
        ports.0.look_is_due.set(case.due);
        ports.0.store_down.set(case.down);
        *ports.0.changed.borrow_mut() = case.changed.then(|| Bytes::from_static(b"new"));
        let Row { cells, source, .. } = ready(homes::row(&ports, &batch(case.ops)));
        assert_eq!((cells, source), (case.row, case.source), "{}", case.what);
        assert_eq!(told(&ports), (case.asked, case.kept), "{}", case.what);
    }
}

#[test]
fn what_is_told_goes_where_it_belongs() {
    let ports = Scripted::new(0, Vec::new());
    homes::write(&ports, batch(vec![local(set("c"))]));
    assert_eq!(told(&ports), (vec![], vec![set("c")]), "at once");
    ports.run_tasks();
    assert_eq!(told(&ports), (vec![], vec![]));
    homes::write(&ports, batch(vec![set("a"), local(set("c"))]));
    assert_eq!(told(&ports), (vec![], vec![set("c")]));
    ports.run_tasks();
    assert_eq!(told(&ports), (vec![set("a")], vec![]));
    ready(homes::tell(&ports, batch(vec![local(set("c")), set("a")])));
    assert_eq!(told(&ports), (vec![set("a")], vec![set("c")]));

    // What is asked besides: not at all where the store does not answer.
    assert_eq!(ready(homes::ask(&ports, &batch(vec![local(get("c"))]))), Ok(vec![Cell::Int(7)]));
    assert_eq!(told(&ports), (vec![], vec![get("c")]));
    ports.0.store_down.set(true);
    assert_eq!(ready(homes::ask(&ports, &batch(vec![local(get("c"))]))), Ok(vec![Cell::Int(7)]));
    assert!(ready(homes::ask(&ports, &batch(vec![local(get("c")), get("a")]))).is_err());
    assert_eq!(told(&ports), (vec![get("a")], vec![get("c")]));
}
