//! Moments as text: ISO 8601, as RFC 3339 and Python write it, and HTTP dates (RFC 9110 §5.6.7). No clock, and of time zones
//! only the offsets that a text names.
//!
//! Written out here because a calendar library, with errors that print themselves, is a twentieth of an edge build; the
//! tests hold it against one.

use alloc::{format, string::String};

/// Unix ms as ISO 8601 in UTC; none past the year 9999.
pub fn iso8601(unix_ms: u64) -> Option<String> {
    let Moment { year, month, day, hour, minute, second, .. } = Moment::of(unix_ms)?;
    let date = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    Some(match unix_ms % 1000 {
        0 => date + "Z",
        ms => format!("{date}.{}Z", format!("{ms:03}").trim_end_matches('0')),
    })
}

/// Reads ISO 8601: unix ms, and whether the text says from which offset; where it does not, it is taken for UTC.
pub(crate) fn read_iso8601(text: &str) -> Option<(i64, bool)> {
    let mut rest = Rest(text.as_bytes());
    let year = rest.number(4)?;
    rest.one_of(b"-")?;
    let month = rest.number(2)?;
    rest.one_of(b"-")?;
    let mut seconds = days(year, month, rest.number(2)?)? * DAY_S;
    let (mut ms, mut offset) = (0, None);
    if rest.one_of(b"Tt ").is_some() {
        seconds += rest.clock()?;
        if rest.one_of(b".,").is_some() {
            ms = rest.thousandths()?;
        }
        offset = match rest.one_of(b"Zz+-") {
            None => None,
            Some(b'Z' | b'z') => Some(0),
            Some(sign) => {
                let hours = rest.number(2)?;
                let _ = rest.one_of(b":");
                let minutes = if rest.0.is_empty() { 0 } else { rest.number(2)? };
                let offset = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
                Some(if sign == b'-' { -offset } else { offset })
            }
        };
    }
    rest.end()?;
    Some(((seconds - offset.unwrap_or(0)) * 1000 + ms, offset.is_some()))
}

/// Unix ms as an HTTP date, in the one form that is written; none past the year 9999.
pub(crate) fn http_date(unix_ms: u64) -> Option<String> {
    let Moment { days, year, month, day, hour, minute, second } = Moment::of(unix_ms)?;
    let weekday = weekday(days)?.get(..3)?;
    let month = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    Some(format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"))
}

/// Reads an HTTP date as unix seconds; none if it is none of the three forms, or names the wrong day of the week.
pub(crate) fn read_http_date(text: &str) -> Option<i64> {
    let (named, rest) = text.split_at_checked(text.find([',', ' '])?)?;
    let mut rest = Rest(rest.as_bytes());
    let in_full = rest.0.len() == ", 06-Nov-94 08:49:37 GMT".len();
    let (year, month, day, clock);
    if rest.one_of(b",").is_some() {
        rest.one_of(b" ")?;
        let between: &[u8] = if in_full { b"-" } else { b" " };
        day = rest.number(2)?;
        rest.one_of(between)?;
        month = rest.month()?;
        rest.one_of(between)?;
        year = match rest.number(if in_full { 2 } else { 4 })? {
            year @ 0..69 if in_full => 2000 + year,
            year if in_full => 1900 + year,
            year => year,
        };
        rest.one_of(b" ")?;
        clock = rest.clock()?;
        rest.0 = rest.0.strip_prefix(b" GMT")?;
    } else {
        rest.one_of(b" ")?;
        month = rest.month()?;
        rest.one_of(b" ")?;
        // A day of one digit has a blank in front.
        day = if rest.one_of(b" ").is_some() { rest.number(1)? } else { rest.number(2)? };
        rest.one_of(b" ")?;
        clock = rest.clock()?;
        rest.one_of(b" ")?;
        year = rest.number(4)?;
    }
    rest.end()?;
    let days = days(year, month, day)?;
    let weekday = weekday(days)?;
    let weekday = if in_full { weekday } else { weekday.get(..3)? };
    named.eq_ignore_ascii_case(weekday).then_some(days * DAY_S + clock)
}

/// A moment in parts.
struct Moment {
    /// Since 1970-01-01.
    days: i64,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Moment {
    fn of(unix_ms: u64) -> Option<Self> {
        let seconds = i64::try_from(unix_ms / 1000).ok().filter(|seconds| *seconds < YEAR_10000_S)?;
        let (days, in_day) = (seconds / DAY_S, seconds % DAY_S);
        // Years that begin in March have their leap day at their end, and 400 of them are always as long.
        let from_0000 = days + DAYS_BEFORE_1970;
        let (era, in_era) = (from_0000 / ERA_DAYS, from_0000 % ERA_DAYS);
        let of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
        let in_year = in_era - (365 * of_era + of_era / 4 - of_era / 100);
        let from_march = (5 * in_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Some(Self {
            days,
            year: era * 400 + of_era + i64::from(month < 3),
            month,
            day: in_year - (153 * from_march + 2) / 5 + 1,
            hour: in_day / 3600,
            minute: in_day / 60 % 60,
            second: in_day % 60,
        })
    }
}

/// Days since 1970-01-01; none where the calendar has no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=last).contains(&day).then_some(())?;
    let year = year - i64::from(month < 3);
    let from_march = (month + 9) % 12;
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let in_era = of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5 + day - 1;
    Some(era * ERA_DAYS + in_era - DAYS_BEFORE_1970)
}

fn weekday(days: i64) -> Option<&'static str> {
    // The first of January 1970 was a Thursday.
    WEEKDAYS.get(usize::try_from((days + 3).rem_euclid(7)).ok()?).copied()
}

/// What is left of a text.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (text, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        text.iter().try_fold(0, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + i64::from(byte.wrapping_sub(b'0')))
        })
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn month(&mut self) -> Option<i64> {
        let (name, rest) = self.0.split_at_checked(3)?;
        self.0 = rest;
        let at = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
        i64::try_from(at + 1).ok()
    }

    /// `08:49:37` or `08:49`, in seconds. A leap second counts as the one before it.
    fn clock(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        let second = if self.one_of(b":").is_some() { self.number(2)? } else { 0 };
        (hour < 24 && minute < 60 && second < 61).then_some(hour * 3600 + minute * 60 + second.min(59))
    }

    /// Digits behind a point; what is finer than a thousandth does not count.
    fn thousandths(&mut self) -> Option<i64> {
        let (mut ms, mut weight) = (self.number(1)? * 100, 10);
        while self.0.first().is_some_and(u8::is_ascii_digit) {
            ms += self.number(1)? * weight;
            weight /= 10;
        }
        Some(ms)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

const DAY_S: i64 = 86_400;
/// 400 years.
const ERA_DAYS: i64 = 146_097;
/// From the first of March of the year 0.
const DAYS_BEFORE_1970: i64 = 719_468;
const YEAR_10000_S: i64 = 253_402_300_800;
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests;
