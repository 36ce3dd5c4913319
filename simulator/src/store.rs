//! A store that takes its time and may fail, and answers in the order in which it was asked. When its server
//! crashes, what it had not written yet is gone.
//!
//! Owns what is durable. Must not know the hub's own counts: the checks compare the two.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{FileName, Username, time::UnixMs};
use server::hub::{
    ConnId, KnownId, MailboxPage, Recovered, RegisteredFile, Sequence, StoreOperation, StoredMessage, Tried,
    TriesRecord,
};

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
    files: BTreeMap<FileName, RegisteredFile>,
    last_seen: BTreeMap<Username, (UnixMs, bool)>,
    alive_at: UnixMs,
    /// With the number that tells their order.
    tries: BTreeMap<Tried, (u64, TriesRecord)>,
    last_number: u64,
    known_ids: BTreeMap<(Username, u64), KnownId>,
    secret: [u8; 32],
    jobs: VecDeque<(u64, Job)>,
    /// Answers that were given before their time.
    hurried: VecDeque<Answer>,
}

impl Store {
    pub(crate) fn new(moods: Moods, sabotage: Option<Sabotage>, secret: [u8; 32]) -> Self {
        Self {
            moods,
            sabotage,
            mailboxes: BTreeMap::new(),
            blocks: BTreeMap::new(),
            files: BTreeMap::new(),
            last_seen: BTreeMap::new(),
            alive_at: UnixMs(0),
            tries: BTreeMap::new(),
            last_number: 0,
            known_ids: BTreeMap::new(),
            secret,
            jobs: VecDeque::new(),
            hurried: VecDeque::new(),
        }
    }

    /// The server crashes: of what was under way, some was written in time, though nobody was told.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        let written = dice.size(0, self.jobs.len());
        self.hurried.clear();
        for (place, (_, job)) in std::mem::take(&mut self.jobs).into_iter().enumerate() {
            if let Job::Commit { operations, .. } = job
                && place < written
                && self.sabotage != Some(Sabotage::StoreHurries)
            {
                self.apply_all(operations);
            }
        }
    }

    /// What a new server starts with.
    pub(crate) fn recovered(&self, now: UnixMs) -> Recovered {
        let messages = || self.mailboxes.values().flatten();
        let mailbox = |(user, mailbox): (&Username, &BTreeMap<Sequence, StoredMessage>)| {
            (user.clone(), mailbox.len(), mailbox.values().map(|message| message.text.len()).sum())
        };
        let mut tries: Vec<_> = self.tries.iter().collect();
        tries.sort_unstable_by_key(|(_, (number, _))| *number);
        let seen = |(user, &(at, online)): (&Username, &(UnixMs, bool))| {
            (user.clone(), if online { at.max(self.alive_at) } else { at })
        };
        Recovered {
            secret: self.secret,
            last_sequence: messages().map(|(&sequence, _)| sequence).max().unwrap_or_default(),
            mailboxes: self.mailboxes.iter().filter(|(_, m)| !m.is_empty()).map(mailbox).collect(),
            blocks: self
                .blocks
                .iter()
                .flat_map(|(by, l)| l.iter().map(|u| (by.clone(), u.clone())))
                .collect(),
            last_seen: self.last_seen.iter().map(seen).collect(),
            tries: tries.into_iter().map(|(who, &(_, record))| (who.clone(), record)).collect(),
            known_ids: self.known_ids.values().filter(|known| known.until > now).cloned().collect(),
            files: self.files.values().cloned().collect(),
        }
    }

    /// Takes a job; returns when it is done.
    pub(crate) fn start(&mut self, now_ms: u64, dice: &mut Dice, job: Job) -> u64 {
        let own_ms = now_ms + dice.skewed(0, self.moods.delay_max_ms);
        let done_ms = self.jobs.back().map_or(own_ms, |&(before_ms, _)| before_ms.max(own_ms));
        if let Job::Commit { batch, .. } = job
            && self.sabotage == Some(Sabotage::StoreHurries)
        {
            self.hurried.push_back(Answer::Committed { batch, durable: true });
        }
        self.jobs.push_back((done_ms, job));
        if self.hurried.is_empty() { done_ms } else { now_ms }
    }

    pub(crate) fn finished(&mut self, now_ms: u64, dice: &mut Dice) -> Option<Answer> {
        if let Some(hurried) = self.hurried.pop_front() {
            return Some(hurried);
        }
        if self.jobs.front()?.0 > now_ms {
            return None;
        }
        let (_, job) = self.jobs.pop_front()?;
        if self.sabotage == Some(Sabotage::StoreHurries)
            && let Job::Commit { operations, .. } = job
        {
            self.apply_all(operations);
            return self.finished(now_ms, dice);
        }
        Some(match job {
            Job::Commit { batch, operations } => {
                let durable = !dice.chance(self.moods.commit_fails);
                if durable {
                    self.apply_all(operations);
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

    fn apply_all(&mut self, operations: Vec<StoreOperation>) {
        for operation in operations {
            self.apply(operation);
        }
    }

    fn apply(&mut self, operation: StoreOperation) {
        match operation {
            StoreOperation::Keep { to, message, known } => {
                self.remember(known);
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
            StoreOperation::Remember(known) => self.remember(known),
            StoreOperation::LastSeen { user, at, online } => {
                self.last_seen.insert(user, (at, online));
            }
            StoreOperation::Alive { at } => self.alive_at = at,
            StoreOperation::Tries { who, record } if record == TriesRecord::default() => {
                self.tries.remove(&who);
            }
            StoreOperation::Tries { who, record } => {
                self.last_number += 1;
                self.tries.entry(who).or_insert((self.last_number, record)).1 = record;
            }
            StoreOperation::RegisterFile(file) => {
                self.files.insert(file.name.clone(), file);
            }
            StoreOperation::UnregisterFile { name } => {
                self.files.remove(&name);
            }
        }
    }

    fn remember(&mut self, known: KnownId) {
        let forgotten = (known.from.clone(), 0)..=(known.from.clone(), known.forget_to);
        let forgotten: Vec<_> = self.known_ids.range(forgotten).map(|(key, _)| key.clone()).collect();
        for key in forgotten {
            self.known_ids.remove(&key);
        }
        self.known_ids.insert((known.from.clone(), known.ordinal), known);
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
