//! One sliding log: admissions by time, each with its name and its units.

use alloc::{collections::BTreeMap, sync::Arc};

/// Admissions by time.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// By time and order of arrival.
    order: BTreeMap<(u64, u64), (Arc<str>, u64)>,
    places: BTreeMap<Arc<str>, (u64, u64)>,
    units: u64,
    arrivals: u64,
    bytes: usize,
}

impl Log {
    /// Time of the latest admission; 0: none.
    pub(super) fn last(&self) -> u64 {
        self.order.last_key_value().map_or(0, |((time, _), _)| *time)
    }

    /// Units admitted after `now - window`.
    pub(super) fn used(&self, now: u64, window: u64) -> u64 {
        let over = self.order.iter().take_while(|((time, _), _)| time + window <= now);
        self.units - over.map(|(_, (_, units))| units).sum::<u64>()
    }

    /// Time of the n-th oldest (from 1) unit after `now - window`.
    pub(super) fn nth_oldest(&self, nth: u64, now: u64, window: u64) -> Option<u64> {
        let mut seen = 0;
        let within = self.order.iter().skip_while(|((time, _), _)| time + window <= now);
        let mut until = within.skip_while(|(_, (_, units))| {
            seen += units;
            seen < nth
        });
        until.next().map(|((time, _), _)| *time)
    }

    /// Drops what lies outside the window.
    pub(super) fn prune(&mut self, now: u64, window: u64) {
        while let Some((place, (member, _))) = self.order.first_key_value() {
            if place.0 + window > now {
                break;
            }
            let member = member.clone();
            self.remove(&member);
        }
    }

    /// Adds an admission; one of the same name is moved to the new time.
    pub(super) fn add(&mut self, time: u64, member: &str, units: u64) {
        let units = self.remove(member).max(units);
        let member: Arc<str> = member.into();
        let place = (time, self.arrivals);
        self.arrivals += 1;
        self.units += units;
        self.bytes += member.len() + ENTRY_BYTES;
        self.places.insert(member.clone(), place);
        self.order.insert(place, (member, units));
    }

    /// Removes an admission; answers with its units.
    pub(super) fn remove(&mut self, member: &str) -> u64 {
        let Some(place) = self.places.remove(member) else {
            return 0;
        };
        let units = self.order.remove(&place).map_or(0, |(_, units)| units);
        self.units -= units;
        self.bytes = self.bytes.saturating_sub(member.len() + ENTRY_BYTES);
        units
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What the maps take per admission, roughly.
const ENTRY_BYTES: usize = 112;
