//! Where batches go: to the store, to the process's own memory, or apart to both. The operations say which
//! ([`acip_core::store::Home`]); nothing here asks why.

use acip_core::{
    plugin::Source,
    store::{Batch, Cell},
};

use crate::ports::{Ports, StoreDown};

/// The row of a request's one batch.
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) source: Source,
    /// How long the store was waited for, microseconds.
    pub(crate) took_us: u64,
}

/// Asks what a request wants to know before its verdict. Where that is in the process's own memory alone, the store is not asked, unless it
/// is time to look whether the configuration was changed.
pub(crate) async fn row<P: Ports>(ports: &P, batch: &Batch) -> Row {
    let Some(homes) = batch.homes() else { return of_store(ports, batch).await };
    let mut row = Row { cells: homes.row(), source: Source::Store, took_us: 0 };
    let part = &homes.store.batch;
    if part.needs_store() || part.watches() && ports.look_is_due() {
        let answer = of_store(ports, part).await;
        row.took_us = answer.took_us;
        if answer.source == Source::Store && part.moved(&answer.cells).is_some() {
            homes.store.place(answer.cells, &mut row.cells);
            return row;
        }
        // Whoever only looked goes on without having seen anything.
        if part.needs_store() {
            row.source = answer.source;
            homes.store.place(answer.cells, &mut row.cells);
        }
    }
    homes.process.place(ports.remember(&homes.process.batch), &mut row.cells);
    row
}

async fn of_store<P: Ports>(ports: &P, batch: &Batch) -> Row {
    let asked_us = ports.mono_us();
    let (cells, source) = match ports.ask(batch).await {
        Ok(cells) => (cells, Source::Store),
        // What stands in holds no configuration, and must not be taken for a store that lost it.
        Err(_) => match ports.fall_back(&batch.unwatched()) {
            Some(cells) => (cells, Source::Fallback),
            None => (Vec::new(), Source::Down),
        },
    };
    Row { cells, source, took_us: ports.mono_us().saturating_sub(asked_us) }
}

/// Asks what can do without nothing that stands in.
///
/// # Errors
/// The store was to be asked and did not answer; then nothing was done here either.
pub(crate) async fn ask<P: Ports>(ports: &P, batch: &Batch) -> Result<Vec<Cell>, StoreDown> {
    let Some(homes) = batch.homes() else { return ports.ask(batch).await };
    let mut row = homes.row();
    if !homes.store.batch.is_empty() {
        homes.store.place(ports.ask(&homes.store.batch).await?, &mut row);
    }
    homes.process.place(ports.remember(&homes.process.batch), &mut row);
    Ok(row)
}

/// Tells what nobody waits for.
pub(crate) fn write<P: Ports>(ports: &P, batch: Batch) {
    if let Some(batch) = keep(ports, batch) {
        ports.write(batch);
    }
}

/// Tells what is waited for; what stands in for the store is told where that does not answer.
pub(crate) async fn tell<P: Ports>(ports: &P, batch: Batch) {
    let Some(batch) = keep(ports, batch) else { return };
    if ports.ask(&batch).await.is_err() {
        let _ = ports.fall_back(&batch);
    }
}

/// Keeps what is for the process's own memory; gives what is left for the store.
fn keep<P: Ports>(ports: &P, batch: Batch) -> Option<Batch> {
    let Some(homes) = batch.homes() else { return Some(batch) };
    let _ = ports.remember(&homes.process.batch);
    Some(homes.store.batch).filter(|rest| !rest.is_empty())
}
