//! Cases of the board: what is told, and what the router then sees.

use super::*;

/// One thing that happens to origin 0.
enum Step {
    /// Time passes, ms.
    Wait(u64),
    Start,
    Finish,
    Saw(Observation),
    /// Ejected, failing, in flight.
    Is(bool, bool, u32),
    /// EWMA in microseconds.
    Takes(u64),
}
use Observation::{Abandoned, Answered, Failed, Healthy};
use Step::{Finish, Is, Saw, Start, Takes, Wait};

fn check(name: &str, steps: &[Step]) {
    let (mut board, mut now_ms, only) = (Board::new(2), 1_000_000, OriginId(0));
    for (index, step) in steps.iter().enumerate() {
        let view = board.views(now_ms)[0];
        match step {
            Wait(ms) => now_ms += ms,
            Start => board.start(only),
            Finish => board.finish(only),
            Saw(observation) => {
                let changed = board.observe(only, *observation, now_ms);
                assert_eq!(changed, board.views(now_ms)[0].failing != view.failing, "{name}: step {index}");
            }
            Is(ejected, failing, in_flight) => {
                let found = (view.ejected, view.failing, view.in_flight);
                assert_eq!(found, (*ejected, *failing, *in_flight), "{name}: step {index}");
            }
            Takes(us) => assert_eq!(view.ewma_us, *us, "{name}: step {index}"),
        }
        assert_eq!(board.views(now_ms)[1], OriginView::default(), "{name}: the other origin");
    }
}

#[test]
fn ejection_and_recovery() {
    let slow = Answered { us: 8_000 };
    check("one failure ejects", &[Is(false, false, 0), Saw(Failed), Is(true, true, 0)]);
    check("a good check brings it back", &[Saw(Failed), Saw(Healthy), Is(false, false, 0)]);
    check("an answer brings it back", &[Saw(Failed), Saw(slow), Is(false, false, 0)]);
    check(
        "after the back-off one request tries",
        &[Saw(Failed), Wait(1_999), Is(true, true, 0), Wait(1), Is(false, true, 0), Start, Is(true, true, 1)],
    );
    check("a good try ends it", &[Saw(Failed), Wait(2_000), Start, Saw(slow), Is(false, false, 1)]);
    check(
        "a bad try doubles the back-off",
        &[
            Saw(Failed),
            Wait(2_000),
            Start,
            Saw(Failed),
            Finish,
            Wait(3_999),
            Is(true, true, 0),
            Wait(1),
            Is(false, true, 0),
        ],
    );
    check(
        "a try that was given up leaves room for the next",
        &[Saw(Failed), Wait(2_000), Start, Saw(Abandoned), Finish, Is(false, true, 0)],
    );
    check(
        "requests that were under way when it failed do not double it",
        &[Start, Start, Saw(Failed), Saw(Failed), Finish, Finish, Wait(2_000), Is(false, true, 0)],
    );
    let many: Vec<Step> = (0..40)
        .flat_map(|_| [Wait(32_000), Saw(Failed)])
        .chain([Wait(31_999), Is(true, true, 0), Wait(1), Is(false, true, 0)])
        .collect();
    check("the back-off is bounded", &many);
    check(
        "recovery forgets",
        &[Saw(Failed), Saw(Failed), Saw(Healthy), Saw(Failed), Wait(2_000), Is(false, true, 0)],
    );
}

#[test]
fn load_and_latency() {
    let took = |us| Saw(Answered { us });
    check(
        "in flight",
        &[
            Start,
            Start,
            Is(false, false, 2),
            Finish,
            Is(false, false, 1),
            Finish,
            Finish,
            Is(false, false, 0),
        ],
    );
    check(
        "up at once, down by an eighth",
        &[Takes(0), took(800), Takes(800), took(1_600), Takes(1_600), took(800), Takes(1_500)],
    );
    check(
        "a peak fades",
        &[took(8_000), Wait(9_999), Takes(8_000), Wait(1), Takes(4_000), Wait(10_000), Takes(2_000)],
    );
    check("an old one is unknown", &[took(u64::MAX), Wait(640_000), Takes(0)]);
    check("too fast to measure is not unknown", &[took(0), Takes(1)]);
    check("failures do not look fast", &[took(800), Saw(Failed), Takes(800)]);
}

#[test]
fn origins_that_do_not_exist_change_nothing() {
    let (mut board, far) = (Board::new(1), OriginId(9));
    board.start(far);
    assert!(!board.observe(far, Failed, 0));
    board.finish(far);
    assert_eq!(board.views(0), [OriginView::default()]);
}
