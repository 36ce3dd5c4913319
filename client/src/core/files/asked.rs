//! The blocks that are asked for over each link, and those whose request was dropped: their answers may come all the
//! same, into a later download of the same file, and must not be held against who sends them.
//!
//! Must not know who asks.

use std::collections::BTreeSet;

use protocol::FileId;

use crate::core::peers::LinkId;

/// A link, a file, a chunk of it, and an offset in that.
type Block = (LinkId, FileId, u32, u64);

#[derive(Debug, Default)]
pub(super) struct Asked {
    open: BTreeSet<Block>,
    /// Bounded by what this user has stopped while a link stands.
    dropped: BTreeSet<Block>,
}

impl Asked {
    pub(super) fn ask(&mut self, block: Block) {
        self.open.insert(block);
    }

    /// Whoever asked for it remembers that himself.
    pub(super) fn take_back(&mut self, block: Block) {
        self.open.remove(&block);
    }

    /// Whoever asked for blocks of that file over that link has forgotten it.
    pub(super) fn drop_all(&mut self, link: LinkId, file: FileId) {
        let all = (link, file, 0, 0)..=(link, file, u32::MAX, u64::MAX);
        let dropped: Vec<Block> = self.open.range(all).copied().collect();
        for block in dropped {
            self.open.remove(&block);
            self.dropped.insert(block);
        }
    }

    /// A block came, or the word that it will not; whether that is for nobody any more.
    pub(super) fn is_late(&mut self, block: Block) -> bool {
        !self.open.remove(&block) && self.dropped.remove(&block)
    }

    pub(super) fn link_closed(&mut self, link: LinkId) {
        self.open.retain(|block| block.0 != link);
        self.dropped.retain(|block| block.0 != link);
    }
}
