//! Hashing one chunk, in pieces: of bytes that pass by, or of what lies in a file.
//!
//! Must not know what the hash ought to be.

use std::{fs::File, io};

use protocol::{ChunkIndex, FileHash, Layout};

use super::directory::read_at;

/// What a read costs at least, told in bytes: tiny chunks must not make a slice long.
const READ_COST_MIN: u64 = 4 * 1024;

/// A chunk of which a first part is hashed.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) chunk: ChunkIndex,
    hasher: Box<blake3::Hasher>,
    /// What comes next: place in the file, in bytes.
    at: u64,
    end: u64,
}

impl Check {
    /// Nothing of it is hashed.
    pub(super) fn new(layout: &Layout, chunk: ChunkIndex) -> Self {
        let range = layout.range(chunk);
        Self { chunk, hasher: Box::default(), at: range.start, end: range.end }
    }

    /// Where in the file the part ends that is hashed.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Takes the bytes that come next.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
    }

    /// Reads on, as long as `budget` lasts, in bytes; whether the chunk is hashed to its end.
    pub(super) fn read_on(&mut self, file: &File, buffer: &mut [u8], budget: &mut u64) -> io::Result<bool> {
        while self.at < self.end && *budget > 0 {
            let len = (buffer.len() as u64).min(self.end - self.at);
            let piece = buffer.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            read_at(file, piece, self.at)?;
            *budget = budget.saturating_sub(len.max(READ_COST_MIN));
            self.hasher.update(piece);
            self.at += len;
        }
        Ok(self.at >= self.end)
    }

    /// The hash of what was hashed so far.
    pub(super) fn hash(&self) -> FileHash {
        FileHash(*self.hasher.finalize().as_bytes())
    }
}
