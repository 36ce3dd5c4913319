//! A store that takes its time and may fail, and answers in the order in which it was asked.
//!
//! Owns what is durable. Must not know the hub's own counts: the checks compare the two.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::Username;
use server::hub::{ConnId, MailboxPage, Sequence, StoreOperation, StoredMessage};

use crate::{Sabotage, dice::Dice};

/// What the hub asked for.
#[derive(Debug)]
pub(crate) enum Job {
    Commit { batch: u64, operations: Vec<StoreOperation> },
    Load { conn: ConnId, user: Username, after: Sequence, len_max: usize },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Answer {
    Committed { batch: u64, durable: bool },
    Loaded { conn: ConnId, user: Username, page: Option<MailboxPage> },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Moods {
    pub(crate) delay_max_ms: u64,
    /// Of a thousand commits and loads, so many fail.
    pub(crate) commit_fails: u64,
    pub(crate) load_fails: u64,
}

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) moods: Moods,
    sabotage: Option<Sabotage>,
    mailboxes: BTreeMap<Username, BTreeMap<Sequence, StoredMessage>>,
    blocks: BTreeMap<Username, BTreeSet<Username>>,
    jobs: VecDeque<(u64, Job)>,
}

impl Store {
    pub(crate) fn new(moods: Moods, sabotage: Option<Sabotage>) -> Self {
        Self { moods, sabotage, mailboxes: BTreeMap::new(), blocks: BTreeMap::new(), jobs: VecDeque::new() }
    }

    /// Takes a job; returns when it is done.
    pub(crate) fn start(&mut self, now_ms: u64, dice: &mut Dice, job: Job) -> u64 {
        let own_ms = now_ms + dice.skewed(0, self.moods.delay_max_ms);
        let done_ms = self.jobs.back().map_or(own_ms, |&(before_ms, _)| before_ms.max(own_ms));
        self.jobs.push_back((done_ms, job));
        done_ms
    }

    pub(crate) fn finished(&mut self, now_ms: u64, dice: &mut Dice) -> Option<Answer> {
        if self.jobs.front()?.0 > now_ms {
            return None;
        }
        let (_, job) = self.jobs.pop_front()?;
        Some(match job {
            Job::Commit { batch, operations } => {
                let durable = !dice.chance(self.moods.commit_fails);
                if durable {
                    for operation in operations {
                        self.apply(operation);
                    }
                }
                Answer::Committed { batch, durable }
            }
            Job::Load { conn, user, after, len_max } => {
                let readable = !dice.chance(self.moods.load_fails);
                let page = readable.then(|| self.page(&user, after, len_max));
                Answer::Loaded { conn, user, page }
            }
        })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Whether a message with this text waits for that user.
    pub(crate) fn holds(&self, user: &Username, text: &str) -> bool {
        self.mailboxes.get(user).into_iter().flatten().any(|(_, message)| &*message.text == text)
    }

    /// Messages that wait for anyone.
    pub(crate) fn messages_count(&self) -> usize {
        self.mailboxes.values().map(BTreeMap::len).sum()
    }

    pub(crate) fn blocklist(&self, by: &Username) -> Vec<Username> {
        self.blocks.get(by).into_iter().flatten().cloned().collect()
    }

    fn apply(&mut self, operation: StoreOperation) {
        match operation {
            StoreOperation::Keep { to, message, .. } => {
                if self.sabotage != Some(Sabotage::StoreForgets) {
                    self.mailboxes.entry(to).or_default().insert(message.sequence, message);
                }
            }
            StoreOperation::Drop { to, sequence } => {
                if let Some(mailbox) = self.mailboxes.get_mut(&to) {
                    mailbox.remove(&sequence);
                }
            }
            StoreOperation::Block { by, user } => {
                self.blocks.entry(by).or_default().insert(user);
            }
            StoreOperation::Unblock { by, user } => {
                if let Some(list) = self.blocks.get_mut(&by) {
                    list.remove(&user);
                }
            }
            _ => {}
        }
    }

    /// At least one message behind `after`, and up to `len_max` bytes of text.
    fn page(&self, user: &Username, after: Sequence, len_max: usize) -> MailboxPage {
        let mut page = MailboxPage::default();
        let mut len = 0;
        for (_, message) in self.mailboxes.get(user).into_iter().flatten().filter(|&(&at, _)| at > after) {
            len += message.text.len();
            if len > len_max && !page.messages.is_empty() {
                page.more = true;
                break;
            }
            page.messages.push(message.clone());
        }
        if self.sabotage == Some(Sabotage::StoreReverses) {
            page.messages.reverse();
        }
        page
    }
}
