//! What each word means, for the tables of the page.

use std::fmt::Write;

use protocol::{
    ByeReason, ErrorCode, GoodbyeReason, LoginRefusal, NoBlockReason, PresenceChange, Purpose, Word,
};

/// The tables of the closed sets of words: their markers and what stands there.
pub(super) fn tables() -> Vec<(&'static str, String)> {
    vec![
        ("table: error codes", table("Code | Answers | Meaning", error_meaning)),
        ("table: login refusals", table("Code | Meaning | What a client does", refusal_meaning)),
        ("table: goodbye reasons", table("Reason | Meaning | What a client does", goodbye_meaning)),
        ("table: presence changes", table("Change | Meaning", presence_meaning)),
        ("table: purposes", table("Purpose | Meaning", purpose_meaning)),
        ("table: bye reasons", table("Reason | Meaning", bye_meaning)),
        ("table: no-block reasons", table("Reason | Meaning", no_block_meaning)),
    ]
}

/// `columns` are those behind the word.
fn table<T: Word, const N: usize>(head: &str, columns: fn(T) -> [&'static str; N]) -> String {
    let mut table = format!("| {head} |\n|{}\n", " --- |".repeat(N + 1));
    for &member in T::ALL {
        writeln!(table, "| `{}` | {} |", member.word(), columns(member).join(" | ")).unwrap();
    }
    table
}

fn error_meaning(code: ErrorCode) -> [&'static str; 2] {
    match code {
        ErrorCode::Myself => ["`message`, `block`, `unblock`, `invite`, `lookup`", "The user named himself."],
        ErrorCode::UnknownUser => {
            ["`message`, `block`, `unblock`, `invite`, `lookup`", "No account has that name."]
        }
        ErrorCode::Offline => ["`invite`, `lookup`", "That user is not online."],
        ErrorCode::Blocked => ["`message`, `invite`", "The recipient has blocked the sender."],
        ErrorCode::EmptyMessage => {
            ["`message`, `broadcast`", "The text is empty, or nothing but white space."]
        }
        ErrorCode::MailboxFull => ["`message`", "Too much waits for the recipient already."],
        ErrorCode::AlreadyBlocked => ["`block`", "That user is on the list already."],
        ErrorCode::NotBlocked => ["`unblock`", "That user is not on the list."],
        ErrorCode::IdReused => {
            ["`message`, `broadcast`", "The id was used before, with another text or another recipient."]
        }
        ErrorCode::PrivateExists => ["nothing", "A client's own word: it talks with that user already."],
        ErrorCode::NoPrivate => ["nothing", "A client's own word: it does not talk with that user."],
        ErrorCode::Unreachable => ["nothing", "A client's own word for one that it reaches in no way."],
        ErrorCode::KeyChanged => [
            "nothing",
            "A client's own word for one that shows another key than before, until its user trusts the new one.",
        ],
        ErrorCode::NoSuchFile => ["nothing", "A client's own word for a file that it does not find."],
        ErrorCode::AlreadyRegistered => ["`register`", "A file of that name is registered."],
        ErrorCode::EmptyFile => ["nothing", "A client's own word for a file without a byte."],
        ErrorCode::BadName => ["`register`", "No file may be shared under that name (see Files)."],
        ErrorCode::NotRegistered => ["`unregister`, `search`", "No file of that name is registered."],
        ErrorCode::NoSuchChunk => ["nothing", "A client's own word: the file has fewer chunks."],
        ErrorCode::AlreadyHave => ["nothing", "A client's own word: it holds all that was asked for."],
        ErrorCode::NotAvailable => ["nothing", "A client's own word: nobody whom it reaches holds it."],
        ErrorCode::DiskFull => ["nothing", "A client's own word: there is no room on its disk."],
        ErrorCode::Exists => ["nothing", "A client's own word: another file of that name is in its way."],
        ErrorCode::NotOwner => ["`unregister`", "Somebody else has registered the file under that name."],
        ErrorCode::LocalFile => {
            ["nothing", "A client's own word for a file or directory that it cannot use."]
        }
        ErrorCode::NoTransfer => ["nothing", "A client's own word: it does not fetch that file."],
        ErrorCode::Cancelled => ["nothing", "A client's own word: its user has ended it."],
        ErrorCode::UnknownCommand => ["nothing", "A client's own word for a command it does not know."],
        ErrorCode::Usage => [
            "`register`",
            "The size and the number of chunks do not fit each other, or not the file of that id. Also a client's own word for a command with wrong arguments.",
        ],
        ErrorCode::TooLong => ["`message`, `broadcast`", "The text is over the limit."],
        ErrorCode::Quota => [
            "`message`, `block`, `invite`, `register`, `files`, `search`",
            "Too many messages of this sender are unconfirmed, his list is full, too many of his tickets are out, he or all have registered too much, or too many lists wait to be read by him.",
        ],
        ErrorCode::StoreFailed => [
            "`message`, `block`, `unblock`, `register`, `unregister`",
            "The server could not write it down, and promises nothing, not even that nobody has seen it. It may be tried again.",
        ],
        ErrorCode::NotConnected => ["nothing", "A client's own word for a request it could not send."],
        ErrorCode::NotConfirmed => [
            "nothing",
            "A client's own word for a request whose answer never came: it may or may not have been carried out.",
        ],
    }
}

fn refusal_meaning(code: LoginRefusal) -> [&'static str; 2] {
    match code {
        LoginRefusal::BadCredentials => {
            ["The name or the password is wrong; which of them is not told.", "Asks for the password again."]
        }
        LoginRefusal::Locked => [
            "Three wrong passwords in a row. Until `retry-after` seconds are over the right one is refused too.",
            "Tells the user how long it takes.",
        ],
        LoginRefusal::AlreadyOnline => {
            ["The password is right, but the user's first connection lives.", "Tells the user."]
        }
        LoginRefusal::Busy => [
            "Too many connections of this address are logging in, or too many wrong passwords came from it; `retry-after` tells how long that lasts.",
            "Tries again after a pause.",
        ],
    }
}

fn goodbye_meaning(reason: GoodbyeReason) -> [&'static str; 2] {
    match reason {
        GoodbyeReason::Logout => ["The user asked for it.", "Ends."],
        GoodbyeReason::Timeout => {
            ["No request for too long.", "Tells the user. Does not come back by itself."]
        }
        GoodbyeReason::Shutdown => ["The server stops.", "May connect again, after growing pauses."],
        GoodbyeReason::Replaced => [
            "The user logged in again, and this connection did not answer `ping` in time.",
            "Does not come back by itself: two clients would throw each other out for ever.",
        ],
        GoodbyeReason::Removed => ["The account is gone.", "Tells the user."],
        GoodbyeReason::Login => [
            "The log-in took too long, or was refused: then `login-refused` came first.",
            "Connects anew for the next try.",
        ],
        GoodbyeReason::Tampered => [
            "The log-in was bound to another TLS connection than the server's: somebody sits in between.",
            "Warns the user, and does not try again.",
        ],
        GoodbyeReason::TooSlow => [
            "This side read too slowly. What waited for it was thrown away.",
            "May connect again, after growing pauses.",
        ],
        GoodbyeReason::Protocol => [
            "What came was not this protocol, or not its turn. The payload says what.",
            "Reports a fault: trying again will not help.",
        ],
    }
}

fn presence_meaning(change: PresenceChange) -> [&'static str; 1] {
    match change {
        PresenceChange::Login => ["He came."],
        PresenceChange::Logout => ["He left on his own, or the server ended his session in good order."],
        PresenceChange::Timeout => ["He left for inactivity."],
        PresenceChange::Lost => ["His connection ended without a word, was too slow, or broke the protocol."],
    }
}

fn purpose_meaning(purpose: Purpose) -> [&'static str; 1] {
    match purpose {
        Purpose::Talk => ["The two users talk in private: `private`, `heard`, `hang-up`."],
        Purpose::Files => ["The clients pass files: `want-manifest` to `cancel`."],
    }
}

fn bye_meaning(reason: ByeReason) -> [&'static str; 1] {
    match reason {
        ByeReason::Logout => ["The sender's user logs out."],
        ByeReason::Idle => ["The sender needs the link no more, nor does it know that the other does."],
        ByeReason::Protocol => ["What came was not this protocol, or not its turn."],
    }
}

fn no_block_meaning(reason: NoBlockReason) -> [&'static str; 1] {
    match reason {
        NoBlockReason::Busy => ["Others are served now. Ask somebody else, or again in a few seconds."],
        NoBlockReason::Gone => ["The sender does not hold that chunk, or no longer."],
    }
}
