//! A part of a batch that is taken apart, and how its row goes back into the whole one.

use alloc::vec::Vec;

use super::{Batch, Cell, Guard, Op};

/// Some operations of a batch, as a batch of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What to ask there.
    pub batch: Batch,
    /// Where its cells belong in the whole row: first cell and number of cells, in the order of the part's row.
    pub cells: Vec<(usize, usize)>,
}

impl Part {
    /// Lays this part's row into the whole one.
    pub fn place(&self, cells: Vec<Cell>, row: &mut [Cell]) {
        let mut cells = cells.into_iter();
        for (start, width) in &self.cells {
            for (place, cell) in row.iter_mut().skip(*start).take(*width).zip(cells.by_ref().take(*width)) {
                *place = cell;
            }
        }
    }
}

/// Collects a part.
#[derive(Default)]
pub(super) struct Building {
    ops: Vec<Op>,
    cells: Vec<(usize, usize)>,
}

impl Building {
    /// Adds an operation whose cells begin at `cell` of the whole row; gives its place in the part.
    pub(super) fn push(&mut self, op: Op, cell: usize) -> usize {
        self.cells.push((cell, op.width()));
        self.ops.push(op);
        self.ops.len() - 1
    }

    pub(super) fn done(self, now_ms: u64) -> Part {
        Part { batch: Batch { now_ms, ops: self.ops }, cells: self.cells }
    }
}

impl Op {
    /// The same where each operation it refers to has another place.
    pub(super) fn referring(&self, place: impl Fn(usize) -> usize) -> Self {
        let mut op = self.clone();
        match &mut op {
            Self::Spend { guard, .. } => {
                if let Some(to) = guard.op_mut() {
                    *to = place(*to);
                }
            }
            Self::SpendRecord { record, .. } => *record = place(*record),
            _ => {}
        }
        op
    }
}

impl Guard {
    /// The operation it refers to.
    pub(super) fn op_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Always => None,
            Self::IfLive(op)
            | Self::UnlessLive(op)
            | Self::IfWorkerMatches(op)
            | Self::IfWorkerDiffers(op)
            | Self::IfWorkerUnknown(op) => Some(op),
        }
    }
}
