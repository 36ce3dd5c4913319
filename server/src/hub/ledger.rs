//! What must become durable, gathered per turn, and the promises that wait for it.
//!
//! Owns the batches. Must not know how a promise is kept or broken; the hub does that when a batch is settled.
//!
//! One batch is on its way at a time. What comes meanwhile is the next one, so that a slow disk is asked for fewer
//! and larger batches, and nothing queues in front of it. A change that nobody waits for is a note: the latest of
//! a topic replaces the one before, and one that the store did not take is tried again once it takes others.

use std::collections::BTreeMap;

use protocol::{FileName, MessageId, RequestId, Username};

use super::{
    durable::{KnownId, Tried},
    effect::{ConnId, Sequence, StoreOperation},
};

/// An answer that nobody gets before the store has it.
#[derive(Debug)]
pub(super) enum Promise {
    /// A message was to be kept; its sender is told `stored`.
    Kept { to: Username, sequence: Sequence, from: Username, id: MessageId, text_len: usize },
    /// A message was dropped.
    Dropped { to: Username, sequence: Sequence },
    /// A block was to be remembered.
    Blocked { conn: ConnId, request: RequestId, by: Username, user: Username, is_repeated: bool },
    /// An unblock was to be remembered.
    Unblocked { conn: ConnId, request: RequestId, by: Username, user: Username, is_repeated: bool },
    /// A name was to be kept for a file.
    Registered { conn: ConnId, request: RequestId, name: FileName },
    /// A name was to be given up.
    Unregistered { conn: ConnId, request: RequestId, name: FileName },
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    operations: Vec<StoreOperation>,
    promises: Vec<Promise>,
    notes: Notes,
    /// Notes that the store did not take.
    owed: Notes,
    last_batch: u64,
    unsettled: BTreeMap<u64, Batch>,
    /// Bytes of text in all of this.
    text_len: usize,
}

type Notes = BTreeMap<Topic, StoreOperation>;

#[derive(Debug)]
struct Batch {
    promises: Vec<Promise>,
    notes: Notes,
    text_len: usize,
}

/// What a note is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Topic {
    Dropped(Sequence),
    LastSeen(Username),
    Alive,
    Tries(Tried),
    Known(Username, u64),
}

impl Topic {
    /// `None`: this is not to be replaced by a later one.
    fn of(operation: &StoreOperation) -> Option<Self> {
        match operation {
            StoreOperation::Drop { sequence, .. } => Some(Self::Dropped(*sequence)),
            StoreOperation::LastSeen { user, .. } => Some(Self::LastSeen(user.clone())),
            StoreOperation::Alive { .. } => Some(Self::Alive),
            StoreOperation::Tries { who, .. } => Some(Self::Tries(who.clone())),
            StoreOperation::Remember(KnownId { from, ordinal, .. }) => {
                Some(Self::Known(from.clone(), *ordinal))
            }
            StoreOperation::Keep { .. }
            | StoreOperation::Block { .. }
            | StoreOperation::Unblock { .. }
            | StoreOperation::RegisterFile(_)
            | StoreOperation::UnregisterFile { .. } => None,
        }
    }
}

impl Ledger {
    /// Notes a change that nobody waits for.
    pub(super) fn note(&mut self, operation: StoreOperation) {
        if let StoreOperation::Remember(known) = &operation {
            self.forget(known);
        }
        match Topic::of(&operation) {
            Some(topic) => {
                self.owed.remove(&topic);
                self.notes.insert(topic, operation);
            }
            None => self.operations.push(operation),
        }
    }

    /// Notes a change and who waits for it.
    pub(super) fn promise(&mut self, operation: StoreOperation, promise: Promise) {
        if let StoreOperation::Keep { message, known, .. } = &operation {
            self.text_len += message.text.len();
            self.forget(known);
        }
        self.operations.push(operation);
        self.promises.push(promise);
    }

    /// The changes since the last call as one batch, if there are any and none is on its way.
    pub(super) fn close_batch(&mut self) -> Option<(u64, Vec<StoreOperation>)> {
        self.unsettled.is_empty().then(|| self.force_batch())?
    }

    /// The same, if among the changes is a message for that user: what is read next must contain it.
    pub(super) fn close_batch_for(&mut self, user: &Username) -> Option<(u64, Vec<StoreOperation>)> {
        let is_for =
            |operation: &StoreOperation| matches!(operation, StoreOperation::Keep { to, .. } if to == user);
        self.operations.iter().any(is_for).then(|| self.force_batch())?
    }

    /// The store has answered: the promises of that batch. Notes that were not taken are kept, unless newer ones
    /// are under way, and go out again when a batch was taken.
    pub(super) fn settle(&mut self, number: u64, durable: bool) -> Vec<Promise> {
        let Some(Batch { mut promises, notes, text_len }) = self.unsettled.remove(&number) else {
            return Vec::new();
        };
        self.text_len -= text_len;
        if durable {
            promises.extend(notes.into_values().filter_map(|note| match note {
                StoreOperation::Drop { to, sequence } => Some(Promise::Dropped { to, sequence }),
                _ => None,
            }));
            self.retry();
        } else {
            for (topic, note) in notes {
                let is_old = self.notes.contains_key(&topic)
                    || self.unsettled.values().any(|batch| batch.notes.contains_key(&topic));
                if !is_old {
                    self.owed.insert(topic, note);
                }
            }
        }
        promises
    }

    /// Has what the store did not take go out again.
    pub(super) fn retry(&mut self) {
        for (topic, note) in std::mem::take(&mut self.owed) {
            self.notes.entry(topic).or_insert(note);
        }
    }

    /// Bytes of text that the store has not confirmed yet.
    pub(super) fn text_len(&self) -> usize {
        self.text_len
    }

    /// Whether everything noted so far has been answered by the store.
    pub(super) fn is_settled(&self) -> bool {
        self.operations.is_empty() && self.notes.is_empty() && self.unsettled.is_empty()
    }

    /// However long the store takes nothing: no more of a sender waits than is remembered of him.
    fn forget(&mut self, known: &KnownId) {
        let forgotten = Topic::Known(known.from.clone(), known.forget_to);
        self.notes.remove(&forgotten);
        self.owed.remove(&forgotten);
    }

    fn force_batch(&mut self) -> Option<(u64, Vec<StoreOperation>)> {
        if self.operations.is_empty() && self.notes.is_empty() {
            return None;
        }
        self.last_batch += 1;
        let (mut operations, notes) = (std::mem::take(&mut self.operations), std::mem::take(&mut self.notes));
        let in_flight: usize = self.unsettled.values().map(|batch| batch.text_len).sum();
        operations.extend(notes.values().cloned());
        let promises = std::mem::take(&mut self.promises);
        let batch = Batch { promises, notes, text_len: self.text_len - in_flight };
        self.unsettled.insert(self.last_batch, batch);
        Some((self.last_batch, operations))
    }
}

#[cfg(test)]
mod tests {
    use protocol::time::UnixMs;

    use super::*;

    fn seen(at_ms: u64) -> StoreOperation {
        StoreOperation::LastSeen { user: "ada".parse().unwrap(), at: UnixMs(at_ms), online: false }
    }

    fn dropped(sequence: u64) -> StoreOperation {
        StoreOperation::Drop { to: "ada".parse().unwrap(), sequence: Sequence(sequence) }
    }

    #[test]
    fn one_batch_at_a_time_and_the_latest_note_of_a_topic() {
        let mut ledger = Ledger::default();
        ledger.note(seen(1));
        assert_eq!(ledger.close_batch(), Some((1, vec![seen(1)])));
        ledger.note(seen(2));
        ledger.note(seen(3));
        assert_eq!(ledger.close_batch(), None);
        ledger.settle(1, true);
        assert_eq!(ledger.close_batch(), Some((2, vec![seen(3)])));
        assert!(!ledger.is_settled());
        ledger.settle(2, true);
        assert!(ledger.is_settled());
    }

    #[test]
    fn what_was_not_taken_goes_out_again_when_something_else_was() {
        let mut ledger = Ledger::default();
        ledger.note(dropped(1));
        ledger.note(seen(1));
        ledger.close_batch().unwrap();
        ledger.note(seen(2));
        assert!(ledger.settle(1, false).is_empty());
        assert_eq!(
            ledger.close_batch(),
            Some((2, vec![seen(2)])),
            "a broken disk is not asked over and over"
        );
        ledger.settle(2, true);
        assert_eq!(ledger.close_batch(), Some((3, vec![dropped(1)])), "and what is newer is not undone");
        assert!(matches!(ledger.settle(3, true)[..], [Promise::Dropped { sequence: Sequence(1), .. }]));
        assert!(ledger.is_settled());
    }
}
