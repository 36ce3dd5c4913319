//! Who is online, who was, and who came and went in this turn.
//!
//! Presence is quadratic by nature (everyone is told of everyone), so a turn's changes leave together.

use core::time::Duration;
use std::collections::BTreeMap;

use protocol::{
    Frame, PresenceChange, ServerFrame, Username,
    limits::LIST_LEN_MAX,
    time::{MonoMs, Now, UnixMs},
};

use super::effect::ConnId;

#[derive(Debug, Default)]
pub(super) struct Presence {
    online: BTreeMap<Username, ConnId>,
    /// When those who were online, and are not now, left.
    left_at: BTreeMap<Username, MonoMs>,
    changes: Vec<(Username, PresenceChange)>,
}

impl Presence {
    /// Nobody is online; `last_seen` tells when somebody was.
    pub(super) fn recover(last_seen: impl Iterator<Item = (Username, UnixMs)>, now: Now) -> Self {
        // Whoever left before the monotonic clock's origin left too long ago for it to tell.
        let on_mono = |at: UnixMs| Some(MonoMs(now.mono.0.checked_sub(now.wall.0.saturating_sub(at.0))?));
        let left_at = last_seen.filter_map(|(user, at)| Some((user, on_mono(at)?))).collect();
        Self { left_at, ..Self::default() }
    }

    /// The connection of a user who is online.
    pub(super) fn conn(&self, user: &Username) -> Option<ConnId> {
        self.online.get(user).copied()
    }

    /// Everyone online, sorted by name.
    pub(super) fn online(&self) -> impl Iterator<Item = (&Username, ConnId)> {
        self.online.iter().map(|(user, &conn)| (user, conn))
    }

    /// How many are online.
    pub(super) fn count(&self) -> usize {
        self.online.len()
    }

    /// Everyone online now or at any time in the past `span`, sorted by name.
    pub(super) fn since(&self, now: MonoMs, span: Duration) -> Vec<Username> {
        let recent = self.left_at.iter().filter(|&(_, &left)| now.since(left) <= span).map(|(user, _)| user);
        let mut users: Vec<Username> = self.online.keys().chain(recent).cloned().collect();
        users.sort_unstable();
        users
    }

    /// The user is online over `conn`. Nobody hears of it if he was already, over another.
    pub(super) fn came(&mut self, user: &Username, conn: ConnId) {
        self.left_at.remove(user);
        if self.online.insert(user.clone(), conn).is_none() {
            self.changes.push((user.clone(), PresenceChange::Login));
        }
    }

    /// The user is no longer online.
    pub(super) fn left(&mut self, user: &Username, how: PresenceChange, now: MonoMs) {
        self.online.remove(user);
        self.left_at.insert(user.clone(), now);
        self.changes.push((user.clone(), how));
    }

    /// Takes the changes since the last call as frames that fit the wire's limit, each with the one user it
    /// is all about, if there is such.
    pub(super) fn take_frames(&mut self) -> Vec<(Frame, Option<Username>)> {
        let changes = std::mem::take(&mut self.changes);
        let mut frames = Vec::new();
        for group in by_len(&changes, |(user, _)| user.as_str().len() + CHANGE_LEN_MAX) {
            let about = match group {
                [(user, _)] => Some(user.clone()),
                _ => None,
            };
            frames.push((ServerFrame::Presence { changes: group.to_vec() }.encode(), about));
        }
        frames
    }
}

/// The longest word of a change, and the spaces around it.
const CHANGE_LEN_MAX: usize = 10;

/// Cuts a list into groups whose lengths add up to at most [`LIST_LEN_MAX`].
pub(super) fn by_len<T>(items: &[T], len: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut groups = Vec::new();
    let (mut rest, mut at, mut total) = (items, 0, 0);
    while let Some(item) = rest.get(at) {
        total += len(item);
        if total > LIST_LEN_MAX && at > 0 {
            let (group, behind) = rest.split_at(at);
            groups.push(group);
            (rest, at, total) = (behind, 0, 0);
        } else {
            at += 1;
        }
    }
    if !rest.is_empty() {
        groups.push(rest);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_and_the_limit() {
        let items: Vec<usize> = (0..5_000).collect();
        let groups = by_len(&items, |_| 33);
        assert!(groups.iter().all(|g| g.len() * 33 <= LIST_LEN_MAX && !g.is_empty()));
        assert_eq!(groups.concat(), items);
        assert!(by_len(&[] as &[u8], |_| 1).is_empty());
        assert_eq!(by_len(&[1, 2], |_| LIST_LEN_MAX + 1).len(), 2, "an oversized item stands alone");
    }
}
