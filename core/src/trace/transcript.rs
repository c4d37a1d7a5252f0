//! All that the core decides about one request, as text: the same bytes on every target, or it is not the same decision.

use alloc::{format, string::String};
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::{Origin, Recording};
use crate::{
    Status,
    gateway::{Gateway, Step},
    hex::hex,
    outcome::{Epilogue, Outcome},
    plugin::{Answers, Source},
    store::{Batch, Cells},
    verdict::{Answer, Closing, Forward, Verdict},
};
use alloc::sync::Arc;

/// Makes the decisions of a recording and writes them down.
pub(super) fn of(gateway: &Arc<Gateway>, recording: Recording) -> (String, Epilogue) {
    let Recording { head, facts, row, origin, outcome } = recording;
    let mut text = String::new();
    let verdict = match gateway.begin(head, facts) {
        Step::Settled(verdict) => verdict,
        Step::Asking(exchange) => {
            batch(&mut text, "ask", exchange.batch());
            let (source, cells) = row.unwrap_or((Source::Down, alloc::vec::Vec::new()));
            exchange.decide(Answers { cells: Cells(&cells), source })
        }
    };
    let closing = match verdict {
        Verdict::Reply(reply) => {
            answer(&mut text, "reply", &reply.answer);
            reply.closing
        }
        Verdict::Serve(serve) => {
            answer(&mut text, "serve", &serve.reply.answer);
            if let Some(refresh) = serve.refresh {
                batch(&mut text, "claim", refresh.claim());
                forward(&mut text, "refresh", refresh.forward());
            }
            serve.reply.closing
        }
        Verdict::Report(report) => {
            text.push_str(&format!("report {:?}\n", report.page()));
            // What the shell adds is no decision.
            report.render(&Status::default()).closing
        }
        // Its body may hold a secret, so that a recording has none: commands are not recorded.
        Verdict::Command(task) => {
            text.push_str("command\n");
            task.abandon()
        }
        Verdict::Forward(outgoing) => {
            forward(&mut text, "forward", &outgoing);
            answered(&mut text, *outgoing, origin)
        }
    };
    let epilogue = finish(&mut text, closing, outcome);
    (text, epilogue)
}

fn answered(text: &mut String, outgoing: Forward, origin: Origin) -> Closing {
    match origin {
        Origin::Silent => outgoing.abandon(),
        Origin::Failed { failure, .. } => {
            let reply = outgoing.fail(failure);
            answer(text, "fail", &reply.answer);
            reply.closing
        }
        Origin::Answered { attempt, head, sent_ms, received_ms } => {
            let seal = outgoing.seal(attempt, head, sent_ms, received_ms);
            text.push_str(&format!(
                "seal {} capture={} hold={} idle={}\n",
                seal.head.status.as_u16(),
                seal.capture_response,
                seal.hold_until_written,
                seal.idle_timeout_ms
            ));
            fields(text, &seal.head.headers);
            if let Some(body) = &seal.replace {
                text.push_str(&format!("replace {}\n", hex(&Sha256::digest(body))));
            }
            seal.closing
        }
    }
}

fn finish(text: &mut String, closing: Closing, outcome: Outcome) -> Epilogue {
    let epilogue = closing.finish(outcome);
    for event in &epilogue.events {
        text.push_str(&format!("event {event:?}\n"));
    }
    if let Some(told) = &epilogue.batch {
        batch(text, "tell", told);
    }
    let record = &epilogue.record;
    text.push_str(&format!(
        "record {} {:?} {:?} {:?} {:?} {:?} {}\n",
        record.status.as_u16(),
        record.route.as_ref().map(|route| route.pattern.as_str()),
        record.identity,
        record.refused,
        record.cache,
        record.client,
        record.request_id
    ));
    epilogue
}

fn batch(text: &mut String, what: &str, batch: &Batch) {
    text.push_str(&format!("{what} {}\n", batch.now_ms));
    for op in &batch.ops {
        text.push_str(&format!("  {op:?}\n"));
    }
}

fn answer(text: &mut String, what: &str, answer: &Answer) {
    text.push_str(&format!("{what} {} close={}\n", answer.status.as_u16(), answer.close));
    fields(text, &answer.headers);
    text.push_str(&format!("body {} {}\n", answer.body.len(), hex(&Sha256::digest(&answer.body))));
}

fn forward(text: &mut String, what: &str, forward: &Forward) {
    let attempts: alloc::vec::Vec<String> =
        forward.attempts.iter().map(|attempt| format!("{}={}", attempt.origin.0, attempt.uri)).collect();
    text.push_str(&format!(
        "{what} {attempts:?} reached={} timeout={} idle={} body={:?} max={} retry={} upgrade={} capture={}\n",
        forward.max_reached,
        forward.timeout_ms,
        forward.idle_timeout_ms,
        forward.body,
        forward.max_body_bytes,
        forward.may_retry,
        forward.upgrade,
        forward.capture_request
    ));
    fields(text, &forward.headers);
}

fn fields(text: &mut String, headers: &HeaderMap) {
    for (name, value) in headers {
        text.push_str(&format!("  {name}: {value:?}\n"));
    }
}
