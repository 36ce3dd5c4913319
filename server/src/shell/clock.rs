//! The two clocks, read together once a turn.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::time::{MonoMs, Now, UnixMs};

/// Reads the time.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    /// The monotonic clock counts from the wall clock's time at the start, so that times from before the
    /// start fit on it too.
    origin_ms: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), origin_ms: wall().0 }
    }

    pub(super) fn read(&self) -> Now {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono: MonoMs(self.origin_ms.saturating_add(elapsed_ms)), wall: wall() }
    }

    /// How long to wait for `deadline`. At least that long: a loop woken a hair too early would spin.
    pub(super) fn until(&self, deadline: MonoMs) -> Duration {
        let due = Duration::from_millis(deadline.0.saturating_sub(self.origin_ms));
        due.saturating_sub(self.started.elapsed())
    }
}

fn wall() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
