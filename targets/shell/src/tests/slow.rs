//! Clients that send slowly, or no more: they are given time as long as they move, and are to blame themselves.

use acip_core::config::Secret;

use super::{scripted::PAUSE, *};

/// Lets the time for a head pass as often as said, and serves on each time.
fn wait(ports: &Scripted, served: &mut Served, times: usize) {
    for time in 0..times {
        assert!(poll(served).is_pending(), "over after {time} of {times}");
        ports.advance_ms(gateway().document().upstream.timeout_ms);
    }
}

#[test]
fn who_is_waited_for_is_to_blame() {
    // What the client sends, what the origin does, how often the time is given; then the status, and whether the origin is
    // blamed.
    for (chunks, script, times, status, blamed) in [
        (&["he", PAUSE, PAUSE, PAUSE][..], Script::Answer(vec![]), 2, 400, false),
        (&[PAUSE, PAUSE], Script::Answer(vec![]), 1, 400, false),
        (&["he", PAUSE, "llo", PAUSE, PAUSE, PAUSE], Script::Answer(vec![]), 2, 400, false),
        (&["he", PAUSE, "llo", PAUSE, "!"], Script::Answer(vec![]), 2, 200, false),
        (&["he", "llo"], Script::Hang, 1, 504, true),
        (&["he", "llo"], Script::TakeAndHang, 2, 504, true),
        (&["he"], Script::TakeAndHang, 1, 504, true),
    ] {
        let ports = Scripted::new(2, vec![script]);
        let mut served = begin(&ports, "POST", "/", chunks);
        wait(&ports, &mut served, times);
        let mut response = head(&mut served);
        rest(response.body_mut());
        drop(response);
        assert_eq!(end(&ports).0, status, "{chunks:?}");
        let failing = ports.0.board.borrow().views(0).iter().any(|view| view.failing);
        assert_eq!(failing, blamed, "{chunks:?}");
        assert_eq!(ports.0.records.borrow()[0].outcome.failed.len(), usize::from(blamed), "{chunks:?}");
    }
}

/// That a first attempt waited for the body says nothing of the second, which may never have asked for it.
#[test]
fn a_client_that_was_slow_once_is_not_to_blame_for_another_origin() {
    let ports = Scripted::new(2, vec![Script::LookAndFail, Script::Hang]);
    let mut served = begin(&ports, "PUT", "/", &[PAUSE, "he", "llo"]);
    wait(&ports, &mut served, 1);
    assert_eq!(head(&mut served).status(), 504);
}

#[test]
fn a_body_that_is_held_to_be_signed_may_come_slowly_but_must_come() {
    for (chunks, times, status) in
        [(&["a", PAUSE, "b", PAUSE, "c", PAUSE, "d"][..], 3, 200), (&["a", PAUSE, PAUSE, PAUSE], 2, 400)]
    {
        let signing = gateway_with(|document| {
            document.upstream.signing_secret = Some(Secret::new("s3cret"));
        });
        let ports = Scripted::new(2, vec![Script::Answer(vec![])]);
        let mut served = begin_with(signing, &ports, "POST", "/", chunks);
        wait(&ports, &mut served, times);
        let mut response = head(&mut served);
        assert_eq!(response.status(), status, "{chunks:?}");
        rest(response.body_mut());
        drop(response);
        assert!(ports.0.records.borrow()[0].outcome.failed.is_empty());
        let uploads = ports.0.uploads.borrow();
        assert_eq!(uploads.first().map(String::as_str), (status == 200).then_some("abcd"));
    }
}
