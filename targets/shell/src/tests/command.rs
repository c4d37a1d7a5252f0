//! Commands: the body whole, the store as often as asked, one account whatever happens.

use acip_core::{
    Flow,
    command::{Act, Command},
    plugin::{Plan, Plugin},
    store::{Ask, Batch, Op},
};

use super::*;

/// Answers with what it was sent; a path with `write` tells the store first, twice, one with `chance` says whether there is
/// any.
pub(super) struct Commander;

impl Plugin for Commander {
    fn name(&self) -> &'static str {
        "commander-plugin"
    }
    fn priority(&self) -> i32 {
        10
    }
    fn plan(&self, flow: &mut Flow, _: &mut Ask) -> Plan {
        let path = flow.request.head.uri.path();
        if path.contains("command") {
            let (writes, chance) = (path.contains("write"), path.contains("chance"));
            let run = move |_: &Arc<Gateway>, flow: &mut Flow, body: Bytes| {
                if writes {
                    return tell(Box::new(move |_, _, _| tell(answer(body))));
                }
                said(if chance { flow.chance.is_some().to_string().into() } else { body })
            };
            flow.command = Some(Command { body_limit: 8, run: Box::new(run) });
        }
        Plan::Pass
    }
}

fn tell(next: acip_core::command::Next) -> Act {
    let op = Op::Set { key: "k".into(), value: Bytes::new(), ttl_ms: None, only_new: false };
    Act::Ask(Batch { now_ms: 0, ops: vec![op] }, next)
}

fn answer(body: Bytes) -> acip_core::command::Next {
    Box::new(move |_, _, _| said(body))
}

fn said(body: Bytes) -> Act {
    Act::Answer(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body, close: false })
}

#[test]
fn the_body_comes_whole_and_the_answer_waits_for_the_store() {
    for (path, chunks, status, trips) in [
        ("/command", &["ab", "cd"][..], 200, 0),
        ("/command", &[], 200, 0),
        ("/command/write", &["ab", "cd"], 200, 2),
        ("/command/write", &["abcd", "efgh"], 200, 2),
        ("/command/write", &["abcd", "efghi"], 413, 0),
    ] {
        let ports = Scripted::new(2, vec![]);
        let mut served = begin(&ports, "POST", path, chunks);
        let response = head(&mut served);
        assert_eq!(response.status().as_u16(), status, "{path} {chunks:?}");
        let said = rest(&mut response.into_body());
        assert!(status != 200 || said == chunks.concat(), "{path} {chunks:?}: {said}");
        assert_eq!(ports.0.asked.borrow().len(), trips, "{path} {chunks:?}");
        assert_eq!(end(&ports), (status, End::Complete), "{path} {chunks:?}");
    }
}

#[test]
fn a_change_that_the_store_did_not_take_is_no_success() {
    let ports = Scripted::new(2, vec![]);
    ports.0.store_down.set(true);
    let response = head(&mut begin(&ports, "POST", "/command/write", &["ab"]));
    assert_eq!(response.status().as_u16(), 503);
    assert!(rest(&mut response.into_body()).contains("STORE_UNAVAILABLE"));
    assert_eq!(ports.0.asked.borrow().len(), 1, "what failed is not followed by more");
}

#[test]
fn a_client_that_leaves_while_the_store_is_asked_is_accounted_for() {
    let ports = Scripted::new(2, vec![]);
    ports.0.store_hangs.set(true);
    let mut served = begin(&ports, "POST", "/command/write", &["ab"]);
    assert!(poll(&mut served).is_pending());
    drop(served);
    assert_eq!(end(&ports), (499, End::ClientLeft));
}

#[test]
fn where_there_is_no_chance_a_command_knows_and_requests_are_told_apart_all_the_same() {
    for no_chance in [false, true] {
        let fine = || Script::Answer(vec![]);
        let ports = Scripted::new(2, vec![fine(), fine()]);
        ports.0.no_chance.set(no_chance);
        let response = head(&mut begin(&ports, "POST", "/command/chance", &[]));
        assert_eq!(rest(&mut response.into_body()), (!no_chance).to_string());
        for _ in 0..2 {
            ports.advance_ms(1);
            drop(head(&mut begin(&ports, "GET", "/", &[])));
        }
        let records = ports.0.records.borrow();
        let apart =
            records[1].request_id != records[2].request_id && records[1].trace_id != records[2].trace_id;
        assert!(apart || !no_chance);
    }
}
