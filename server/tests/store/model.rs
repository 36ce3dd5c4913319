//! What a store must hold, kept in plain maps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use protocol::{FileId, FileName, Layout, MessageId, Username, time::UnixMs};
use server::{
    hub::{
        KnownFate, KnownId, Recovered, RegisteredFile, Sequence, StoreOperation, StoredMessage, Tried,
        TriesRecord,
    },
    store::Store,
};

use crate::NOW;

pub(crate) const NAMES: [&str; 3] = ["ada", "grace", "Zoë"];

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Model {
    messages: BTreeMap<Username, BTreeMap<Sequence, StoredMessage>>,
    mailboxes: BTreeMap<Username, (usize, usize)>,
    last_sequence: Sequence,
    blocks: BTreeSet<(Username, Username)>,
    last_seen: BTreeMap<Username, UnixMs>,
    tries: BTreeMap<Tried, TriesRecord>,
    known_ids: BTreeMap<(Username, u64), KnownId>,
    files: BTreeMap<FileName, RegisteredFile>,
    online: BTreeSet<Username>,
    alive_at: UnixMs,
}

impl Model {
    pub(crate) fn apply(&mut self, operation: &StoreOperation) {
        match operation.clone() {
            StoreOperation::Keep { to, message, known } => {
                self.messages.entry(to).or_default().insert(message.sequence, message);
                self.remember(known);
            }
            StoreOperation::Remember(known) => self.remember(known),
            StoreOperation::Drop { to, sequence } => {
                self.messages.entry(to).or_default().remove(&sequence);
            }
            StoreOperation::Block { by, user } => drop(self.blocks.insert((by, user))),
            StoreOperation::Unblock { by, user } => drop(self.blocks.remove(&(by, user))),
            StoreOperation::LastSeen { user, at, online } => {
                if online {
                    self.online.insert(user.clone())
                } else {
                    self.online.remove(&user)
                };
                self.last_seen.insert(user, at);
            }
            StoreOperation::Alive { at } => self.alive_at = at,
            StoreOperation::Tries { who, record } if record == TriesRecord::default() => {
                self.tries.remove(&who);
            }
            StoreOperation::Tries { who, record } => drop(self.tries.insert(who, record)),
            StoreOperation::RegisterFile(file) => drop(self.files.insert(file.name.clone(), file)),
            StoreOperation::UnregisterFile { name } => drop(self.files.remove(&name)),
        }
    }

    /// As a new process must find it.
    pub(crate) fn settled(mut self) -> Self {
        self.messages.retain(|_, mailbox| !mailbox.is_empty());
        let sum = |mailbox: &BTreeMap<_, StoredMessage>| mailbox.values().map(|m| m.text.len()).sum();
        let count =
            |(user, mailbox): (&Username, &BTreeMap<_, _>)| (user.clone(), (mailbox.len(), sum(mailbox)));
        self.mailboxes = self.messages.iter().map(count).collect();
        self.last_sequence =
            self.messages.values().flatten().map(|(&sequence, _)| sequence).max().unwrap_or_default();
        for user in std::mem::take(&mut self.online) {
            let at = self.last_seen.get_mut(&user).unwrap();
            *at = self.alive_at.max(*at);
        }
        self.alive_at = UnixMs(0);
        self.known_ids.retain(|_, known| known.until > NOW);
        self.known_ids.values_mut().for_each(|known| known.forget_to = 0);
        self
    }

    /// Reads everything that the store gives, page by page.
    pub(crate) fn found(store: &mut Store, recovered: Recovered) -> Self {
        let Recovered { secret, last_sequence, mailboxes, blocks, last_seen, tries, known_ids, files } =
            recovered;
        assert_eq!(secret, crate::SECRET, "the first secret stays");
        let mut messages = BTreeMap::new();
        for (user, ..) in &mailboxes {
            let (mut mailbox, mut more) = (BTreeMap::new(), true);
            while more {
                let after = mailbox.last_key_value().map_or(Sequence(0), |(&sequence, _)| sequence);
                let page = store.load(user, after, 20).unwrap();
                assert!(!page.messages.is_empty(), "a page has at least one");
                more = page.more;
                mailbox.extend(page.messages.into_iter().map(|message| (message.sequence, message)));
            }
            messages.insert(user.clone(), mailbox);
        }
        Self {
            messages,
            mailboxes: mailboxes.into_iter().map(|(user, count, len)| (user, (count, len))).collect(),
            last_sequence,
            blocks: blocks.into_iter().collect(),
            last_seen: last_seen.into_iter().collect(),
            tries: tries.into_iter().collect(),
            known_ids: known_ids.into_iter().map(|k| ((k.from.clone(), k.ordinal), k)).collect(),
            files: files.into_iter().map(|file| (file.name.clone(), file)).collect(),
            ..Self::default()
        }
    }

    fn remember(&mut self, known: KnownId) {
        self.known_ids.retain(|(from, ordinal), _| *from != known.from || *ordinal > known.forget_to);
        self.known_ids.insert((known.from.clone(), known.ordinal), known);
    }
}

/// A message with that number, and how it is known.
pub(crate) fn keep(number: u64, from: usize, to: usize, text: &str) -> StoreOperation {
    let from: Username = NAMES[from].parse().unwrap();
    let id = MessageId(u128::from(number) << 64);
    StoreOperation::Keep {
        to: NAMES[to].parse().unwrap(),
        message: StoredMessage {
            sequence: Sequence(number),
            from: from.clone(),
            id,
            sent_at: UnixMs(number * 1_000),
            text: text.into(),
        },
        known: known(from, id, number, KnownFate::Stored),
    }
}

fn known(from: Username, id: MessageId, ordinal: u64, fate: KnownFate) -> KnownId {
    // Some are over when the store is opened again.
    let until = UnixMs(if ordinal.is_multiple_of(3) { 1 } else { u64::MAX / 4 });
    KnownId { from, id, ordinal, digest: [9; 16], fate, until, forget_to: ordinal.saturating_sub(4) }
}

/// A name for one of three files.
pub(crate) fn register(name: &str, file: u8, owner: usize) -> StoreOperation {
    StoreOperation::RegisterFile(RegisteredFile {
        name: name.parse().unwrap(),
        file: FileId([file; 32]),
        layout: Layout::new(1_000, u64::from(file) + 1).unwrap(),
        owner: NAMES[owner].parse().unwrap(),
    })
}

/// Any operation; `number` is new.
pub(crate) fn operation(number: u64) -> impl Strategy<Value = StoreOperation> {
    let user = || (0..NAMES.len()).prop_map(|index| NAMES[index].parse::<Username>().unwrap());
    let text = prop_oneof!["\\PC{0,30}", Just("\0 and \0".to_owned()), Just("ж".repeat(3_000))];
    let who =
        prop_oneof![user().prop_map(Tried::Account), (0..3u8).prop_map(|ghost| Tried::Ghost([ghost; 32])),];
    let record = (0..3u32, proptest::option::of(0..9_000_000u64))
        .prop_map(|(wrong_in_a_row, until)| TriesRecord { wrong_in_a_row, locked_until: until.map(UnixMs) });
    let fate = prop_oneof![
        Just(KnownFate::Delivered),
        (0..100u64, any::<bool>()).prop_map(|(recipients, blocked)| KnownFate::Sent { recipients, blocked }),
    ];
    prop_oneof![
        4 => (0..3usize, 0..3usize, text).prop_map(move |(from, to, text)| keep(number, from, to, &text)),
        3 => (user(), 1..=number).prop_map(|(to, n)| StoreOperation::Drop { to, sequence: Sequence(n) }),
        1 => (user(), user()).prop_map(|(by, user)| StoreOperation::Block { by, user }),
        1 => (user(), user()).prop_map(|(by, user)| StoreOperation::Unblock { by, user }),
        1 => (user(), 0..9_000_000u64, any::<bool>())
            .prop_map(|(user, at, online)| StoreOperation::LastSeen { user, at: UnixMs(at), online }),
        1 => (0..9_000_000u64).prop_map(|at| StoreOperation::Alive { at: UnixMs(at) }),
        2 => (who, record).prop_map(|(who, record)| StoreOperation::Tries { who, record }),
        2 => (user(), fate).prop_map(move |(from, fate)| {
            StoreOperation::Remember(known(from, MessageId(u128::from(number)), number, fate))
        }),
        // A name is registered once.
        2 => (0..3u8, 0..3usize).prop_map(move |(file, owner)| register(&format!("file {number}"), file, owner)),
        2 => (1..=number).prop_map(|n| {
            StoreOperation::UnregisterFile { name: format!("file {n}").parse().unwrap() }
        }),
    ]
}

/// A history of batches.
pub(crate) fn batches() -> impl Strategy<Value = Vec<Vec<StoreOperation>>> {
    proptest::collection::vec(1..6usize, 1..12).prop_flat_map(|lens| {
        let mut number = 0;
        let batch = |len: usize| {
            (0..len)
                .map(|_| {
                    number += 1;
                    operation(number).boxed()
                })
                .collect::<Vec<_>>()
        };
        lens.into_iter().map(batch).collect::<Vec<_>>()
    })
}
