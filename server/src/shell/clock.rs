//! The two clocks, read together once a turn, and the stopwatch of a turn.

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

/// Since when a turn goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    started: Instant,
    started_cpu: Duration,
}

/// How long the longest turn took: what the sockets felt, and how much of it was work. On a busy machine the first is
/// far more than the second. The two may be of different turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Longest {
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { started: Instant::now(), started_cpu: processor_time() }
    }

    pub(super) fn stop(self, longest: &mut Longest) {
        longest.wall = longest.wall.max(self.started.elapsed());
        longest.cpu = longest.cpu.max(processor_time().saturating_sub(self.started_cpu));
    }
}

/// What this thread has used so far.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Nobody can ask for it, for want of signals.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    Duration::ZERO
}

fn wall() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
