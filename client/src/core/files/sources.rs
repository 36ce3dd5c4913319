//! Whom a download asks: the holders that the server has named, and the links to some of them.
//!
//! Owns the choice. Must not know blocks.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use protocol::{ChunkIndex, ChunkSet, Username, time::MonoMs};

use super::{Base, out::Out, reach::Reach};
use crate::core::peers::LinkId;

/// Links that one download uses at a time: enough to fill any line and to find rare chunks.
pub(super) const LINKS_MAX: usize = 16;
/// A holder that says he does not have the file is not asked again so soon.
const DECLINED: Duration = Duration::from_secs(10);
/// Chunks that are looked at to tell which of many holders has rare ones.
const SAMPLE: usize = 256;

#[derive(Debug)]
struct Holder {
    held: ChunkSet,
    /// So that not everybody turns to the same holders.
    order: u64,
}

#[derive(Debug, Default)]
pub(super) struct Sources {
    holders: BTreeMap<Username, Holder>,
    /// With how many chunks they said they hold.
    joined: BTreeMap<LinkId, (Username, u32)>,
    declined: BTreeMap<Username, MonoMs>,
    expelled: BTreeSet<Username>,
    /// To whom a link was sought since something came last.
    tried: BTreeSet<Username>,
}

/// What has changed about the links in use.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) joined: Vec<(LinkId, Username, ChunkSet)>,
    pub(super) left: Vec<LinkId>,
}

impl Sources {
    /// What the server says now. This user himself is no source.
    pub(super) fn found(&mut self, found: Vec<(Username, ChunkSet)>, base: &mut Base) {
        let mut holders = BTreeMap::new();
        for (user, held) in found.into_iter().filter(|(user, _)| Some(user) != base.user.as_ref()) {
            let known = self.holders.get(&user).map(|holder| holder.order);
            let order = known.unwrap_or_else(|| u64::from_be_bytes(base.random.bytes()));
            holders.insert(user, Holder { held, order });
        }
        self.holders = holders;
    }

    /// Uses links that stand, and asks for others, to those who have something of what is missing.
    pub(super) fn link_up(&mut self, missing: &ChunkSet, base: &mut Base) -> Changes {
        let Base { out, reach, .. } = base;
        let useful = self.useful(missing, out.now);
        let mut changes = Changes::default();
        let mut strangers = Vec::new();
        for user in useful {
            match out.link_to(&user) {
                Some(link) if self.joined.contains_key(&link) => {}
                Some(link) if self.joined.len() < LINKS_MAX => {
                    if let Some(holder) = self.holders.get(&user) {
                        self.joined.insert(link, (user.clone(), holder.held.len()));
                        changes.joined.push((link, user, holder.held.clone()));
                    }
                }
                None if reach.may_ask(&user, out.now) => strangers.push(user),
                _ => {}
            }
        }
        let asked = self.holders.keys().filter(|user| reach.is_asked(user)).count();
        if !strangers.is_empty() && self.joined.len() + asked >= LINKS_MAX {
            // Who has nothing more to give makes room.
            let useful: BTreeSet<Username> = self.useful(missing, out.now).into_iter().collect();
            let idle = self.joined.iter().filter(|(_, (user, _))| !useful.contains(user));
            changes.left = idle.map(|(&link, _)| link).collect();
            changes.left.iter().for_each(|link| _ = self.joined.remove(link));
        }
        let room = LINKS_MAX.saturating_sub(self.joined.len() + asked);
        if strangers.len() > room {
            self.rarest_first(&mut strangers, missing);
        }
        for user in strangers.iter().take(room) {
            self.ask(user, reach, out);
        }
        changes
    }

    /// Nothing of what is missing comes from those in use. Tries all that are left once; `false` when that was
    /// done, to no avail.
    pub(super) fn try_all(&mut self, missing: &ChunkSet, base: &mut Base) -> bool {
        let Base { out, reach, .. } = base;
        let useful = self.useful(missing, out.now);
        let strangers = useful.into_iter().filter(|user| out.link_to(user).is_none());
        let (asked, others): (Vec<_>, Vec<_>) = strangers.partition(|user| reach.is_asked(user));
        let untried: Vec<Username> = others.into_iter().filter(|user| !self.tried.contains(user)).collect();
        let room = LINKS_MAX.saturating_sub(asked.len());
        for user in untried.iter().take(room) {
            self.ask(user, reach, out);
        }
        !asked.is_empty() || !untried.is_empty()
    }

    /// Something useful came: whoever could not be reached may be tried afresh when that ends.
    pub(super) fn moved(&mut self) {
        self.tried.clear();
    }

    /// That holder does not have the file, whatever the server says.
    pub(super) fn declined(&mut self, link: LinkId, now: MonoMs) {
        if let Some((user, _)) = self.joined.remove(&link) {
            self.declined.insert(user, now.after(DECLINED));
        }
    }

    /// Nothing more is asked of that user.
    pub(super) fn expel(&mut self, user: &Username) {
        self.joined.retain(|_, (joined, _)| joined != user);
        self.expelled.insert(user.clone());
    }

    /// What a source says he holds; whether that is more than before.
    pub(super) fn holds(&mut self, link: LinkId, count: u32) -> bool {
        let Some((_, known)) = self.joined.get_mut(&link) else { return false };
        std::mem::replace(known, count) < count
    }

    pub(super) fn leave(&mut self, link: LinkId) -> bool {
        self.joined.remove(&link).is_some()
    }

    pub(super) fn user(&self, link: LinkId) -> Option<&Username> {
        self.joined.get(&link).map(|(user, _)| user)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.joined.keys().copied()
    }

    /// The links in use, with what the server says of them.
    pub(super) fn joined(&self) -> Vec<(LinkId, Username, ChunkSet)> {
        let held = |user| self.holders.get(user).map(|holder| holder.held.clone());
        let all = self.joined.iter();
        all.filter_map(|(&link, (user, _))| Some((link, user.clone(), held(user)?))).collect()
    }

    fn ask(&mut self, user: &Username, reach: &mut Reach, out: &mut Out) {
        self.tried.insert(user.clone());
        reach.ask(user, out);
    }

    /// Those who have something that is missing and may be asked.
    fn useful(&self, missing: &ChunkSet, now: MonoMs) -> Vec<Username> {
        let is_useful = |(user, holder): &(&Username, &Holder)| {
            !self.expelled.contains(*user)
                && self.declined.get(*user).is_none_or(|until| *until <= now)
                && holder.held.iter().any(|chunk| missing.contains(chunk))
        };
        self.holders.iter().filter(is_useful).map(|(user, _)| user.clone()).collect()
    }

    fn rarest_first(&self, users: &mut [Username], missing: &ChunkSet) {
        let step = (missing.len() as usize).div_ceil(SAMPLE).max(1);
        let counted: Vec<(ChunkIndex, usize)> = missing
            .iter()
            .step_by(step)
            .map(|chunk| (chunk, self.holders.values().filter(|holder| holder.held.contains(chunk)).count()))
            .collect();
        users.sort_by_cached_key(|user| {
            let Some(holder) = self.holders.get(user) else { return (usize::MAX, 0) };
            let held = counted.iter().filter(|(chunk, _)| holder.held.contains(*chunk));
            (held.map(|(_, count)| *count).min().unwrap_or(usize::MAX), holder.order)
        });
    }
}
