//! Time as the pure cores see it: numbers that the shells pass in.
//!
//! Owns the two clocks' types and keeps them apart. Must not read a clock.

use core::time::Duration;

/// Milliseconds on a clock that never goes back, from an origin of the shell's choosing.
///
/// Every deadline is one of these; a wall clock that jumps moves none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoMs(pub u64);

impl MonoMs {
    /// This time plus `span`; stops at the end of the range.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was, zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since 1970 in UTC, as the wall clock told them: for people, and for what outlives a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub u64);

/// Both clocks, read once by the shell for a whole turn of its loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub mono: MonoMs,
    /// For people and for the store.
    pub wall: UnixMs,
}
