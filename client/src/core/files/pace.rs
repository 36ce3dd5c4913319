//! Rates: how much may move now, and how much did.
//!
//! Owns the arithmetic of both. Must not know what moves.

use core::time::Duration;
use std::collections::VecDeque;

use protocol::time::MonoMs;

/// A limit in bytes a second. Takes whole blocks as soon as it owes nothing, and then waits until they are paid: so
/// blocks of any length pass, however low the limit is.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u64,
    /// In thousandths of a byte; below zero while a block is being paid.
    level: i128,
    at: MonoMs,
}

impl Bucket {
    /// What was not used in this time is lost, so that a pause does not end in a burst.
    const MEMORY_MS: i128 = 250;

    pub(super) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), level: 0, at: MonoMs(0) }
    }

    /// Whether something may move now.
    pub(super) fn is_open(&mut self, now: MonoMs) -> bool {
        self.fill(now);
        self.level > 0
    }

    /// How many bytes may move now; they are counted as moved.
    pub(super) fn take_all(&mut self, now: MonoMs) -> u64 {
        self.fill(now);
        let bytes = u64::try_from(self.level / 1000).unwrap_or_default();
        self.level -= i128::from(bytes) * 1000;
        bytes
    }

    /// So many bytes move.
    pub(super) fn take(&mut self, bytes: u64) {
        self.level -= i128::from(bytes) * 1000;
    }

    /// When it is open, as things stand.
    pub(super) fn opens_at(&self) -> MonoMs {
        let missing = (1 - self.level).max(0);
        let wait_ms = missing.div_euclid(i128::from(self.rate)) + 1;
        self.at.after(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(u64::MAX)))
    }

    fn fill(&mut self, now: MonoMs) {
        let rate = i128::from(self.rate);
        let passed_ms = i128::try_from(now.since(self.at).as_millis()).unwrap_or(i128::MAX >> 64);
        self.level = (self.level + passed_ms.min(i128::from(u64::MAX)) * rate).min(rate * Self::MEMORY_MS);
        self.at = self.at.max(now);
    }
}

/// Estimates a rate from what moved in the past few seconds.
#[derive(Debug, Default)]
pub(super) struct Meter {
    total: u64,
    /// When a step began, and the bytes in it.
    steps: VecDeque<(MonoMs, u64)>,
}

impl Meter {
    const STEP: Duration = Duration::from_millis(500);
    const STEPS_MAX: usize = 8;

    pub(super) fn add(&mut self, bytes: u64, now: MonoMs) {
        self.total += bytes;
        match self.steps.back_mut() {
            Some((start, sum)) if now.since(*start) < Self::STEP => *sum += bytes,
            _ => {
                self.steps.push_back((now, bytes));
                if self.steps.len() > Self::STEPS_MAX {
                    self.steps.pop_front();
                }
            }
        }
    }

    /// Bytes in all.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes a second.
    pub(super) fn rate(&self, now: MonoMs) -> u64 {
        let window = Self::STEP * 8;
        let recent = self.steps.iter().filter(|(start, _)| now.since(*start) <= window);
        let bytes: u64 = recent.clone().map(|(_, sum)| sum).sum();
        let span = recent.map(|(start, _)| now.since(*start)).max().unwrap_or_default().max(Self::STEP);
        let per_s = u128::from(bytes) * 1000 / span.as_millis().max(1);
        u64::try_from(per_s).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_over_time_for_blocks_larger_than_a_second_of_it() {
        let mut bucket = Bucket::new(1000);
        let mut moved = 0;
        for ms in 0..60_000 {
            if bucket.is_open(MonoMs(ms)) {
                bucket.take(3000);
                moved += 3000;
                let opens_at = bucket.opens_at();
                assert!(opens_at > MonoMs(ms), "it says when to come again");
            }
        }
        assert!((57_000..=63_000).contains(&moved), "{moved}");
    }

    #[test]
    fn a_pause_does_not_save_up_a_burst() {
        let mut bucket = Bucket::new(1000);
        assert_eq!(bucket.take_all(MonoMs(3_600_000)), 250);
        assert_eq!(bucket.take_all(MonoMs(3_600_100)), 100);
        assert!(!bucket.is_open(MonoMs(3_600_100)));
        assert!(bucket.is_open(bucket.opens_at()));
    }

    #[test]
    fn a_rate_is_that_of_the_past_seconds() {
        let mut meter = Meter::default();
        for tenth in 0..100 {
            meter.add(100, MonoMs(tenth * 100));
        }
        assert!((900..=1200).contains(&meter.rate(MonoMs(10_000))), "{}", meter.rate(MonoMs(10_000)));
        assert_eq!(meter.rate(MonoMs(60_000)), 0);
        assert_eq!(meter.total(), 10_000);
    }
}
