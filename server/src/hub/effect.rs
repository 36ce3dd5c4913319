//! What goes into the hub and what comes out: plain values, so that a simulator can stand in for the shell.

use core::{fmt, net::IpAddr};
use std::{collections::BTreeMap, sync::Arc};

use protocol::{
    FileName, MessageId, Username,
    scram::{Iterations, Verifier},
    time::UnixMs,
};

use super::{
    accounts::{Credential, Password},
    durable::{KnownId, Tried, TriesRecord},
    files::RegisteredFile,
};

/// A connection: the slot it has in the shell's slab, and how often that slot was used before. A number of a
/// connection that is gone hits nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The slot.
    pub index: u32,
    /// Counts the slot's uses.
    pub generation: u32,
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection was accepted.
    Opened {
        /// Its new identity.
        conn: ConnId,
        /// Where it comes from.
        peer: IpAddr,
    },
    /// The connection is encrypted from here on.
    Secured {
        /// Which connection.
        conn: ConnId,
        /// What a log-in over it must be bound to: `tls-exporter` (RFC 9266).
        binding: [u8; 32],
    },
    /// Bytes came.
    Received {
        /// From which connection.
        conn: ConnId,
        /// In the order of the stream.
        bytes: &'a [u8],
    },
    /// The first `len` bytes of what [`super::Hub::gather`] gave were taken by the connection.
    Sent {
        /// Which connection.
        conn: ConnId,
        /// How many bytes.
        len: usize,
    },
    /// The other side closed, or the connection broke.
    Closed {
        /// Which connection.
        conn: ConnId,
    },
    /// Answers [`Effect::Derive`].
    Derived {
        /// The name of the effect.
        name: Arc<str>,
        /// The number of the effect.
        job: u64,
        /// The keys of the password.
        verifier: Verifier,
    },
    /// Answers [`Effect::Commit`].
    Committed {
        /// The number of the effect.
        batch: u64,
        /// Whether all of it is durable; otherwise none of it is.
        durable: bool,
    },
    /// Answers [`Effect::Load`].
    Loaded {
        /// The connection of the effect.
        conn: ConnId,
        /// The page, or `None` if the store could not be read.
        page: Option<MailboxPage>,
    },
    /// The operator changed the accounts.
    Accounts(BTreeMap<Username, Credential>),
    /// The operator stops the server.
    Shutdown,
}

/// What the shell must do. It carries effects out in the order they come.
#[derive(Debug)]
pub enum Effect {
    /// Read from this connection, or leave its bytes in the socket for now.
    Read {
        /// Which connection.
        conn: ConnId,
        /// Whether to read.
        wanted: bool,
    },
    /// Everything was sent: tell the other side that no more comes, and keep reading until it closes.
    EndWriting {
        /// Which connection.
        conn: ConnId,
    },
    /// Close at once. The hub has forgotten the connection.
    Close {
        /// Which connection.
        conn: ConnId,
    },
    /// Derive the keys of a plain password, off the loop; answered by [`Input::Derived`].
    Derive {
        /// Returned with the answer.
        name: Arc<str>,
        /// Returned with the answer.
        job: u64,
        /// From this password,
        password: Password,
        /// this salt,
        salt: Vec<u8>,
        /// and so many rounds.
        iterations: Iterations,
    },
    /// Make all of this durable or none; answered by [`Input::Committed`]. Store effects are carried out and
    /// answered in the order in which they come.
    Commit {
        /// Returned with the answer.
        batch: u64,
        /// In this order.
        operations: Vec<StoreOperation>,
    },
    /// Read the oldest waiting messages of a user; answered by [`Input::Loaded`].
    Load {
        /// Returned with the answer.
        conn: ConnId,
        /// Whose messages.
        user: Username,
        /// Only those with a higher number.
        after: Sequence,
        /// Stop at so many bytes of text (but read at least one message).
        len_max: usize,
    },
    /// After [`Input::Shutdown`]: everyone is gone and everything is durable.
    Stopped,
}

/// Counts messages over all users; order is by this, never by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// A change of what must outlive the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// Keep a message for a user.
    Keep {
        /// The recipient.
        to: Username,
        /// The message.
        message: StoredMessage,
        /// How it is known when it comes again. Kept and known, or neither.
        known: KnownId,
    },
    /// Know a message that was not kept when it comes again.
    Remember(KnownId),
    /// The recipient has it.
    Drop {
        /// The recipient.
        to: Username,
        /// Which message.
        sequence: Sequence,
    },
    /// `by` takes nothing from `user` any more.
    Block {
        /// Whose list.
        by: Username,
        /// Who is put on it.
        user: Username,
    },
    /// Undoes a block.
    Unblock {
        /// Whose list.
        by: Username,
        /// Who is taken off it.
        user: Username,
    },
    /// A user came or left.
    LastSeen {
        /// Who.
        user: Username,
        /// When.
        at: UnixMs,
        /// Whether he came. If nothing more is heard of him, he left when the server was last alive.
        online: bool,
    },
    /// The server is alive, with users online.
    Alive {
        /// When.
        at: UnixMs,
    },
    /// Wrong passwords; none and no lock: forget the name.
    Tries {
        /// Of whom.
        who: Tried,
        /// What counts from now on.
        record: TriesRecord,
    },
    /// Keep a name for a file.
    RegisterFile(RegisteredFile),
    /// Forget a name.
    UnregisterFile {
        /// Which.
        name: FileName,
    },
}

/// A message that waits for its recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place in the order.
    pub sequence: Sequence,
    /// Who sent it.
    pub from: Username,
    /// Its identity.
    pub id: MessageId,
    /// When the server got it.
    pub sent_at: UnixMs,
    /// What it says.
    pub text: Arc<str>,
}

/// Texts are private: they stay out of logs.
impl fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of {:?}, {} bytes", self.id, self.from, self.text.len())
    }
}

/// Some of a user's waiting messages, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxPage {
    /// The messages.
    pub messages: Vec<StoredMessage>,
    /// Whether there are more behind them.
    pub more: bool,
}
