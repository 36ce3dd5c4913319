//! Random choices, all from one seed: fast, and the same on every machine. Not for secrets.

/// A stream of choices (`SplitMix64`).
#[derive(Debug)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `end`; 0 if that is empty.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// [`Dice::between`] for lengths and counts.
    pub(crate) fn size(&mut self, low: usize, high: usize) -> usize {
        let drawn = self.between(low as u64, high as u64);
        usize::try_from(drawn).unwrap_or(high)
    }

    /// Mostly far below `high`, now and then near it: what makes small limits and large ones meet.
    pub(crate) fn skewed(&mut self, low: u64, high: u64) -> u64 {
        let halvings = self.below(10);
        low + self.below((high.saturating_sub(low) >> halvings) + 1)
    }

    /// [`Dice::skewed`] for lengths and counts.
    pub(crate) fn skewed_size(&mut self, low: usize, high: usize) -> usize {
        let drawn = self.skewed(low as u64, high as u64);
        usize::try_from(drawn).unwrap_or(high)
    }

    /// True in so many of a thousand cases.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.size(0, items.len().saturating_sub(1)))
    }

    /// A seed for the hub or a client.
    pub(crate) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes());
        }
        seed
    }
}
