//! The sentences that go with a refusal, for people.

use core::time::Duration;

use protocol::{ErrorCode, LoginRefusal};

/// Why a request failed, and what to do.
pub(super) fn text(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Myself => "That is you. Name somebody else.",
        ErrorCode::UnknownUser => {
            "Nobody here has that name. Check the spelling, and that capitals are right; 'whoelse' lists who is online."
        }
        ErrorCode::Offline => "That user is not online.",
        ErrorCode::Blocked => "That user has blocked you; he gets nothing from you.",
        ErrorCode::EmptyMessage => "There is no text to send. Write something behind the command.",
        ErrorCode::MailboxFull => {
            "Too many messages wait for that user already. Try again when he has been online."
        }
        ErrorCode::AlreadyBlocked => "You have blocked that user already.",
        ErrorCode::NotBlocked => "You have not blocked that user. 'blocklist' shows whom you have.",
        ErrorCode::IdReused => "This message's id was used for another message. Send it anew.",
        ErrorCode::TooLong => "The text is over 16 KiB. Send it in parts.",
        ErrorCode::Quota => "That is more than one account may keep here at once. Make room first.",
        ErrorCode::StoreFailed => {
            "The server could not write it down, so it does not keep it. A message may have been shown all the same. Try again later."
        }
        ErrorCode::UnknownCommand | ErrorCode::Usage => "The server does not understand this request.",
        ErrorCode::AlreadyRegistered => "A file of that name is registered already; 'files' lists them.",
        ErrorCode::BadName => "No file can be shared under that name. Rename it.",
        ErrorCode::NotRegistered => "No file of that name is registered; 'files' lists those that are.",
        ErrorCode::NotOwner => "Somebody else has registered that file; only he can take it back.",
        // What only a client finds out.
        ErrorCode::NotConnected
        | ErrorCode::NotConfirmed
        | ErrorCode::PrivateExists
        | ErrorCode::NoPrivate
        | ErrorCode::Unreachable
        | ErrorCode::KeyChanged
        | ErrorCode::NoSuchFile
        | ErrorCode::EmptyFile
        | ErrorCode::NoSuchChunk
        | ErrorCode::AlreadyHave
        | ErrorCode::NotAvailable
        | ErrorCode::DiskFull
        | ErrorCode::Exists
        | ErrorCode::LocalFile
        | ErrorCode::NoTransfer
        | ErrorCode::Cancelled => "The request was not carried out.",
    }
}

/// Why a log-in was refused, and what to do.
pub(super) fn login_text(code: LoginRefusal, retry_after: Duration) -> String {
    match code {
        LoginRefusal::BadCredentials => "The username or the password is wrong.".to_owned(),
        LoginRefusal::Locked => format!(
            "Three wrong passwords in a row: this account is locked for another {} s, even for the right password.",
            seconds(retry_after)
        ),
        LoginRefusal::AlreadyOnline => "This user is online already. Log out there first.".to_owned(),
        LoginRefusal::Busy if retry_after > Duration::ZERO => format!(
            "Too many wrong passwords came from your address. Try again in {} s.",
            seconds(retry_after)
        ),
        LoginRefusal::Busy => {
            "Too many log-ins from your address are under way. Try again in a moment.".to_owned()
        }
    }
}

/// Whole seconds, rounded up: who waits that long has waited long enough.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
