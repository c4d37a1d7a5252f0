//! A page that changes something: its body, then the store as often as it asks, then its answer.

use std::{cell::RefCell, pin::pin, rc::Rc};

use acip_core::{
    OriginFailure,
    command::{BodyFault, Changed, Progress, Task},
    plugin::{Answers, Source as Row},
    store::Cells,
};
use bytes::Bytes;
use futures_util::future::{Either, select};
use http::Response;

use crate::{
    account::{Account, Stage},
    body::Body,
    forward::Client,
    homes,
    ports::Ports,
    serve::reply,
    upload::Source,
};

pub(crate) async fn command<P: Ports>(
    mut account: Box<Account<P>>,
    task: Task,
    mut client: Client<P>,
) -> Response<Body<P>> {
    // Bodies are not recorded: this one may hold a secret, and nothing can be replayed without it.
    account.recording = None;
    let limit = task.body_limit();
    account.enter(Stage::Reading(Box::new(task)));
    let body = read(&mut account, client.body.take(), limit).await;
    let Stage::Reading(task) = account.leave() else { return Response::new(Body::broken()) };
    let mut progress = match body {
        Ok(body) => task.run(body, account.ports.entropy()),
        Err(fault) => Progress::Done(task.fail(fault), None),
    };
    loop {
        let inquiry = match progress {
            Progress::Done(answer, changed) => {
                changed.inspect(|changed| put_in_force(&account.ports, changed));
                return reply(account, answer, &client.method, client.version);
            }
            Progress::Asking(inquiry) => inquiry,
        };
        account.enter(Stage::Inquiring(Box::new(inquiry)));
        let Stage::Inquiring(inquiry) = account.stage() else { return Response::new(Body::broken()) };
        let asked_us = account.ports.mono_us();
        let row = homes::ask(&account.ports, inquiry.batch()).await;
        let took_us = account.ports.mono_us().saturating_sub(asked_us);
        account.store_us = account.store_us.saturating_add(took_us);
        let Stage::Inquiring(inquiry) = account.leave() else { return Response::new(Body::broken()) };
        progress = match &row {
            Ok(cells) => inquiry.decide(Answers { cells: Cells(cells), source: Row::Store }),
            Err(_) => inquiry.decide(Answers { cells: Cells(&[]), source: Row::Down }),
        };
    }
}

/// Unless it was made of another than this process has seen: then another request has brought a newer one, or will bring
/// it.
fn put_in_force(ports: &impl Ports, changed: &Changed) {
    if ports.seen() == Some(changed.before) {
        let _ = ports.follow(changed.before, changed.text.as_bytes());
    }
}

/// The whole body, if it is no longer than `limit` and comes in time.
async fn read<P: Ports>(
    account: &mut Account<P>,
    body: Option<P::RequestBody>,
    limit: usize,
) -> Result<Bytes, BodyFault> {
    let source = Rc::new(RefCell::new(Source::new(body, limit as u64, 0)));
    account.upload = Some(Rc::clone(&source));
    if source.borrow().is_too_large() {
        return Err(BodyFault::TooLarge);
    }
    match select(pin!(Source::hold(&source, limit)), account.ports.sleep(PATIENCE_MS)).await {
        Either::Left((Ok(Some(all)), _)) => Ok(all),
        Either::Left((Ok(None) | Err(OriginFailure::BodyTooLarge), _)) => Err(BodyFault::TooLarge),
        Either::Left((Err(_), _)) | Either::Right(_) => Err(BodyFault::Broken),
    }
}

/// For a body of some kilobytes.
const PATIENCE_MS: u64 = 10_000;
