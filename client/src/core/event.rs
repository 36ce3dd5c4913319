//! What the core has to tell the person or program in front of it. The three faces word it.

use std::path::PathBuf;

use protocol::{
    ChunkIndex, ChunkSet, ErrorCode, FileHash, FileName, Layout, LoginRefusal, MessageId, PresenceChange,
    Username, Word, time::UnixMs,
};

/// One thing that happened. The fields are those of the JSON face.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants and fields are the documented events of the JSON face")]
pub enum Event {
    Login {
        user: Username,
    },
    LoginFailed {
        code: LoginRefusal,
        text: String,
        is_final: bool,
        retry_after_s: Option<u64>,
    },
    Message {
        id: MessageId,
        from: Username,
        text: String,
        sent_at: UnixMs,
        offline: bool,
    },
    Broadcast {
        id: MessageId,
        from: Username,
        text: String,
        sent_at: UnixMs,
    },
    Presence {
        user: Username,
        change: PresenceChange,
    },
    PrivateOpened {
        user: Username,
        safety: String,
        relayed: bool,
    },
    Private {
        from: Username,
        text: String,
    },
    PrivateClosed {
        user: Username,
        reason: PrivateEnd,
    },
    Progress {
        number: u64,
        progress: Progress,
    },
    Notice {
        text: String,
    },
    /// A notice about a message that may have been shown before.
    Doubt {
        from: Username,
        id: MessageId,
        text: String,
    },
    Reconnecting {
        attempt: u32,
    },
    Reconnected {
        attempt: u32,
    },
    Disconnected {
        reason: DisconnectReason,
    },
    Ok {
        number: u64,
        outcome: Outcome,
    },
    Error {
        number: u64,
        command: String,
        code: ErrorCode,
        text: String,
    },
}

impl Event {
    /// Whose message this is, and which: what must not be shown again.
    pub fn message(&self) -> Option<(&Username, MessageId)> {
        match self {
            Self::Message { from, id, .. } | Self::Broadcast { from, id, .. } => Some((from, *id)),
            _ => None,
        }
    }
}

/// What a command that succeeded gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants and fields are those of the command table")]
pub enum Outcome {
    Message { to: Username, id: MessageId, state: MessageState },
    Broadcast { delivered: u64, blocked: bool },
    WhoElse { users: Vec<Username> },
    WhoElseSince { users: Vec<Username> },
    Block { user: Username },
    Unblock { user: Username },
    BlockList { users: Vec<Username> },
    Logout,
    StartPrivate { word: &'static str, user: Username, safety: String },
    Private { to: Username },
    StopPrivate { user: Username },
    Trust { user: Username },
    Register { file: FileName, layout: Layout, hash: FileHash },
    Unregister { file: FileName },
    Files { files: Vec<FileEntry> },
    SearchFile { file: FileName, layout: Layout, available: bool, holders: Vec<Holder> },
    SearchChunk { file: FileName, available: bool, holders: Vec<Holder> },
    Download(Box<Downloaded>),
    Transfers { transfers: Vec<Transfer> },
    Cancel { file: String },
    Help { text: String },
}

/// What is known of a registered file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the command table")]
pub struct FileEntry {
    pub file: FileName,
    pub layout: Layout,
    pub owner: Username,
}

/// Who has which chunks of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the command table")]
pub struct Holder {
    pub user: Username,
    pub chunks: Vec<ChunkIndex>,
}

/// What a download gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the command table")]
pub struct Downloaded {
    pub file: FileName,
    pub held: ChunkSet,
    /// Bytes of this file that came and were right, in this command.
    pub bytes: u64,
    /// Bytes that came for nothing: wrong, late, or twice.
    pub wasted: u64,
    pub path: PathBuf,
    pub sources: Vec<Username>,
}

/// How far a `register` or `download` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which file.
    pub file: FileName,
    /// Chunks that are done.
    pub have: u32,
    /// Chunks to be done in all.
    pub total: u32,
    /// Bytes that are done.
    pub bytes: u64,
    /// Bytes to be done in all.
    pub bytes_total: u64,
    /// Bytes a second, over the past few seconds.
    pub rate: u64,
}

/// What moves, or is ready to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What is done with the file.
    pub direction: Direction,
    /// How far it is; for an upload, `have` and `total` are 0.
    pub progress: Progress,
    /// With whom.
    pub users: Vec<Username>,
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It is hashed.
    Register,
    /// It comes.
    Download,
    /// Others fetch it.
    Upload,
}

impl Word for Direction {
    const ALL: &'static [Self] = &[Self::Register, Self::Download, Self::Upload];

    fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

/// Why a private connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateEnd {
    /// One of the two wanted it.
    Stopped,
    /// This user has blocked the other.
    Blocked,
    /// The connection broke.
    Lost,
    /// The other logged out.
    Logout,
}

impl Word for PrivateEnd {
    const ALL: &'static [Self] = &[Self::Stopped, Self::Blocked, Self::Lost, Self::Logout];

    fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Blocked => "blocked",
            Self::Lost => "lost",
            Self::Logout => "logout",
        }
    }
}

impl Outcome {
    /// The command's word, spelled as in the table of commands.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::Broadcast { .. } => "broadcast",
            Self::WhoElse { .. } => "whoelse",
            Self::WhoElseSince { .. } => "whoelsesince",
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
            Self::BlockList { .. } => "blocklist",
            Self::Logout => "logout",
            Self::StartPrivate { word, .. } => word,
            Self::Private { .. } => "private",
            Self::StopPrivate { .. } => "stopprivate",
            Self::Trust { .. } => "trust",
            Self::Register { .. } => "register",
            Self::Unregister { .. } => "unregister",
            Self::Files { .. } => "files",
            Self::SearchFile { .. } => "searchFile",
            Self::SearchChunk { .. } => "searchChunk",
            Self::Download(_) => "download",
            Self::Transfers { .. } => "transfers",
            Self::Cancel { .. } => "cancel",
            Self::Help { .. } => "help",
        }
    }
}

/// Where a message is, for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// The other client has shown it.
    Delivered,
    /// It waits for the recipient's next log-in.
    Stored,
}

impl Word for MessageState {
    const ALL: &'static [Self] = &[Self::Delivered, Self::Stored];

    fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Stored => "stored",
        }
    }
}

/// Why the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The user wanted it.
    Logout,
    /// No command for the server's time-out.
    Timeout,
    /// The server was stopped.
    Shutdown,
    /// The connection broke.
    Lost,
    /// The user logged in elsewhere while this connection seemed dead.
    Replaced,
}

impl Word for DisconnectReason {
    const ALL: &'static [Self] = &[Self::Logout, Self::Timeout, Self::Shutdown, Self::Lost, Self::Replaced];

    fn word(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Timeout => "timeout",
            Self::Shutdown => "shutdown",
            Self::Lost => "lost",
            Self::Replaced => "replaced",
        }
    }
}
