//! How fast one client may send commands: a token bucket.
//!
//! Owns the arithmetic. Must not know what a command costs or how a sender is slowed.

use core::time::Duration;

use protocol::time::MonoMs;

/// Refills steadily up to its burst. Counted in thousandths, so that a millisecond is worth something.
#[derive(Debug)]
pub(super) struct Allowance {
    milli: u64,
    milli_max: u64,
    per_second: u64,
    filled_at: MonoMs,
}

impl Allowance {
    pub(super) fn new(burst: u32, per_second: u32, now: MonoMs) -> Self {
        let milli_max = u64::from(burst.max(1)) * 1_000;
        Self { milli: milli_max, milli_max, per_second: u64::from(per_second.max(1)), filled_at: now }
    }

    /// Whether anything is left.
    pub(super) fn has_some(&mut self, now: MonoMs) -> bool {
        let elapsed_ms = now.0.saturating_sub(self.filled_at.0);
        self.filled_at = self.filled_at.max(now);
        self.milli =
            self.milli.saturating_add(elapsed_ms.saturating_mul(self.per_second)).min(self.milli_max);
        self.milli >= 1_000
    }

    /// Whether nearly all of it is left, as with whoever types: a flood has used up more before it is noticed.
    pub(super) fn is_ample(&self) -> bool {
        self.milli >= self.milli_max - self.milli_max / 16
    }

    /// Takes `cost`. The bucket may run empty, never into debt: one command is never split.
    pub(super) fn spend(&mut self, cost: u64) {
        self.milli = self.milli.saturating_sub(cost.saturating_mul(1_000));
    }

    /// How long until a good part of a second's worth is there, so that a slowed sender is not woken for each
    /// single command.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_millis(50).max(Duration::from_millis(1_000 / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut allowance = Allowance::new(10, 100, MonoMs(0));
        let mut spent = 0;
        for now in 0..=1_000 {
            while allowance.has_some(MonoMs(now)) {
                allowance.spend(1);
                spent += 1;
            }
        }
        assert_eq!(spent, 10 + 100);
    }

    #[test]
    fn a_jump_of_the_clock_gives_no_more_than_a_burst() {
        let mut allowance = Allowance::new(10, 100, MonoMs(0));
        allowance.spend(10);
        assert!(!allowance.has_some(MonoMs(1)));
        assert!(allowance.has_some(MonoMs(u64::MAX)));
        allowance.spend(10);
        assert!(!allowance.has_some(MonoMs(0)), "a clock that goes back fills nothing");
    }
}
