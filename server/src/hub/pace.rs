//! How fast bytes may leave: a bucket that refills steadily and may go into debt, since a frame is never split.
//!
//! Owns the arithmetic. Must not know whose bytes these are.

use protocol::{limits::CARRY_LEN_MAX, time::MonoMs};

/// What may leave at once after a rest: so much of a second's worth. Less than anyone notices.
const REST_DIVISOR: i64 = 16;

/// Counted in thousandths of a byte, so that a millisecond is worth something.
#[derive(Debug)]
pub(super) struct Pace {
    milli: i64,
    milli_max: i64,
    /// Bytes a second: thousandths of a byte a millisecond.
    rate: i64,
    filled_at: MonoMs,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64, now: MonoMs) -> Self {
        let rate = i64::try_from(bytes_per_second.max(1)).unwrap_or(i64::MAX);
        let one_frame = i64::try_from(CARRY_LEN_MAX).unwrap_or(i64::MAX);
        let milli_max = (rate / REST_DIVISOR).max(one_frame).saturating_mul(1_000);
        Self { milli: milli_max, milli_max, rate, filled_at: now }
    }

    /// When something may leave; `None`: now.
    pub(super) fn wait(&mut self, now: MonoMs) -> Option<MonoMs> {
        let elapsed_ms = i64::try_from(now.0.saturating_sub(self.filled_at.0)).unwrap_or(i64::MAX);
        self.filled_at = self.filled_at.max(now);
        self.milli = self.milli.saturating_add(elapsed_ms.saturating_mul(self.rate)).min(self.milli_max);
        if self.milli > 0 {
            return None;
        }
        let pause_ms = self.milli.unsigned_abs() / self.rate.unsigned_abs() + 1;
        Some(MonoMs(now.0.saturating_add(pause_ms)))
    }

    /// So many bytes leave.
    pub(super) fn take(&mut self, len: usize) {
        let milli = i64::try_from(len).unwrap_or(i64::MAX).saturating_mul(1_000);
        self.milli = self.milli.saturating_sub(milli);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_however_large_the_frames_are() {
        for len in [1, 1_000, CARRY_LEN_MAX] {
            let mut pace = Pace::new(1_000_000, MonoMs(0));
            let (mut now, mut left) = (MonoMs(0), 0);
            while now.0 < 10_000 {
                if let Some(at) = pace.wait(now) {
                    assert!(at > now, "no spinning");
                    now = at;
                } else {
                    pace.take(len);
                    left += len;
                }
            }
            assert!((10_000_000..10_100_000).contains(&left), "{left} bytes in 10 s");
        }
    }

    #[test]
    fn a_rest_or_a_jump_of_the_clock_gives_no_more_than_a_little() {
        let mut pace = Pace::new(1_600_000, MonoMs(0));
        pace.take(1_000_000);
        assert_eq!(pace.wait(MonoMs(u64::MAX)), None);
        let mut left = 0;
        while pace.wait(MonoMs(u64::MAX)).is_none() {
            pace.take(1_000);
            left += 1_000;
        }
        assert_eq!(left, 100_000);
        assert_eq!(pace.wait(MonoMs(0)), Some(MonoMs(1)), "a clock that goes back fills nothing");
    }
}
