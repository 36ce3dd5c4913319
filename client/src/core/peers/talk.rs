//! A private talk with one user: what was said and not heard yet, what was shown.
//!
//! Owns the numbers. Must not know links beyond which one the talk uses.

use core::time::Duration;
use std::collections::VecDeque;

use protocol::{PeerFrame, time::MonoMs};

use super::{LinkId, commands::Later};

/// Private messages that the other side has not confirmed yet: a person does not type so many, and a script waits.
pub(super) const UNHEARD_MAX: usize = 256;
/// How long the other side may take to show one message: as long as a dead one takes to be found. Who never confirms
/// anything must not hold up what is typed.
const HEARD_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Talk {
    /// Over which link we speak; we listen on every one.
    pub(super) link: LinkId,
    next_out: u64,
    unheard: VecDeque<Unheard>,
    /// When the other side last confirmed something, or the first of what it has not confirmed was said.
    waits_since: MonoMs,
    /// What was typed behind a `stopprivate` that waits for confirmations, and that itself as the first.
    pub(super) later: Vec<Later>,
    next_in: u64,
    shown: u64,
}

#[derive(Debug)]
struct Unheard {
    number: u64,
    /// The command that waits for it.
    command: u64,
    text: String,
}

impl Talk {
    pub(super) fn new(link: LinkId) -> Self {
        Self {
            link,
            next_out: 0,
            unheard: VecDeque::new(),
            waits_since: MonoMs::default(),
            later: Vec::new(),
            next_in: 0,
            shown: 0,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.unheard.len() + self.later.len() < UNHEARD_MAX
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.unheard.is_empty()
    }

    /// Something is said: its number.
    pub(super) fn say(&mut self, command: u64, text: String, now: MonoMs) -> u64 {
        if self.unheard.is_empty() {
            self.waits_since = now;
        }
        let number = self.next_out;
        self.next_out += 1;
        self.unheard.push_back(Unheard { number, command, text });
        number
    }

    /// When the other side has taken too long to confirm something.
    pub(super) fn deadline(&self) -> Option<MonoMs> {
        (!self.unheard.is_empty()).then(|| self.waits_since.after(HEARD_TIME_MAX))
    }

    /// From here on it is spoken over another link, where the wait for confirmations begins anew.
    pub(super) fn moves_to(&mut self, link: LinkId, now: MonoMs) {
        (self.link, self.waits_since) = (link, now);
    }

    /// What must be said again over another link.
    pub(super) fn again(&self) -> impl Iterator<Item = PeerFrame<'_>> {
        self.unheard.iter().map(|said| PeerFrame::Private { number: said.number, text: &said.text })
    }

    /// The other side has shown everything up to that number: the commands that have their answer now.
    pub(super) fn heard(&mut self, number: u64, now: MonoMs) -> Vec<u64> {
        let mut commands = Vec::new();
        while self.unheard.front().is_some_and(|said| said.number <= number) {
            commands.extend(self.unheard.pop_front().map(|said| said.command));
            self.waits_since = now;
        }
        commands
    }

    /// Something came: whether it is new. What came out of turn is not.
    pub(super) fn take(&mut self, number: u64) -> bool {
        let is_next = number == self.next_in;
        self.next_in += u64::from(is_next);
        is_next
    }

    /// One more was shown: its number.
    pub(super) fn shown(&mut self) -> u64 {
        self.shown += 1;
        self.shown - 1
    }

    /// The commands whose messages may or may not have arrived.
    pub(super) fn unheard(self) -> impl Iterator<Item = u64> {
        self.unheard.into_iter().map(|said| said.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_is_answered_once_and_the_rest_is_said_again() {
        let mut talk = Talk::new(LinkId(1));
        for command in [5, 6, 7] {
            talk.say(command, "x".to_owned(), MonoMs(1));
        }
        assert_eq!(talk.deadline(), Some(MonoMs(30_001)));
        assert_eq!(talk.heard(1, MonoMs(2)), [5, 6]);
        assert!(talk.heard(1, MonoMs(3)).is_empty());
        assert_eq!(talk.deadline(), Some(MonoMs(30_002)), "what was heard before buys no time");
        assert_eq!(talk.again().count(), 1);
        assert_eq!(talk.unheard().collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn what_comes_twice_is_shown_once() {
        let mut talk = Talk::new(LinkId(1));
        assert!(talk.take(0) && !talk.take(0) && talk.take(1) && !talk.take(3));
        assert_eq!((talk.shown(), talk.shown()), (0, 1));
    }
}
