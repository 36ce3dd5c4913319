//! The clocks of one machine. Each machine has its own: they start anywhere, run at their own speed, and jump.

use protocol::time::{MonoMs, Now, UnixMs};

use crate::dice::Dice;

/// The wall clock at the start of every history: some day in 2024.
const WALL_START_MS: u64 = 1_710_000_000_000;

#[derive(Debug)]
pub(crate) struct Machine {
    mono_start_ms: u64,
    jumped_ms: u64,
    /// Milliseconds of this machine in a second of the world.
    rate: u64,
    wall_jumped_ms: i64,
}

impl Machine {
    pub(crate) fn new(dice: &mut Dice, drifting: bool) -> Self {
        let rate = if drifting { dice.between(700, 1_300) } else { 1_000 };
        Self { mono_start_ms: dice.skewed(0, 1 << 40), jumped_ms: 0, rate, wall_jumped_ms: 0 }
    }

    /// What the clocks show when the world's time is `world_ms`.
    pub(crate) fn now(&self, world_ms: u64) -> Now {
        Now {
            mono: MonoMs(self.mono_start_ms + self.jumped_ms + world_ms * self.rate / 1_000),
            wall: UnixMs((WALL_START_MS + world_ms).saturating_add_signed(self.wall_jumped_ms)),
        }
    }

    /// The first time of the world at which the monotonic clock shows `mono`.
    pub(crate) fn world_ms(&self, mono: MonoMs) -> u64 {
        mono.0.saturating_sub(self.mono_start_ms + self.jumped_ms).saturating_mul(1_000).div_ceil(self.rate)
    }

    /// The machine slept: its monotonic clock went on.
    pub(crate) fn suspend(&mut self, span_ms: u64) {
        self.jumped_ms += span_ms;
    }

    /// Somebody set the wall clock.
    pub(crate) fn set_wall(&mut self, jump_ms: i64) {
        self.wall_jumped_ms = self.wall_jumped_ms.saturating_add(jump_ms);
    }
}
