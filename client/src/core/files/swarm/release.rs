//! Requests that come to nothing: what was asked of one source is given to others, or begun anew.

use std::collections::BTreeSet;

use protocol::ChunkIndex;

use super::{BLOCK_LEN, ExpelReason, LinkId, Swarm, SwarmOutput};

/// Half done chunks that are kept for others; more are thrown away rather than looked through for every block.
const OPEN_MAX: usize = 64;

impl Swarm {
    /// A block is not on its way from `link` any more.
    pub(super) fn give_back(&mut self, link: LinkId, chunk: u32, block: u64, is_busy: bool) {
        let is_apart = self.is_apart(link, chunk);
        let Some(source) = self.sources.get_mut(&link) else { return };
        let Some(work) = self.work.get_mut(&chunk) else { return };
        work.give_back(block, link);
        if work.owner != Some(link) {
            return self.reopen(chunk);
        }
        if !is_apart {
            let user = source.user.clone();
            self.users.entry(user).or_default().mixed.insert(chunk);
            // What else it was asked of that chunk may still come.
            work.owner = None;
            source.current.remove(&chunk);
            return self.reopen(chunk);
        }
        source.current.insert(chunk);
        // What must not be mixed waits a little rather than be thrown away, unless somebody has nothing to do.
        if !is_busy || work.givers().len() == 0 {
            self.withdraw(link, Some(chunk));
        }
    }

    /// Takes back what was asked of a source, of one chunk or of all, so that others may be asked.
    pub(super) fn withdraw(&mut self, link: LinkId, chunk: Option<u32>) {
        let Some(source) = self.sources.get_mut(&link) else { return };
        let asked = source.asked(chunk);
        let mut chunks: BTreeSet<u32> = asked.iter().map(|&(chunk, _)| chunk).collect();
        match chunk {
            Some(chunk) if source.current.remove(&chunk) => chunks.extend([chunk]),
            Some(_) => {}
            None => chunks.append(&mut source.current),
        }
        for (chunk, block) in asked {
            self.cancel(link, chunk, block);
            if let Some(work) = self.work.get_mut(&chunk) {
                work.give_back(block, link);
            }
        }
        for chunk in chunks {
            match self.work.get(&chunk) {
                Some(work) if work.owner == Some(link) => self.disown(link, chunk),
                _ => self.reopen(chunk),
            }
        }
        self.wake_all();
    }

    /// The only source of a chunk goes on with it no more. What came of it is kept for others to complete,
    /// unless that would mix what must stay apart.
    fn disown(&mut self, link: LinkId, chunk: u32) {
        let is_apart = self.is_apart(link, chunk) || self.open.len() >= OPEN_MAX;
        let Some(work) = self.work.get_mut(&chunk) else { return };
        work.owner = None;
        if let Some(owner) = work.givers().only().cloned().filter(|_| is_apart) {
            let is_trouble = self.is_suspect(&owner) || self.troubled.contains_key(&chunk);
            self.abandon(chunk);
            if is_trouble {
                self.offends(&owner, ExpelReason::LetDown);
            }
            return;
        }
        for (user, _) in work.givers().iter() {
            self.users.entry(user.clone()).or_default().mixed.insert(chunk);
        }
        self.reopen(chunk);
    }

    /// Whether nobody else may give a part of what that source gives of that chunk.
    fn is_apart(&self, link: LinkId, chunk: u32) -> bool {
        self.troubled.contains_key(&chunk)
            || self.sources.get(&link).is_some_and(|source| !self.may_mix(&source.user, chunk))
    }

    /// Blocks of a shared chunk are to be asked for again.
    fn reopen(&mut self, chunk: u32) {
        let Some(work) = self.work.get(&chunk) else { return };
        if work.is_out() || work.givers().len() > 0 {
            if work.owner.is_none() && work.has_unasked() {
                self.open.insert(chunk);
                self.wake_all();
            }
        } else {
            self.abandon(chunk);
        }
    }

    /// Throws away what came of a chunk.
    pub(super) fn abandon(&mut self, chunk: u32) {
        let Some(work) = self.work.remove(&chunk) else { return };
        for (block, asked) in work.out() {
            for link in asked.links() {
                self.cancel(link, chunk, block);
            }
        }
        for source in self.sources.values_mut() {
            source.current.remove(&chunk);
        }
        self.open.remove(&chunk);
        self.unmix(chunk);
        self.figures.unverified -= work.givers().len();
        self.figures.wasted += work.givers().len();
        self.free(ChunkIndex(chunk));
    }

    /// Nobody works at that chunk any more.
    pub(super) fn free(&mut self, chunk: ChunkIndex) {
        self.picker.insert(chunk);
        for source in self.sources.values_mut().filter(|source| source.held.contains(chunk)) {
            source.queue.push(chunk);
        }
        self.wake_all();
    }

    /// Takes a request back. The chunk's own account of it is the caller's.
    pub(super) fn cancel(&mut self, link: LinkId, chunk: u32, block: u64) {
        let Some(source) = self.sources.get_mut(&link) else { return };
        let Some(len) = source.cancel(chunk, block) else { return };
        self.in_flight -= len;
        if !source.is_gone {
            let (chunk, offset) = (ChunkIndex(chunk), block * BLOCK_LEN);
            self.outputs.push_back(SwarmOutput::Cancel { link, chunk, offset });
        }
    }
}
