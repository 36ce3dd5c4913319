//! The ids of messages that came lately, per sender, so that a resend is answered and not delivered again.
//!
//! Owns what became of each. Must not know mailboxes.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use protocol::{ErrorCode, MessageId, RequestId, Username};

use super::effect::ConnId;

/// Tells whether a resend says the same as before. Only the sender could gain from a collision, and he would
/// only fool himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn of(to: Option<&Username>, text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (to, text).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Who is told how a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) conn: ConnId,
    pub(super) request: RequestId,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Neither delivered nor durable; the waiter is told when it is.
    Pending(Waiter),
    Stored,
    Delivered,
    /// A broadcast.
    Sent {
        recipients: u64,
        blocked: bool,
    },
    /// Nothing was done. A resend, whose sender may never have seen that, must not come behind what he sent since.
    Refused(ErrorCode),
}

#[derive(Debug, Default)]
pub(super) struct KnownIds {
    senders: BTreeMap<Username, Sender>,
}

#[derive(Debug, Default)]
struct Sender {
    messages: BTreeMap<MessageId, (Digest, Fate)>,
    /// Those whose fate is known, the oldest first; may hold ids that were forgotten since.
    settled: VecDeque<MessageId>,
    pending: usize,
}

impl KnownIds {
    pub(super) fn get(&self, from: &Username, id: MessageId) -> Option<(Digest, Fate)> {
        self.senders.get(from)?.messages.get(&id).copied()
    }

    /// Messages of that sender whose fate is open.
    pub(super) fn pending(&self, from: &Username) -> usize {
        self.senders.get(from).map_or(0, |sender| sender.pending)
    }

    /// Remembers a message. Of those whose fate is known it forgets the oldest if they are more than `count_max`.
    pub(super) fn insert(
        &mut self,
        from: &Username,
        id: MessageId,
        digest: Digest,
        fate: Fate,
        count_max: usize,
    ) {
        let sender = self.senders.entry(from.clone()).or_default();
        sender.messages.insert(id, (digest, fate));
        match fate {
            Fate::Pending(_) => sender.pending += 1,
            _ => sender.settled.push_back(id),
        }
        while sender.settled.len() > count_max {
            if let Some(oldest) = sender.settled.pop_front() {
                sender.messages.remove(&oldest);
            }
        }
    }

    /// The sender asks again. False if he does over the same connection: then his first request is still open,
    /// and will be answered.
    pub(super) fn set_waiter(&mut self, from: &Username, id: MessageId, waiter: Waiter) -> bool {
        match self.message_mut(from, id) {
            Some((_, Fate::Pending(first))) if first.conn == waiter.conn => false,
            Some((_, fate @ Fate::Pending(_))) => {
                *fate = Fate::Pending(waiter);
                true
            }
            _ => true,
        }
    }

    /// The fate is known now. Returns who waits for it. What was delivered stays delivered.
    pub(super) fn settle(&mut self, from: &Username, id: MessageId, settled: Fate) -> Option<Waiter> {
        let (_, fate) = self.message_mut(from, id)?;
        let before = *fate;
        if before != Fate::Delivered {
            *fate = settled;
        }
        match before {
            Fate::Pending(waiter) => {
                self.one_pending_fewer(from);
                if let Some(sender) = self.senders.get_mut(from) {
                    sender.settled.push_back(id);
                }
                Some(waiter)
            }
            _ => None,
        }
    }

    fn message_mut(&mut self, from: &Username, id: MessageId) -> Option<&mut (Digest, Fate)> {
        self.senders.get_mut(from)?.messages.get_mut(&id)
    }

    fn one_pending_fewer(&mut self, from: &Username) {
        if let Some(sender) = self.senders.get_mut(from) {
            sender.pending = sender.pending.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId { index: 0, generation: 0 };

    fn waiter(n: u32) -> Waiter {
        Waiter { conn: CONN, request: RequestId(n) }
    }

    #[test]
    fn an_open_fate_is_never_forgotten_and_others_are_bounded() {
        let from: Username = "ada".parse().unwrap();
        let digest = Digest::of(None, "x");
        let mut known = KnownIds::default();
        known.insert(&from, MessageId(0), digest, Fate::Pending(waiter(1)), 10);
        for n in 1..100 {
            known.insert(&from, MessageId(n), digest, Fate::Stored, 10);
        }
        assert_eq!(known.get(&from, MessageId(0)), Some((digest, Fate::Pending(waiter(1)))));
        assert_eq!(known.get(&from, MessageId(80)), None);
        assert_eq!(known.get(&from, MessageId(99)), Some((digest, Fate::Stored)));
        assert!(known.senders[&from].messages.len() <= 11 && known.senders[&from].settled.len() <= 10);
        assert_eq!(known.pending(&from), 1);
        assert_eq!(known.settle(&from, MessageId(0), Fate::Delivered), Some(waiter(1)));
        assert_eq!(known.settle(&from, MessageId(0), Fate::Delivered), None, "told once");
        assert_eq!(known.pending(&from), 0);
    }

    #[test]
    fn another_text_or_recipient_is_another_message() {
        let to: Username = "alan".parse().unwrap();
        assert_ne!(Digest::of(Some(&to), "x"), Digest::of(Some(&to), "y"));
        assert_ne!(Digest::of(Some(&to), "x"), Digest::of(None, "x"));
    }
}
