//! A chunk in work: which of its blocks were asked for, of whom, and who gave what.
//!
//! Owns no bit per block: what lies below `next` and is neither out nor returned has come. So a chunk of 1 TiB
//! costs no more than the requests that are out. Must not know why a source is asked.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Username, limits::BLOCK_LEN_MAX, time::MonoMs};

use super::LinkId;

/// The length of every block but a chunk's last, in bytes.
pub(super) const BLOCK_LEN: u64 = BLOCK_LEN_MAX as u64;

/// Who gave how many bytes of a chunk.
#[derive(Debug, Default)]
pub(super) struct Givers(Vec<(Username, u64)>);

impl Givers {
    pub(super) fn add(&mut self, user: &Username, len: u64) {
        match self.0.iter_mut().find(|(giver, _)| giver == user) {
            Some((_, given)) => *given += len,
            None => self.0.push((user.clone(), len)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(Username, u64)> {
        self.0.iter()
    }

    /// Whoever gave it all, if one did.
    pub(super) fn only(&self) -> Option<&Username> {
        match self.0.as_slice() {
            [(user, _)] => Some(user),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(_, given)| given).sum()
    }
}

/// Who was asked for a block: one, or two when the first is slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    first: LinkId,
    second: Option<LinkId>,
}

impl Asked {
    pub(super) fn links(self) -> impl Iterator<Item = LinkId> {
        core::iter::once(self.first).chain(self.second)
    }
}

/// A chunk that was begun and has not come as a whole.
#[derive(Debug)]
pub(super) struct Work {
    len: u64,
    /// `Some`: nobody else may be asked, so that a wrong chunk shows who lied.
    pub(super) owner: Option<LinkId>,
    next: u64,
    returned: BTreeSet<u64>,
    out: BTreeMap<u64, Asked>,
    givers: Givers,
    pub(super) began_at: MonoMs,
    /// When its last block came.
    pub(super) progress_at: MonoMs,
    /// Until when it was to be done, when it was taken from somebody slower.
    pub(super) promised: Option<MonoMs>,
}

impl Work {
    pub(super) fn new(len: u64, owner: Option<LinkId>, now: MonoMs) -> Self {
        Self {
            len,
            owner,
            next: 0,
            returned: BTreeSet::new(),
            out: BTreeMap::new(),
            givers: Givers::default(),
            began_at: now,
            progress_at: now,
            promised: None,
        }
    }

    pub(super) fn givers(&self) -> &Givers {
        &self.givers
    }

    pub(super) fn into_givers(self) -> Givers {
        self.givers
    }

    /// Blocks that are out, with who was asked.
    pub(super) fn out(&self) -> impl Iterator<Item = (u64, Asked)> {
        self.out.iter().map(|(&block, &asked)| (block, asked))
    }

    pub(super) fn is_out(&self) -> bool {
        !self.out.is_empty()
    }

    pub(super) fn has_unasked(&self) -> bool {
        self.next < self.blocks() || !self.returned.is_empty()
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.has_unasked() && self.out.is_empty()
    }

    /// How many bytes are still to come.
    pub(super) fn left_len(&self) -> u64 {
        self.len.saturating_sub(self.givers.len())
    }

    pub(super) fn block_len(&self, block: u64) -> u64 {
        self.len.saturating_sub(block.saturating_mul(BLOCK_LEN)).min(BLOCK_LEN)
    }

    /// The next block to be asked for, now out to `link`; those that came back go first.
    pub(super) fn ask_next(&mut self, link: LinkId) -> Option<u64> {
        let block = match self.returned.pop_first() {
            Some(block) => block,
            None if self.next < self.blocks() => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        self.out.insert(block, Asked { first: link, second: None });
        Some(block)
    }

    /// Asks a second source for a block that is out.
    pub(super) fn ask_again(&mut self, block: u64, link: LinkId) {
        if let Some(asked) = self.out.get_mut(&block) {
            asked.second = Some(link);
        }
    }

    /// A block came whole from `user`: whoever was asked for it, all of whom need not send it any more.
    pub(super) fn arrived(&mut self, block: u64, user: &Username, now: MonoMs) -> Option<Asked> {
        self.givers.add(user, self.block_len(block));
        self.progress_at = now;
        self.out.remove(&block)
    }

    /// `link` will not send that block: unless another was asked too, it must be asked for again.
    pub(super) fn give_back(&mut self, block: u64, link: LinkId) {
        let Some(asked) = self.out.remove(&block) else { return };
        match asked.links().find(|&other| other != link) {
            Some(first) => {
                self.out.insert(block, Asked { first, second: None });
            }
            None => {
                self.returned.insert(block);
            }
        }
    }

    fn blocks(&self) -> u64 {
        self.len.div_ceil(BLOCK_LEN)
    }
}
