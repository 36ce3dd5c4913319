//! The ids of messages that came lately, per sender, so that a resend is answered and not delivered again.
//!
//! Owns what became of each. Must not know mailboxes.

use std::collections::{BTreeMap, VecDeque};

use protocol::{ErrorCode, MessageId, RequestId, Username, time::UnixMs};
use ring::digest::{Context, SHA256};

use super::{
    durable::{KnownFate, KnownId},
    effect::ConnId,
};

/// Tells whether a resend says the same as before, also to another version of this program. Only the sender could
/// gain from a collision, and he would only fool himself: half of the hash is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

impl Digest {
    pub(super) fn of(to: Option<&Username>, text: &str) -> Self {
        let mut context = Context::new(&SHA256);
        // No name has a line break.
        context.update(to.map_or("", Username::as_str).as_bytes());
        context.update(b"\n");
        context.update(text.as_bytes());
        let mut half = [0; 16];
        half.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(half)
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
    /// A restart forgets this.
    Refused(ErrorCode),
}

impl From<KnownFate> for Fate {
    fn from(fate: KnownFate) -> Self {
        match fate {
            KnownFate::Stored => Self::Stored,
            KnownFate::Delivered => Self::Delivered,
            KnownFate::Sent { recipients, blocked } => Self::Sent { recipients, blocked },
        }
    }
}

/// How long and how many of a sender's ids are remembered over restarts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) until: UnixMs,
    pub(super) count_max: usize,
}

#[derive(Debug, Default)]
pub(super) struct KnownIds {
    senders: BTreeMap<Username, Sender>,
}

#[derive(Debug, Default)]
struct Sender {
    messages: BTreeMap<MessageId, (Digest, Fate)>,
    /// Those whose fate is known, the oldest first.
    settled: VecDeque<MessageId>,
    pending: usize,
    /// Counts what was given to the store to remember.
    last_ordinal: u64,
}

impl KnownIds {
    /// As the last process left them.
    pub(super) fn recover(known_ids: Vec<KnownId>, count_max: usize) -> Self {
        let mut known = Self::default();
        for KnownId { from, id, ordinal, digest, fate, .. } in known_ids {
            known.insert(&from, id, Digest(digest), fate.into(), count_max);
            if let Some(sender) = known.senders.get_mut(&from) {
                sender.last_ordinal = ordinal.max(sender.last_ordinal);
            }
        }
        known
    }

    /// What the store must know of a message to know it again.
    pub(super) fn record(
        &mut self,
        from: &Username,
        id: MessageId,
        digest: Digest,
        fate: KnownFate,
        memory: Memory,
    ) -> KnownId {
        let sender = self.senders.entry(from.clone()).or_default();
        sender.last_ordinal += 1;
        KnownId {
            from: from.clone(),
            id,
            ordinal: sender.last_ordinal,
            digest: digest.0,
            fate,
            until: memory.until,
            forget_to: sender.last_ordinal.saturating_sub(memory.count_max as u64),
        }
    }

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

    /// The fate is known now. Returns who waits for it, and the message's digest. What was delivered stays
    /// delivered.
    pub(super) fn settle(
        &mut self,
        from: &Username,
        id: MessageId,
        settled: Fate,
    ) -> Option<(Waiter, Digest)> {
        let (digest, fate) = self.message_mut(from, id)?;
        let (digest, before) = (*digest, *fate);
        if before != Fate::Delivered {
            *fate = settled;
        }
        match before {
            Fate::Pending(waiter) => {
                self.one_pending_fewer(from);
                if let Some(sender) = self.senders.get_mut(from) {
                    sender.settled.push_back(id);
                }
                Some((waiter, digest))
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
        assert_eq!(known.settle(&from, MessageId(0), Fate::Delivered), Some((waiter(1), digest)));
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
