//! Whom to ask for what: as much as there is room for, at each source, on the way, and to the disk.

use core::ops::Bound;

use protocol::ChunkIndex;

use super::{BLOCK_LEN, LinkId, Swarm, SwarmOutput, Work};

/// Bytes asked for and on their way to the disk together: far less than the 64 MiB that a client may take.
pub(super) const IN_FLIGHT_MAX: u64 = 16 * 1024 * 1024;
/// Chunks larger than this are shared among the sources; of the others, one source gives the whole.
const SMALL_LEN_MAX: u64 = 4 * 1024 * 1024;
/// Chunks that may be in work or being checked: tiny ones would take more memory than their bytes.
const WORK_MAX: usize = 4_096;

impl Swarm {
    /// Asks every source that may have room.
    pub(super) fn plan(&mut self) {
        if self.hungry.is_empty() || self.is_short() {
            return;
        }
        let share = self.share();
        while let Some(link) = self.next_hungry() {
            self.served = link;
            while self.sources.get(&link).is_some_and(|source| source.has_room(share)) {
                if self.is_short() {
                    return;
                }
                let asked = self.ask_next(link);
                if let Some(source) = self.sources.get_mut(&link) {
                    source.is_idle = !asked;
                }
                if !asked {
                    break;
                }
            }
            self.hungry.remove(&link);
        }
    }

    /// How many bytes each source may have out: none leaves the others without.
    pub(super) fn share(&self) -> u64 {
        let sources = self.sources.values().filter(|source| {
            source.has_asks() || !(source.rests() || source.is_idle || source.held.is_empty())
        });
        (IN_FLIGHT_MAX / (sources.count() as u64).max(1)).max(2 * BLOCK_LEN)
    }

    /// Whether no block may be asked for, of nobody.
    pub(super) fn is_short(&self) -> bool {
        let len = BLOCK_LEN.min(self.manifest.layout().chunk_size());
        self.in_flight + self.unwritten + len > IN_FLIGHT_MAX || self.allowance.is_some_and(|left| left < len)
    }

    /// Whether sources had to wait for room for another chunk, and need not any more. There is room for a
    /// thousand by then, so that they are not all looked at for each.
    pub(super) fn is_relieved(&mut self) -> bool {
        let is_relieved = self.is_held_up && self.work_count() <= WORK_MAX / 4 * 3;
        self.is_held_up &= !is_relieved;
        is_relieved
    }

    fn work_count(&self) -> usize {
        self.work.len() + self.verifying.len()
    }

    /// Begins a chunk. With `alone` nobody else is asked for it.
    pub(super) fn begin(&mut self, chunk: ChunkIndex, link: LinkId, alone: bool) {
        self.picker.remove(chunk);
        let len = self.manifest.layout().len(chunk);
        self.work.insert(chunk.0, Work::new(len, alone.then_some(link), self.now));
        if !alone {
            self.open.insert(chunk.0);
        } else if let Some(source) = self.sources.get_mut(&link) {
            source.current.insert(chunk.0);
        }
    }

    /// Whether the turn is that source's, to give a chunk that went wrong: first those are asked who are above
    /// suspicion, then those who were too slow, last those who gave it wrong.
    pub(super) fn is_turn_of(&self, link: LinkId, chunk: ChunkIndex) -> bool {
        let trouble = self.troubled.get(&chunk.0);
        let doubt = |user| {
            let (lied, failed) =
                trouble.map_or((false, false), |it| (it.liars.contains(user), it.restarted.contains(user)));
            (lied, failed, self.is_suspect(user))
        };
        let Some(source) = self.sources.get(&link) else { return false };
        let mine = doubt(&source.user);
        !self
            .sources
            .values()
            .any(|other| !other.rests() && other.held.contains(chunk) && doubt(&other.user) < mine)
    }

    pub(super) fn request(&mut self, link: LinkId, chunk: u32, block: u64) {
        let Some(work) = self.work.get(&chunk) else { return };
        let Some(source) = self.sources.get_mut(&link) else { return };
        if work.owner.is_none() {
            self.users.entry(source.user.clone()).or_default().mixed.insert(chunk);
        }
        let len = work.block_len(block);
        source.ask(chunk, block, len, self.now);
        self.in_flight += len;
        self.allowance = self.allowance.map(|left| left.saturating_sub(len));
        let (chunk, offset) = (ChunkIndex(chunk), block * BLOCK_LEN);
        // No block is longer than a u32 says.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.outputs.push_back(SwarmOutput::Request { link, chunk, offset, len });
    }

    /// In turn, beginning behind whoever was served last.
    fn next_hungry(&self) -> Option<LinkId> {
        let behind = (Bound::Excluded(self.served), Bound::Unbounded);
        self.hungry.range(behind).next().or_else(|| self.hungry.first()).copied()
    }

    /// Asks a source for one block more, if there is one for it.
    fn ask_next(&mut self, link: LinkId) -> bool {
        let Some(chunk) = self.next_chunk(link) else { return false };
        let Some(work) = self.work.get_mut(&chunk) else { return false };
        let Some(block) = work.ask_next(link) else { return false };
        if !work.has_unasked() {
            self.open.remove(&chunk);
            if let Some(source) = self.sources.get_mut(&link) {
                source.current.remove(&chunk);
            }
        }
        self.request(link, chunk, block);
        true
    }

    /// A chunk in work of which that source may be asked for a block.
    fn next_chunk(&mut self, link: LinkId) -> Option<u32> {
        let source = self.sources.get(&link)?;
        if let Some(&chunk) = source.current.first() {
            return Some(chunk);
        }
        let shared = self
            .open
            .iter()
            .find(|&&chunk| source.held.contains(ChunkIndex(chunk)) && self.may_mix(&source.user, chunk));
        if shared.is_some() {
            return shared.copied();
        }
        if self.work_count() >= WORK_MAX {
            self.is_held_up = true;
            return None;
        }
        let again = self.troubled.keys().map(|&chunk| ChunkIndex(chunk)).find(|&chunk| {
            self.picker.contains(chunk) && source.held.contains(chunk) && self.is_turn_of(link, chunk)
        });
        if let Some(chunk) = again {
            self.begin(chunk, link, true);
            return Some(chunk.0);
        }
        loop {
            let source = self.sources.get_mut(&link)?;
            let chunk = self.picker.pick(&mut source.queue, &source.held, self.now)?;
            if !self.troubled.contains_key(&chunk.0) {
                let is_small = self.manifest.layout().len(chunk) <= SMALL_LEN_MAX;
                let user = &source.user;
                let is_alone = is_small || self.users.get(user).is_some_and(|user| !user.may_mix(chunk.0));
                self.begin(chunk, link, is_alone);
                return Some(chunk.0);
            }
        }
    }
}
