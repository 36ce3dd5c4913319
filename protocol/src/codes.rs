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

/// How a client proves its password: the names in the IANA registry.
impl Word for Mechanism {
    const ALL: &'static [Self] = &[Self::Sha256, Self::Sha256Plus];

    fn word(self) -> &'static str {
        self.name()
    }
}
