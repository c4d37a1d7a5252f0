//! How far a long step is: a bar on a terminal, nothing elsewhere (the report at its end is a line of its own).

use std::io::{IsTerminal as _, Write as _};

/// One step.
pub(super) struct Progress {
    what: &'static str,
    done: u64,
    total: u64,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        let progress = Self { what, done: 0, total, is_shown: std::io::stderr().is_terminal() };
        progress.show();
        progress
    }

    pub(super) fn add(&mut self, done: usize) {
        self.done = self.done.saturating_add(u64::try_from(done).unwrap_or_default());
        self.show();
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }

    fn show(&self) {
        if self.is_shown {
            eprint!("\r{}\x1b[K", line(self.what, self.done, self.total));
            // A terminal that is gone is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    }
}

/// Rows may be added while the step goes on: the total is what it was at its start.
fn line(what: &str, done: u64, total: u64) -> String {
    let filled = done.saturating_mul(WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let cells = |mark: &str, many: u64| mark.repeat(usize::try_from(many).unwrap_or_default());
    format!("{what} [{}{}] {done}/{total}", cells("#", filled), cells(" ", WIDTH.saturating_sub(filled)))
}

const WIDTH: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills() {
        for (done, total, marks) in [(0, 10, 0), (5, 10, 15), (10, 10, 30), (12, 10, 30), (0, 0, 30)] {
            let line = line("workers", done, total);
            assert_eq!(line.matches('#').count(), marks, "{line}");
            assert!(line.ends_with(&format!("{done}/{total}")), "{line}");
        }
    }
}
