//! What outlives the process, as plain values: what the store hands to a new hub, and the parts of a
//! [`StoreOperation`](super::StoreOperation) that are more than a name or a number.

use protocol::{MessageId, Username, time::UnixMs};

use super::{effect::Sequence, files::RegisteredFile};

/// What the store holds when the server starts. Texts of messages are not in it: they are loaded at log-ins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What decoys are made of: as long as it stays the same, so do they.
    pub secret: [u8; 32],
    /// The highest number of a waiting message.
    pub last_sequence: Sequence,
    /// What waits for each user: how many messages, how many bytes of text.
    pub mailboxes: Vec<(Username, usize, usize)>,
    /// Who blocks whom.
    pub blocks: Vec<(Username, Username)>,
    /// When those who are not online now were online last.
    pub last_seen: Vec<(Username, UnixMs)>,
    /// Wrong passwords, by the time of the first.
    pub tries: Vec<(Tried, TriesRecord)>,
    /// Ids of messages that came lately, in the order of their ordinals for each sender.
    pub known_ids: Vec<KnownId>,
    /// Names of files.
    pub files: Vec<RegisteredFile>,
}

impl Recovered {
    /// A store that nothing was written to yet.
    pub fn empty(secret: [u8; 32]) -> Self {
        Self {
            secret,
            last_sequence: Sequence(0),
            mailboxes: Vec::new(),
            blocks: Vec::new(),
            last_seen: Vec::new(),
            tries: Vec::new(),
            known_ids: Vec::new(),
            files: Vec::new(),
        }
    }
}

/// A name with which somebody tried to log in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tried {
    /// It has an account.
    Account(Username),
    /// It has none; a keyed hash stands for it.
    Ghost([u8; 32]),
}

/// The wrong passwords of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TriesRecord {
    /// Since the last right one, or the last lock.
    pub wrong_in_a_row: u32,
    /// The end of its lock. The wall clock is the only one that two processes share.
    pub locked_until: Option<UnixMs>,
}

/// A message that came, so that it is known when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownId {
    /// Who sent it.
    pub from: Username,
    /// Its identity.
    pub id: MessageId,
    /// Counts what is remembered of this sender.
    pub ordinal: u64,
    /// Tells whether a resend says the same.
    pub digest: [u8; 16],
    /// What its sender is told.
    pub fate: KnownFate,
    /// When it may be forgotten.
    pub until: UnixMs,
    /// What is remembered of this sender up to this ordinal may be forgotten now.
    pub forget_to: u64,
}

/// How a message ended, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownFate {
    /// It waits for its recipient, or did.
    Stored,
    /// The recipient's client has it.
    Delivered,
    /// A broadcast.
    Sent {
        /// How many users it went to.
        recipients: u64,
        /// Whether somebody did not get it for having blocked its sender.
        blocked: bool,
    },
}
