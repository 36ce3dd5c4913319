//! One download: which block to ask of whom, and which chunks have come right.
//!
//! Owns the requests that are out and what is held against each source. Must not know servers, disks, or of a
//! link more than its number; has no clock and no randomness of its own.
//!
//! # The drain contract
//!
//! After any input, [`Swarm::poll_output`] is called until it gives nothing more: requests are planned there,
//! once for all inputs of a turn. [`Swarm::poll_timeout`] says when [`Swarm::handle_timeout`] is due.
//!
//! # Who lied
//!
//! A small chunk is fetched from one source, so a wrong one shows who lied: a strike. A large one is shared
//! block by block among all; if it is wrong, all who gave to it are *suspects*, with whom nothing is shared any
//! more, and it is fetched again from one source at a time. So a chunk can go wrong once as a shared one, and
//! then twice for each liar.

mod chunk;
mod figures;
mod help;
mod output;
mod picker;
mod plan;
mod release;
mod source;
#[cfg(test)]
mod tests;
mod user;

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use protocol::{ChunkIndex, ChunkSet, Manifest, NoBlockReason, Username, random::RandomStream, time::MonoMs};

use crate::core::peers::LinkId;

pub(in crate::core) use figures::Figures;
pub(in crate::core) use output::{Status, SwarmOutput};
pub(in crate::core) use user::ExpelReason;

use chunk::{BLOCK_LEN, Givers, Work};
use figures::Rate;
use picker::Picker;
use source::{Answered, Source};
use user::User;

/// How long a source that did not answer is set aside.
const STALL_REST: Duration = Duration::from_secs(10);

/// What is known of a chunk that went wrong, or that was begun anew because it was too slow.
#[derive(Debug, Default)]
struct Trouble {
    /// Who gave it wrong: they are asked last.
    liars: BTreeSet<Username>,
    /// Who began it anew instead of others, and was not as quick as it seemed: each once, or two could take it
    /// from each other for ever.
    restarted: BTreeSet<Username>,
}

/// One download.
#[derive(Debug)]
pub(in crate::core) struct Swarm {
    manifest: Arc<Manifest>,
    wanted: ChunkSet,
    held: ChunkSet,
    /// How many are wanted and not held.
    missing: u32,
    picker: Picker,
    work: BTreeMap<u32, Work>,
    /// Chunks in work of which anybody may be asked for a block.
    open: BTreeSet<u32>,
    verifying: BTreeMap<u32, Givers>,
    /// Chunks that are fetched from one source at a time.
    troubled: BTreeMap<u32, Trouble>,
    sources: BTreeMap<LinkId, Source>,
    users: BTreeMap<Username, User>,
    /// Sources that may have room for requests.
    hungry: BTreeSet<LinkId>,
    /// Who was served last when there was not enough for all.
    served: LinkId,
    helped_at: MonoMs,
    /// As many chunks are in work as may be.
    is_held_up: bool,
    /// Bytes asked for.
    in_flight: u64,
    /// Bytes on their way to the disk.
    unwritten: u64,
    /// How many bytes may be asked for, if there is a limit.
    allowance: Option<u64>,
    figures: Figures,
    rate: Rate,
    outputs: VecDeque<SwarmOutput>,
    random: RandomStream,
    now: MonoMs,
}

impl Swarm {
    /// Fetches `wanted`, less what is `held`.
    pub(in crate::core) fn new(
        manifest: Arc<Manifest>,
        held: ChunkSet,
        wanted: ChunkSet,
        random: RandomStream,
    ) -> Self {
        let mut picker = Picker::new(manifest.layout().chunks());
        wanted.iter().filter(|&chunk| !held.contains(chunk)).for_each(|chunk| picker.insert(chunk));
        Self {
            manifest,
            wanted,
            held,
            missing: picker.todo_len(),
            picker,
            work: BTreeMap::new(),
            open: BTreeSet::new(),
            verifying: BTreeMap::new(),
            troubled: BTreeMap::new(),
            sources: BTreeMap::new(),
            users: BTreeMap::new(),
            hungry: BTreeSet::new(),
            served: LinkId(0),
            helped_at: MonoMs::default(),
            is_held_up: false,
            in_flight: 0,
            unwritten: 0,
            allowance: None,
            figures: Figures::default(),
            rate: Rate::default(),
            outputs: VecDeque::new(),
            random,
            now: MonoMs::default(),
        }
    }

    /// Fetches these too.
    pub(in crate::core) fn want(&mut self, more: &ChunkSet) {
        for chunk in more.iter() {
            if self.wanted.insert(chunk) && !self.held.contains(chunk) {
                self.missing += 1;
                self.picker.insert(chunk);
            }
        }
        self.sources.values_mut().for_each(|source| source.queue.extend());
        self.wake_all();
    }

    /// There is a link to `user`; what he holds is told by [`Swarm::holds`]. One who was expelled is so again.
    pub(in crate::core) fn source_joined(&mut self, link: LinkId, user: Username, now: MonoMs) {
        self.now = now;
        if let Some(reason) = self.users.get(&user).and_then(|user| user.expelled) {
            return self.outputs.push_back(SwarmOutput::Expel { link, user, reason });
        }
        let chunks = self.manifest.layout().chunks();
        self.sources.entry(link).or_insert_with(|| Source::new(user, chunks, &mut self.random));
    }

    /// The link is gone, or may not be used any more.
    pub(in crate::core) fn source_left(&mut self, link: LinkId, now: MonoMs) {
        self.now = now;
        if let Some(source) = self.sources.get_mut(&link) {
            source.is_gone = true;
        }
        self.remove_source(link);
    }

    /// Which chunks the source has now, all of them.
    pub(in crate::core) fn holds(&mut self, link: LinkId, held: ChunkSet, now: MonoMs) {
        self.now = now;
        let Some(source) = self.sources.get_mut(&link).filter(|source| source.held != held) else { return };
        if held.chunks() != source.held.chunks() {
            return;
        }
        if !source.is_hopeless {
            self.picker.lost(source.held.iter());
            self.picker.gained(held.iter());
        }
        source.held = held;
        source.queue.extend();
        let lost: Vec<_> = source
            .current
            .iter()
            .filter(|&&chunk| !source.held.contains(ChunkIndex(chunk)))
            .copied()
            .collect();
        for chunk in lost {
            self.withdraw(link, Some(chunk));
        }
        self.wake_all();
    }

    /// A block came.
    pub(in crate::core) fn block(
        &mut self,
        link: LinkId,
        chunk: u32,
        offset: u64,
        bytes: &[u8],
        now: MonoMs,
    ) {
        self.now = now;
        let len = bytes.len() as u64;
        let (block, rest) = (offset / BLOCK_LEN, offset % BLOCK_LEN);
        let Some(source) = self.sources.get_mut(&link) else {
            self.figures.wasted += len;
            return;
        };
        let answered = if rest == 0 { source.answered(chunk, block, len, now) } else { Answered::Unasked };
        let user = source.user.clone();
        if matches!(answered, Answered::Asked { .. }) && core::mem::take(&mut source.is_hopeless) {
            self.picker.gained(source.held.iter());
        }
        self.hungry.insert(link);
        match answered {
            Answered::Asked { len: asked_len } if asked_len == len => {
                self.in_flight -= len;
                self.accept(link, &user, chunk, block, bytes);
            }
            Answered::Asked { len: asked_len } => {
                self.in_flight -= asked_len;
                self.figures.wasted += len;
                self.give_back(link, chunk, block, false);
                self.offends(&user, ExpelReason::BadBlocks);
            }
            Answered::Late => self.figures.wasted += len,
            Answered::Unasked => {
                self.figures.wasted += len;
                self.offends(&user, ExpelReason::BadBlocks);
            }
        }
    }

    /// A block will not come.
    pub(in crate::core) fn no_block(
        &mut self,
        link: LinkId,
        chunk: u32,
        offset: u64,
        reason: NoBlockReason,
        now: MonoMs,
    ) {
        self.now = now;
        let Some(source) = self.sources.get_mut(&link) else { return };
        let block = offset / BLOCK_LEN;
        // What was taken back meanwhile says nothing new.
        let Some(len) = source.refused(chunk, block, now) else { return };
        self.in_flight -= len;
        match reason {
            NoBlockReason::Busy => {
                if source.busy(now) && !core::mem::replace(&mut source.is_hopeless, true) {
                    self.picker.lost(source.held.iter());
                }
            }
            NoBlockReason::Gone => {
                let chunk = ChunkIndex(chunk);
                if source.held.remove(chunk) && !source.is_hopeless {
                    self.picker.lost(core::iter::once(chunk));
                }
            }
        }
        self.give_back(link, chunk, block, reason == NoBlockReason::Busy);
        self.wake_all();
    }

    /// Answers [`SwarmOutput::Verify`].
    pub(in crate::core) fn verified(&mut self, chunk: ChunkIndex, right: bool, now: MonoMs) {
        self.now = now;
        let Some(givers) = self.verifying.remove(&chunk.0) else { return };
        self.unmix(chunk.0);
        let len = givers.len();
        self.figures.unverified -= len;
        if right {
            self.figures.useful += len;
            for (user, given) in givers.iter() {
                *self.figures.by_user.entry(user.clone()).or_default() += given;
            }
            self.held.insert(chunk);
            self.missing -= 1;
            self.troubled.remove(&chunk.0);
            self.outputs.push_back(SwarmOutput::Held { chunk });
        } else {
            self.figures.wasted += len;
            self.free(chunk);
            let trouble = self.troubled.entry(chunk.0).or_default();
            // Wrong chunks are few, because each costs a strike: the quick may come to help once more.
            trouble.restarted.clear();
            if let Some(liar) = givers.only() {
                trouble.liars.insert(liar.clone());
                self.offends(liar, ExpelReason::WrongChunks);
            } else {
                for (user, _) in givers.iter() {
                    self.users.entry(user.clone()).or_default().is_suspect = true;
                }
            }
        }
        if self.is_relieved() {
            self.wake_all();
        }
    }

    /// The disk has taken so many bytes.
    pub(in crate::core) fn wrote(&mut self, len: usize, now: MonoMs) {
        self.now = now;
        self.unwritten = self.unwritten.saturating_sub(len as u64);
    }

    /// So many bytes more may be asked for; without a call of this there is no limit. What is left over counts
    /// for one further call, and for at least a block, so that a pause gives no right to a flood.
    pub(in crate::core) fn allow(&mut self, bytes: u64, now: MonoMs) {
        self.now = now;
        let most = bytes.max(BLOCK_LEN).saturating_mul(2);
        self.allowance = Some(self.allowance.unwrap_or_default().saturating_add(bytes).min(most));
    }

    /// Does what is due.
    pub(in crate::core) fn handle_timeout(&mut self, now: MonoMs) {
        self.now = now;
        self.rate.forget(now);
        self.hungry
            .extend(self.sources.iter_mut().filter_map(|(&link, source)| source.wakes(now).then_some(link)));
        let stalled: Vec<_> =
            self.sources.iter().filter(|(_, source)| source.stalls(now)).map(|(&link, _)| link).collect();
        for link in stalled {
            self.stalled(link);
        }
        if self.help_due().is_some_and(|due| due <= now) {
            self.help();
        }
    }

    /// When [`Swarm::handle_timeout`] is due.
    pub(in crate::core) fn poll_timeout(&self) -> Option<MonoMs> {
        let sources = self.sources.values().filter_map(Source::due);
        sources.chain(self.help_due()).chain(self.rate.due()).min()
    }

    /// What is to be done next.
    pub(in crate::core) fn poll_output(&mut self) -> Option<SwarmOutput> {
        if self.outputs.is_empty() {
            self.plan();
        }
        self.outputs.pop_front()
    }

    /// How the download stands.
    pub(in crate::core) fn status(&self) -> Status {
        if self.missing == 0 {
            return Status::Done;
        }
        let is_reachable = |chunk: u32| self.picker.copies(ChunkIndex(chunk)) > 0;
        let is_working = self.in_flight > 0
            || !self.verifying.is_empty()
            || self.work.keys().any(|&chunk| is_reachable(chunk))
            || self.picker.has_some();
        if is_working {
            return Status::Working;
        }
        let mut missing = self.wanted.clone();
        for chunk in self.held.iter() {
            missing.remove(chunk);
        }
        Status::Starved { missing }
    }

    /// The chunks that are known to be right.
    pub(in crate::core) fn held(&self) -> &ChunkSet {
        &self.held
    }

    /// How it goes.
    pub(in crate::core) fn figures(&self) -> Figures {
        Figures { rate: self.rate.per_second(self.now), ..self.figures.clone() }
    }

    /// A block that was asked for came whole.
    fn accept(&mut self, link: LinkId, user: &Username, chunk: u32, block: u64, bytes: &[u8]) {
        let Some(work) = self.work.get_mut(&chunk) else { return };
        let len = bytes.len() as u64;
        let asked = work.arrived(block, user, self.now);
        let is_complete = work.is_complete();
        self.rate.add(len, self.now);
        self.figures.unverified += len;
        self.unwritten += len;
        let (chunk, offset) = (ChunkIndex(chunk), block * BLOCK_LEN);
        self.outputs.push_back(SwarmOutput::Write { chunk, offset, bytes: bytes.to_vec() });
        for other in asked.into_iter().flat_map(chunk::Asked::links).filter(|&other| other != link) {
            self.cancel(other, chunk.0, block);
            self.hungry.insert(other);
        }
        if is_complete && let Some(work) = self.work.remove(&chunk.0) {
            self.open.remove(&chunk.0);
            self.verifying.insert(chunk.0, work.into_givers());
            self.outputs.push_back(SwarmOutput::Verify { chunk });
        }
    }

    fn stalled(&mut self, link: LinkId) {
        let Some(source) = self.sources.get_mut(&link) else { return };
        source.rest(STALL_REST, self.now);
        let user = source.user.clone();
        self.withdraw(link, None);
        self.offends(&user, ExpelReason::Stalled);
    }

    fn offends(&mut self, user: &Username, reason: ExpelReason) {
        if !self.users.entry(user.clone()).or_default().offends(reason, self.now) {
            return;
        }
        let links = self.sources.iter().filter(|(_, source)| source.user == *user).map(|(&link, _)| link);
        for link in links.collect::<Vec<_>>() {
            self.remove_source(link);
            self.outputs.push_back(SwarmOutput::Expel { link, user: user.clone(), reason });
        }
    }

    fn remove_source(&mut self, link: LinkId) {
        self.withdraw(link, None);
        if let Some(source) = self.sources.remove(&link).filter(|source| !source.is_hopeless) {
            self.picker.lost(source.held.iter());
        }
        self.hungry.remove(&link);
    }

    fn may_mix(&self, user: &Username, chunk: u32) -> bool {
        self.users.get(user).is_none_or(|user| user.may_mix(chunk))
    }

    fn unmix(&mut self, chunk: u32) {
        for user in self.users.values_mut() {
            user.mixed.remove(&chunk);
        }
    }

    fn is_suspect(&self, user: &Username) -> bool {
        self.users.get(user).is_some_and(|user| user.is_suspect)
    }

    fn wake_all(&mut self) {
        self.hungry.extend(self.sources.iter().filter(|(_, source)| !source.rests()).map(|(&link, _)| link));
    }
}
