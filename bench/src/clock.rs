//! The time as the client's core wants it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::time::{MonoMs, Now, UnixMs};

/// Counts from its start.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts to count.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time now.
    pub fn read(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: MonoMs(millis(self.0.elapsed())), wall: UnixMs(millis(wall)) }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
