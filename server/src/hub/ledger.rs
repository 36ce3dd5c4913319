//! What must become durable, gathered per turn, and the promises that wait for it.
//!
//! Owns the batches. Must not know how a promise is kept or broken; the hub does that when a batch is settled.

use std::collections::BTreeMap;

use protocol::{FileName, MessageId, RequestId, Username};

use super::effect::{ConnId, Sequence, StoreOperation};

/// An answer that nobody gets before the store has it.
#[derive(Debug)]
pub(super) enum Promise {
    /// A message was to be kept; its sender is told `stored`.
    Kept { to: Username, sequence: Sequence, from: Username, id: MessageId, text_len: usize },
    /// A message was to be dropped.
    Dropped { to: Username, sequence: Sequence },
    /// A block was to be remembered.
    Blocked { conn: ConnId, request: RequestId, by: Username, user: Username },
    /// An unblock was to be remembered.
    Unblocked { conn: ConnId, request: RequestId, by: Username, user: Username },
    /// A name was to be kept for a file.
    Registered { conn: ConnId, request: RequestId, name: FileName },
    /// A name was to be given up.
    Unregistered { conn: ConnId, request: RequestId, name: FileName },
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    operations: Vec<StoreOperation>,
    promises: Vec<Promise>,
    last_batch: u64,
    unsettled: BTreeMap<u64, Vec<Promise>>,
}

impl Ledger {
    /// Notes a change that nobody waits for.
    pub(super) fn note(&mut self, operation: StoreOperation) {
        self.operations.push(operation);
    }

    /// Notes a change and who waits for it.
    pub(super) fn promise(&mut self, operation: StoreOperation, promise: Promise) {
        self.operations.push(operation);
        self.promises.push(promise);
    }

    /// The changes since the last call as one batch, if there are any.
    pub(super) fn close_batch(&mut self) -> Option<(u64, Vec<StoreOperation>)> {
        if self.operations.is_empty() {
            return None;
        }
        self.last_batch += 1;
        self.unsettled.insert(self.last_batch, std::mem::take(&mut self.promises));
        Some((self.last_batch, std::mem::take(&mut self.operations)))
    }

    /// The promises of a batch whose end is known.
    pub(super) fn settle(&mut self, batch: u64) -> Vec<Promise> {
        self.unsettled.remove(&batch).unwrap_or_default()
    }

    /// Whether everything noted so far has been answered by the store.
    pub(super) fn is_settled(&self) -> bool {
        self.operations.is_empty() && self.unsettled.is_empty()
    }
}
