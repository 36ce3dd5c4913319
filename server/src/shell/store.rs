//! The store: what waits for users who are away. In memory, so it is lost with the process; it answers the
//! same effects that a store on disk will.

use std::collections::BTreeMap;

use protocol::Username;

use crate::hub::{MailboxPage, Sequence, StoreOperation, StoredMessage};

/// Waiting messages, by recipient and order. The rest of what the hub notes lives in the hub for as long as
/// the process does, so nothing is kept of it here.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    mailboxes: BTreeMap<Username, BTreeMap<Sequence, StoredMessage>>,
}

impl MemoryStore {
    pub(super) fn commit(&mut self, operations: Vec<StoreOperation>) {
        for operation in operations {
            match operation {
                StoreOperation::Keep { to, message } => {
                    self.mailboxes.entry(to).or_default().insert(message.sequence, message);
                }
                StoreOperation::Drop { to, sequence } => {
                    if let Some(mailbox) = self.mailboxes.get_mut(&to) {
                        mailbox.remove(&sequence);
                        if mailbox.is_empty() {
                            self.mailboxes.remove(&to);
                        }
                    }
                }
                StoreOperation::Block { .. }
                | StoreOperation::Unblock { .. }
                | StoreOperation::LastSeen { .. }
                | StoreOperation::RegisterFile(_)
                | StoreOperation::UnregisterFile { .. }
                | StoreOperation::SetHolding(_) => {}
            }
        }
    }

    /// The oldest messages of a user behind `after`: at least one, and up to `len_max` bytes of text.
    pub(super) fn load(&self, user: &Username, after: Sequence, len_max: usize) -> MailboxPage {
        let mut page = MailboxPage::default();
        let mut len = 0;
        for (&sequence, message) in self.mailboxes.get(user).into_iter().flatten() {
            if sequence <= after {
                continue;
            }
            len += message.text.len();
            if len > len_max && !page.messages.is_empty() {
                page.more = true;
                break;
            }
            page.messages.push(message.clone());
        }
        page
    }
}
