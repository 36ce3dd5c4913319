//! What a swarm says: plain values for whoever has links and a disk.

use protocol::{ChunkIndex, ChunkSet, Username};

use super::{LinkId, user::ExpelReason};

/// What the swarm wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum SwarmOutput {
    /// Ask for a block.
    Request {
        /// Whom.
        link: LinkId,
        /// Which chunk.
        chunk: ChunkIndex,
        /// From which byte of the chunk on.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
    /// Take a request back.
    Cancel {
        /// From whom.
        link: LinkId,
        /// Which chunk.
        chunk: ChunkIndex,
        /// From which byte of the chunk on.
        offset: u64,
    },
    /// Write a part of a chunk, over what may be there.
    Write {
        /// Which chunk.
        chunk: ChunkIndex,
        /// From which byte of the chunk on.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Everything of that chunk was written before this: is it right?
    Verify {
        /// Which chunk.
        chunk: ChunkIndex,
    },
    /// That chunk was found right.
    Held {
        /// Which chunk.
        chunk: ChunkIndex,
    },
    /// Nothing is asked of that user any more.
    Expel {
        /// The link, one of his.
        link: LinkId,
        /// Who.
        user: Username,
        /// Why.
        reason: ExpelReason,
    },
}

/// How a download stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum Status {
    /// Something is on its way, or may be asked for.
    Working,
    /// All that was wanted is held.
    Done,
    /// No source has what is missing, and all the rest is done.
    Starved {
        /// Wanted and not held.
        missing: ChunkSet,
    },
}
