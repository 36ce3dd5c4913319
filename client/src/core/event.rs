//! What the core has to tell the person or program in front of it. The three faces word it.

use protocol::{ErrorCode, LoginRefusal, MessageId, PresenceChange, Username, Word, time::UnixMs};

/// One thing that happened. The fields are those of the JSON face.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants and fields are the documented events of the JSON face")]
pub enum Event {
    Login { user: Username },
    LoginFailed { code: LoginRefusal, text: String, is_final: bool, retry_after_s: Option<u64> },
    Message { id: MessageId, from: Username, text: String, sent_at: UnixMs, offline: bool },
    Broadcast { id: MessageId, from: Username, text: String, sent_at: UnixMs },
    Presence { user: Username, change: PresenceChange },
    Notice { text: String },
    Disconnected { reason: DisconnectReason },
    Ok { number: u64, outcome: Outcome },
    Error { number: u64, command: String, code: ErrorCode, text: String },
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
    Help { text: String },
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
