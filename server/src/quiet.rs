//! Lines of log that come in great number: of those that strangers can cause the first few of a second are written
//! and the others are counted; of an outage, its begin and its end.

use core::fmt;

use protocol::time::MonoMs;

/// Lines in a second: enough to see what goes on.
const LINES_MAX: u32 = 5;
const SECOND_MS: u64 = 1_000;

/// Holds back one kind of line.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    second: u64,
    lines: u32,
    held_back: u64,
}

/// Ends a line that is written: how many like it were held back before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeldBack(u64);

impl Quiet {
    /// Whether one more line may be written now.
    pub(crate) fn admit(&mut self, now: MonoMs) -> Option<HeldBack> {
        let second = now.0 / SECOND_MS;
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines >= LINES_MAX {
            self.held_back += 1;
            return None;
        }
        self.lines += 1;
        Some(HeldBack(std::mem::take(&mut self.held_back)))
    }
}

/// Something that fails, over and over, until it works again.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    failures: u64,
}

impl Outage {
    /// It failed. Whether that is news.
    pub(crate) fn fails(&mut self) -> bool {
        self.failures += 1;
        self.failures == 1
    }

    /// It worked. After how many failures, if that is news.
    pub(crate) fn works(&mut self) -> Option<u64> {
        let failures = std::mem::take(&mut self.failures);
        (failures > 0).then_some(failures)
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 { write!(f, " ({} more like this before it)", self.0) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_when_it_begins_and_when_it_ends() {
        let mut outage = Outage::default();
        assert_eq!(outage.works(), None);
        assert_eq!([outage.fails(), outage.fails(), outage.fails()], [true, false, false]);
        assert_eq!((outage.works(), outage.works()), (Some(3), None));
        assert!(outage.fails());
    }

    #[test]
    fn a_flood_leaves_a_few_lines_a_second_and_its_count() {
        let mut quiet = Quiet::default();
        let written = (0..2_000).filter_map(|n| quiet.admit(MonoMs(n / 2))).count();
        assert_eq!(written, 5);
        let next = quiet.admit(MonoMs(1_000));
        assert_eq!(next, Some(HeldBack(1_995)));
        assert_eq!(next.unwrap().to_string(), " (1995 more like this before it)");
        assert_eq!(quiet.admit(MonoMs(1_001)).unwrap().to_string(), "");
    }
}
