//! What is held against a user, over all his links.
//!
//! Owns how much is forgiven. Must not know links.

use core::time::Duration;
use std::collections::BTreeSet;

use protocol::time::MonoMs;
use thiserror::Error;

/// Two stalls within this time are one too many; over hours everybody's line fails now and then.
const STALLS_APART: Duration = Duration::from_secs(600);

/// Chunks not yet checked to which a user and others gave: more could go wrong before he is found out.
const MIXED_MAX: usize = 4;

/// Why a user is asked for nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(in crate::core) enum ExpelReason {
    /// Chunks that he alone gave were wrong.
    #[error("sent wrong chunks")]
    WrongChunks,
    /// Blocks that nobody asked for, or of the wrong length.
    #[error("sent blocks that were not asked for")]
    BadBlocks,
    /// Requests lay unanswered.
    #[error("did not answer in time")]
    Stalled,
    /// Chunks that only he was to give were left half done, over and over.
    #[error("left chunks half done")]
    LetDown,
}

impl ExpelReason {
    /// How often it takes until he is expelled.
    fn count_max(self) -> u8 {
        match self {
            Self::WrongChunks | Self::Stalled => 2,
            Self::BadBlocks | Self::LetDown => 4,
        }
    }
}

/// What a user has done.
#[derive(Debug, Default)]
pub(super) struct User {
    /// He gave a part of a chunk that was wrong, and so did others: no chunk is shared with him any more, so
    /// that the next wrong one shows who lied.
    pub(super) is_suspect: bool,
    /// Chunks that are not checked yet and that he shares with others.
    pub(super) mixed: BTreeSet<u32>,
    pub(super) expelled: Option<ExpelReason>,
    wrong_chunks: u8,
    bad_blocks: u8,
    stalls: u8,
    stalled_at: MonoMs,
    let_downs: u8,
}

impl User {
    /// Whether he may share that chunk with others.
    pub(super) fn may_mix(&self, chunk: u32) -> bool {
        !self.is_suspect && (self.mixed.len() < MIXED_MAX || self.mixed.contains(&chunk))
    }

    /// Whether that was once too often.
    pub(super) fn offends(&mut self, reason: ExpelReason, now: MonoMs) -> bool {
        if reason == ExpelReason::Stalled {
            if now.since(self.stalled_at) >= STALLS_APART {
                self.stalls = 0;
            }
            self.stalled_at = now;
        }
        let count = match reason {
            ExpelReason::WrongChunks => &mut self.wrong_chunks,
            ExpelReason::BadBlocks => &mut self.bad_blocks,
            ExpelReason::Stalled => &mut self.stalls,
            ExpelReason::LetDown => &mut self.let_downs,
        };
        *count = count.saturating_add(1);
        if self.expelled.is_none() && *count >= reason.count_max() {
            self.expelled = Some(reason);
            return true;
        }
        false
    }
}
