//! What an instance counts of its store.

use std::cell::Cell;

use acip_core::{
    report::MetricsFormat,
    store::{self, Batch, Op, StoreError},
};

use super::*;
use crate::store::Store;

/// A store that answers at the second look, so that several can ask at a time.
#[derive(Default)]
struct Slow(Cell<u64>);

impl Store for Slow {
    fn mode(&self) -> &'static str {
        "slow"
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<store::Cell>, StoreError> {
        self.0.set(self.0.get() + 1);
        let mut looks = 0;
        std::future::poll_fn(|_| {
            looks += 1;
            if looks > 1 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        Ok(vec![store::Cell::Nil; batch.width()])
    }

    fn round_trips(&self) -> u64 {
        self.0.get()
    }
}

#[test]
fn a_command_is_counted_once_however_many_ask_at_a_time() {
    let moment = Moment { now_ms: 0, mono_us: 0 };
    let variables = [("REDIS_URL".to_owned(), "redis://a".to_owned())];
    let instance = Instance::open("lambda", variables, moment).instance;
    let (ports, slow) = (Scripted::new(1, vec![]), Slow::default());
    let batch = Batch { now_ms: 0, ops: vec![Op::Get { key: "k".into() }] };
    let ask = || instance.ask(&ports, &slow, &batch, |_| ());
    let (mut one, mut two) = (pin!(ask()), pin!(ask()));
    assert!(poll(&mut one).is_pending() && poll(&mut two).is_pending());
    assert!(poll(&mut one).is_ready() && poll(&mut two).is_ready());
    let page = instance.status(0, 0, Some(MetricsFormat::Prometheus)).metrics;
    assert!(page.contains("gateway_store_round_trips_total 2\n"), "{page}");
}
