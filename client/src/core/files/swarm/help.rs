//! The end game: what sources that have nothing to do may take over from slow ones.

use core::time::Duration;

use protocol::{ChunkIndex, Username, time::MonoMs};

use super::{LinkId, Swarm, Work, source::Source};

/// How often it is looked whether somebody can help: the tail of a download is not longer for it than this.
const HELP_EVERY: Duration = Duration::from_millis(100);
/// How much quicker a second source must be expected to be, beyond twice: under it nothing is gained.
const GAIN_MIN: Duration = Duration::from_millis(100);
/// The same for a chunk that must be fetched anew: what came of it is lost.
const RESTART_GAIN_MIN: Duration = Duration::from_secs(1);

/// A chunk's past says little before.
const SO_FAR_MIN: Duration = Duration::from_secs(5);

impl Swarm {
    /// When it is to be looked whether an idle source can help another.
    pub(super) fn help_due(&self) -> Option<MonoMs> {
        let has_idle = self.sources.values().any(|source| source.is_idle && !source.held.is_empty());
        let can_help = has_idle && !self.work.is_empty() && !self.is_held_up && !self.is_short();
        can_help.then(|| self.helped_at.after(HELP_EVERY))
    }

    pub(super) fn help(&mut self) {
        self.helped_at = self.now;
        let idle: Vec<_> = self
            .sources
            .iter()
            .filter(|(_, source)| source.is_idle && !source.rests())
            .map(|(&link, _)| link)
            .collect();
        for link in idle {
            let _has_work = self.join_owner(link) || self.ask_again(link) || self.restart(link);
        }
    }

    /// Shares a chunk that so far one source fetches alone, and of which not all is asked for.
    fn join_owner(&mut self, link: LinkId) -> bool {
        let Some(helper) = self.sources.get(&link) else { return false };
        let joined = self.work.iter().find(|(chunk, work)| {
            work.owner.is_some() && work.has_unasked() && self.may_share(helper, **chunk, work)
        });
        let Some((&chunk, owner)) = joined.map(|(chunk, work)| (chunk, work.owner)) else { return false };
        self.share_out(chunk);
        if let Some(owner) = owner.and_then(|owner| self.sources.get_mut(&owner)) {
            owner.current.remove(&chunk);
        }
        self.open.insert(chunk);
        self.hungry.extend(owner.into_iter().chain([link]));
        true
    }

    /// Asks for blocks that another source has not sent for too long, the slowest first.
    fn ask_again(&mut self, link: LinkId) -> bool {
        let Some(helper) = self.sources.get(&link) else { return false };
        let gain_min = helper.latency() * 2 + GAIN_MIN;
        let mut slow = Vec::new();
        for (&chunk, work) in self.work.iter().filter(|(chunk, work)| self.may_share(helper, **chunk, work)) {
            for (block, asked) in work.out() {
                let mut links = asked.links();
                let (Some(first), None) = (links.next(), links.next()) else { continue };
                let Some(first) = self.sources.get(&first).filter(|s| s.user != helper.user) else {
                    continue;
                };
                let expected = first.expects(chunk, block, self.now);
                if expected > gain_min {
                    slow.push((expected, chunk, block));
                }
            }
        }
        slow.sort_unstable_by(|a, b| b.cmp(a));
        let share = self.share();
        let mut has_asked = false;
        for (_, chunk, block) in slow {
            if self.is_short() || self.sources.get(&link).is_none_or(|helper| !helper.has_room(share)) {
                break;
            }
            self.share_out(chunk);
            if let Some(work) = self.work.get_mut(&chunk) {
                work.ask_again(block, link);
            }
            self.request(link, chunk, block);
            has_asked = true;
        }
        has_asked
    }

    /// Fetches a chunk anew that cannot be shared, if its sources would take far longer, or are no more.
    fn restart(&mut self, link: LinkId) -> bool {
        let Some(helper) = self.sources.get(&link) else { return false };
        let slow = self.work.iter().find(|(chunk, work)| {
            let index = ChunkIndex(**chunk);
            let is_asked =
                work.owner == Some(link) || work.out().any(|(_, asked)| asked.links().any(|l| l == link));
            let has_tried = self
                .troubled
                .get(*chunk)
                .is_some_and(|it| it.liars.contains(&helper.user) || it.restarted.contains(&helper.user));
            let can_begin = helper.held.contains(index)
                && !is_asked
                && !has_tried
                && !self.may_share(helper, **chunk, work);
            if !can_begin {
                return false;
            }
            self.is_orphan(index, work)
                || self.expected(work) > self.time_for(helper, index) * 2 + RESTART_GAIN_MIN
        });
        let Some((&chunk, work)) = slow else { return false };
        let user = helper.user.clone();
        let promised = self.now.after(self.time_for(helper, ChunkIndex(chunk)) * 2 + RESTART_GAIN_MIN);
        let in_time = work.promised.is_some_and(|promised| self.now.after(self.expected(work)) <= promised);
        let owner = work.owner.filter(|_| in_time).and_then(|owner| self.sources.get(&owner));
        let owner = owner.map(|owner| owner.user.clone());
        self.abandon(chunk);
        let trouble = self.troubled.entry(chunk).or_default();
        trouble.restarted.insert(user);
        owner.map(|owner| trouble.restarted.remove(&owner));
        self.begin(ChunkIndex(chunk), link, true);
        if let Some(work) = self.work.get_mut(&chunk) {
            work.promised = Some(promised);
        }
        self.hungry.insert(link);
        true
    }

    /// Whether `helper` may give a part of a chunk that others gave parts of.
    fn may_share(&self, helper: &Source, chunk: u32, work: &Work) -> bool {
        let owner = work.owner.and_then(|owner| self.sources.get(&owner)).map(|owner| &owner.user);
        let is_apart = |user: &Username| *user == helper.user || !self.may_mix(user, chunk);
        helper.held.contains(ChunkIndex(chunk))
            && self.may_mix(&helper.user, chunk)
            && !self.troubled.contains_key(&chunk)
            && !owner.is_some_and(is_apart)
    }

    /// From now on several sources give parts of it.
    fn share_out(&mut self, chunk: u32) {
        let owner = self.work.get_mut(&chunk).and_then(|work| work.owner.take());
        if let Some(owner) = owner.and_then(|owner| self.sources.get(&owner)) {
            self.users.entry(owner.user.clone()).or_default().mixed.insert(chunk);
        }
    }

    /// Whether nobody goes on with a chunk: no source is left that may be asked for a part of it.
    fn is_orphan(&self, chunk: ChunkIndex, work: &Work) -> bool {
        !work.is_out()
            && work.owner.is_none()
            && !self.sources.values().any(|s| s.held.contains(chunk) && !self.is_suspect(&s.user))
    }

    /// How long a source would take for a whole chunk.
    fn time_for(&self, source: &Source, chunk: ChunkIndex) -> Duration {
        source.pace() * blocks(self.manifest.layout().len(chunk)) + source.latency()
    }

    /// How long the rest of a chunk may take: by the time between blocks, by how long what is there has taken
    /// (pauses count), and as long as nothing came of it.
    fn expected(&self, work: &Work) -> Duration {
        let links = work.out().flat_map(|(_, asked)| asked.links());
        let pace = links.filter_map(|link| self.sources.get(&link)).map(Source::pace).min();
        let by_pace = pace.unwrap_or_default() * blocks(work.left_len());
        let so_far = Some(self.now.since(work.began_at)).filter(|&so_far| so_far >= SO_FAR_MIN);
        let came = blocks(work.givers().len()).max(1);
        let by_past = so_far.unwrap_or_default() / came * blocks(work.left_len());
        by_pace.max(by_past).max(self.now.since(work.progress_at))
    }
}

fn blocks(len: u64) -> u32 {
    u32::try_from(len.div_ceil(super::BLOCK_LEN)).unwrap_or(u32::MAX)
}
