//! The written history: a hash over every line and every byte sent, and the lines themselves if wanted.

use core::fmt::{self, Write as _};

/// Collects the history. Two runs are the same if their hashes are.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    print: bool,
}

/// FNV-1a.
const HASH_START: u64 = 0xCBF2_9CE4_8422_2325;
const HASH_PRIME: u64 = 0x0000_0100_0000_01B3;

impl Trace {
    pub(crate) fn new(print: bool) -> Self {
        Self { hash: HASH_START, print }
    }

    /// Notes a line.
    pub(crate) fn line(&mut self, step: u64, now_ms: u64, what: fmt::Arguments<'_>) {
        if self.print {
            println!("{step:>7} {:>6}.{:03} {what}", now_ms / 1_000, now_ms % 1_000);
        }
        self.mix(now_ms);
        // Writing into a hash cannot fail.
        let _ = self.write_fmt(what);
    }

    /// Notes bytes that travelled.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.mix(chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(HASH_PRIME).rotate_left(23);
    }
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
