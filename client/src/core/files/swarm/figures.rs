//! What a download has come to: bytes that count, bytes for nothing, and how fast it goes.
//!
//! Owns the sums. Must not know what made a byte useful.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use protocol::{Username, time::MonoMs};

/// How much time the rate is an average of.
const RATE_SPAN: Duration = Duration::from_secs(4);
/// The bytes of one such piece of time are summed.
const SLOT: Duration = Duration::from_millis(500);

/// Figures of one download.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::core) struct Figures {
    /// Bytes of chunks that were found right.
    pub(in crate::core) useful: u64,
    /// Bytes of chunks that are not complete or not checked yet.
    pub(in crate::core) unverified: u64,
    /// Bytes that came and do not count: of wrong chunks, twice, too late, unasked.
    pub(in crate::core) wasted: u64,
    /// Bytes a second, over the past few seconds.
    pub(in crate::core) rate: u64,
    /// Useful bytes of each user who gave any: the sources used.
    pub(in crate::core) by_user: BTreeMap<Username, u64>,
}

/// Bytes of the past few seconds.
#[derive(Debug, Default)]
pub(super) struct Rate {
    slots: VecDeque<(MonoMs, u64)>,
    began: Option<MonoMs>,
}

impl Rate {
    pub(super) fn add(&mut self, len: u64, now: MonoMs) {
        self.forget(now);
        self.began.get_or_insert(now);
        match self.slots.back_mut() {
            Some((at, sum)) if now.since(*at) < SLOT => *sum += len,
            _ => self.slots.push_back((now, len)),
        }
    }

    /// Drops what is older than the span.
    pub(super) fn forget(&mut self, now: MonoMs) {
        while self.slots.front().is_some_and(|(at, _)| now.since(*at) >= RATE_SPAN) {
            self.slots.pop_front();
        }
        if self.slots.is_empty() {
            self.began = None;
        }
    }

    /// When the rate falls by itself.
    pub(super) fn due(&self) -> Option<MonoMs> {
        self.slots.front().map(|(at, _)| at.after(RATE_SPAN))
    }

    /// Bytes a second. At first over half a second, because a shorter one says little.
    pub(super) fn per_second(&self, now: MonoMs) -> u64 {
        let Some(began) = self.began else { return 0 };
        let span = now.since(began).clamp(SLOT, RATE_SPAN).as_millis();
        let sum: u64 = self.slots.iter().map(|(_, sum)| sum).sum();
        u64::try_from(u128::from(sum) * 1_000 / span.max(1)).unwrap_or(u64::MAX)
    }
}
