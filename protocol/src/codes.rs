//! The words that name an outcome: stable on the wire and in the JSON face.
//!
//! Owns the closed sets of words. Must not know when which is used.

use crate::scram::Mechanism;

/// A closed set of words that travel as one field.
pub trait Word: Copy + Sized + 'static {
    /// Every member, in the order of the documentation.
    const ALL: &'static [Self];

    /// The member's word.
    fn word(self) -> &'static str;

    /// The member with that word.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|member| member.word() == word)
    }
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The user named himself.
    Myself,
    /// No account has that name.
    UnknownUser,
    /// The other user is not online.
    Offline,
    /// The other user has blocked the sender.
    Blocked,
    /// A message without text.
    EmptyMessage,
    /// The recipient's waiting messages are at their quota.
    MailboxFull,
    /// The user is on the list already.
    AlreadyBlocked,
    /// The user is not on the list.
    NotBlocked,
    /// A message id that was used before, with another text or recipient.
    IdReused,
    /// A private connection with that user stands already.
    PrivateExists,
    /// There is no private connection with that user.
    NoPrivate,
    /// The other client could not be reached in any way.
    Unreachable,
    /// The other client shows another key than before.
    KeyChanged,
    /// No file of that name in the user's directory.
    NoSuchFile,
    /// A file of that name is registered.
    AlreadyRegistered,
    /// A file without a byte.
    EmptyFile,
    /// A name that no file may be shared under.
    BadName,
    /// No file of that name is registered.
    NotRegistered,
    /// The file has fewer chunks.
    NoSuchChunk,
    /// Everything asked for is there.
    AlreadyHave,
    /// No reachable peer holds it.
    NotAvailable,
    /// There is no room on the disk.
    DiskFull,
    /// A file of that name is in the user's directory.
    Exists,
    /// The file was registered by somebody else.
    NotOwner,
    /// The user's own directory or file cannot be used.
    LocalFile,
    /// No transfer of that file is under way.
    NoTransfer,
    /// The user has ended it.
    Cancelled,
    /// No such command.
    UnknownCommand,
    /// Wrong number or kind of arguments.
    Usage,
    /// A text over the limit.
    TooLong,
    /// A limit on how much one account may keep.
    Quota,
    /// The server could not write it down, so it promises nothing.
    StoreFailed,
    /// There is no connection to send it over.
    NotConnected,
    /// The connection ended before the answer: it may or may not have arrived.
    NotConfirmed,
}

impl Word for ErrorCode {
    const ALL: &'static [Self] = &[
        Self::Myself,
        Self::UnknownUser,
        Self::Offline,
        Self::Blocked,
        Self::EmptyMessage,
        Self::MailboxFull,
        Self::AlreadyBlocked,
        Self::NotBlocked,
        Self::IdReused,
        Self::PrivateExists,
        Self::NoPrivate,
        Self::Unreachable,
        Self::KeyChanged,
        Self::NoSuchFile,
        Self::AlreadyRegistered,
        Self::EmptyFile,
        Self::BadName,
        Self::NotRegistered,
        Self::NoSuchChunk,
        Self::AlreadyHave,
        Self::NotAvailable,
        Self::DiskFull,
        Self::Exists,
        Self::NotOwner,
        Self::LocalFile,
        Self::NoTransfer,
        Self::Cancelled,
        Self::UnknownCommand,
        Self::Usage,
        Self::TooLong,
        Self::Quota,
        Self::StoreFailed,
        Self::NotConnected,
        Self::NotConfirmed,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Myself => "self",
            Self::UnknownUser => "unknown-user",
            Self::Offline => "offline",
            Self::Blocked => "blocked",
            Self::EmptyMessage => "empty-message",
            Self::MailboxFull => "mailbox-full",
            Self::AlreadyBlocked => "already-blocked",
            Self::NotBlocked => "not-blocked",
            Self::IdReused => "id-reused",
            Self::PrivateExists => "private-exists",
            Self::NoPrivate => "no-private",
            Self::Unreachable => "unreachable",
            Self::KeyChanged => "key-changed",
            Self::NoSuchFile => "no-such-file",
            Self::AlreadyRegistered => "already-registered",
            Self::EmptyFile => "empty-file",
            Self::BadName => "bad-name",
            Self::NotRegistered => "not-registered",
            Self::NoSuchChunk => "no-such-chunk",
            Self::AlreadyHave => "already-have",
            Self::NotAvailable => "not-available",
            Self::DiskFull => "disk-full",
            Self::Exists => "exists",
            Self::NotOwner => "not-owner",
            Self::LocalFile => "local-file",
            Self::NoTransfer => "no-transfer",
            Self::Cancelled => "cancelled",
            Self::UnknownCommand => "unknown-command",
            Self::Usage => "usage",
            Self::TooLong => "too-long",
            Self::Quota => "quota",
            Self::StoreFailed => "store-failed",
            Self::NotConnected => "not-connected",
            Self::NotConfirmed => "not-confirmed",
        }
    }
}

/// Why a log-in was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal {
    /// The name or the password is wrong; which of them is not told.
    BadCredentials,
    /// Three wrong passwords in a row; the right one is refused too until the time is over.
    Locked,
    /// The user's first connection lives.
    AlreadyOnline,
    /// Too many connections, or the server is stopping.
    Busy,
}

impl Word for LoginRefusal {
    const ALL: &'static [Self] = &[Self::BadCredentials, Self::Locked, Self::AlreadyOnline, Self::Busy];

    fn word(self) -> &'static str {
        match self {
            Self::BadCredentials => "bad-credentials",
            Self::Locked => "locked",
            Self::AlreadyOnline => "already-online",
            Self::Busy => "busy",
        }
    }
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeReason {
    /// The user asked for it.
    Logout,
    /// No command for the server's time-out.
    Timeout,
    /// The server stops.
    Shutdown,
    /// The user logged in again while this connection seemed dead.
    Replaced,
    /// The operator removed the account.
    Removed,
    /// The log-in took too long, or was refused.
    Login,
    /// The log-in was meant for another connection: somebody sits in between.
    Tampered,
    /// This side read too slowly and too much waited for it.
    TooSlow,
    /// What came was not the protocol, or not its turn.
    Protocol,
}

impl Word for GoodbyeReason {
    const ALL: &'static [Self] = &[
        Self::Logout,
        Self::Timeout,
        Self::Shutdown,
        Self::Replaced,
        Self::Removed,
        Self::Login,
        Self::Tampered,
        Self::TooSlow,
        Self::Protocol,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Timeout => "timeout",
            Self::Shutdown => "shutdown",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::Login => "login",
            Self::Tampered => "tampered",
            Self::TooSlow => "too-slow",
            Self::Protocol => "protocol",
        }
    }
}

/// How another user came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceChange {
    /// He came.
    Login,
    /// He left on his own.
    Logout,
    /// He left for inactivity.
    Timeout,
    /// His connection ended without a word.
    Lost,
}

impl Word for PresenceChange {
    const ALL: &'static [Self] = &[Self::Login, Self::Logout, Self::Timeout, Self::Lost];

    fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
        }
    }
}

/// What two clients want of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To talk in private.
    Talk,
    /// To pass files.
    Files,
}

impl Word for Purpose {
    const ALL: &'static [Self] = &[Self::Talk, Self::Files];

    fn word(self) -> &'static str {
        match self {
            Self::Talk => "talk",
            Self::Files => "files",
        }
    }
}

/// Why one end of a link between two clients ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByeReason {
    /// Its user logs out.
    Logout,
    /// Neither side needs it any more.
    Idle,
    /// What came was not the protocol, or not its turn.
    Protocol,
}

impl Word for ByeReason {
    const ALL: &'static [Self] = &[Self::Logout, Self::Idle, Self::Protocol];

    fn word(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Idle => "idle",
            Self::Protocol => "protocol",
        }
    }
}

/// Why a block will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBlockReason {
    /// Others are served now; it may be asked for again in a while.
    Busy,
    /// The sender does not hold that chunk, or no longer.
    Gone,
}

impl Word for NoBlockReason {
    const ALL: &'static [Self] = &[Self::Busy, Self::Gone];

    fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Gone => "gone",
        }
    }
}

/// How a client proves its password: the names in the IANA registry.
impl Word for Mechanism {
    const ALL: &'static [Self] = &[Self::Sha256, Self::Sha256Plus];

    fn word(self) -> &'static str {
        self.name()
    }
}
