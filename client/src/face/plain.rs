//! The plain face: events in words, for people who read them as lines.
//!
//! What a user wrote stands behind his name in angle brackets, which no name can hold; every other line begins
//! with `*`, `[` or a space; a private message's brackets say so. So nobody can write a line that looks like the server's, or like another user's.

use protocol::{ErrorCode, PresenceChange, Username, printable::Printable, time::UnixMs};

use super::{files, time};
use crate::core::{DisconnectReason, Event, MessageState, Outcome, PrivateEnd};

/// The lines for an event, without line ends and without any character that could touch more than its place.
pub fn lines(event: &Event) -> Vec<String> {
    match event {
        Event::Login { user } => vec![format!("* You are logged in as {user}. 'help' lists the commands.")],
        Event::LoginFailed { text, .. } => vec![format!("* Log-in refused: {}", Printable(text))],
        Event::Message { from, text, offline: false, .. } => vec![format!("<{from}> {}", Printable(text))],
        Event::Message { from, text, sent_at, .. } => {
            vec![format!("<{from}, {}> {}", readable_time(*sent_at), Printable(text))]
        }
        Event::Broadcast { from, text, .. } => vec![format!("<{from} to all> {}", Printable(text))],
        Event::Presence { user, change } => vec![match change {
            PresenceChange::Login => format!("* {user} came online."),
            PresenceChange::Logout => format!("* {user} logged out."),
            PresenceChange::Timeout => format!("* {user} was logged out for inactivity."),
            PresenceChange::Lost => format!("* {user} lost the connection."),
        }],
        Event::PrivateOpened { user, safety, relayed } => vec![
            format!(
                "* A private connection with {user} stands{}. 'private {user} <text>' uses it.",
                if *relayed { ", carried by the server, which cannot read it" } else { "" }
            ),
            format!("  If you both read the same digits to each other, nobody is in between: {safety}"),
        ],
        Event::Private { from, text } => vec![format!("<{from} in private> {}", Printable(text))],
        Event::PrivateClosed { user, reason } => vec![match reason {
            PrivateEnd::Stopped => format!("* The private connection with {user} is closed."),
            PrivateEnd::Blocked => {
                format!("* The private connection with {user} is closed, because you blocked him.")
            }
            PrivateEnd::Lost => {
                format!("* The private connection with {user} was lost. 'again' opens it anew.")
            }
            PrivateEnd::Logout => format!("* The private connection with {user} is closed: he logged out."),
        }],
        Event::Progress { number, progress } => vec![format!("[{number}] {}", files::progress(progress))],
        Event::Notice { text } | Event::Doubt { text, .. } => vec![format!("* Notice: {}", Printable(text))],
        Event::Reconnecting { attempt: 1 } => {
            vec!["* The connection to the server was lost; it is tried again.".to_owned()]
        }
        Event::Reconnecting { attempt } => vec![format!("* The server is tried again (attempt {attempt}).")],
        Event::Reconnected { .. } => vec!["* You are connected again.".to_owned()],
        Event::Disconnected { reason } => vec![match reason {
            DisconnectReason::Logout => "* You are logged out.".to_owned(),
            DisconnectReason::Timeout => "* You were logged out for inactivity.".to_owned(),
            DisconnectReason::Shutdown => "* The server was stopped.".to_owned(),
            DisconnectReason::Lost => "* The connection to the server was lost.".to_owned(),
            DisconnectReason::Replaced => "* You logged in elsewhere; this connection is over.".to_owned(),
        }],
        Event::Ok { number, outcome } => outcome_lines(*number, outcome),
        Event::Error { number, command, code, text } => {
            let command = Printable(command);
            let text = Printable(text);
            vec![match code {
                ErrorCode::UnknownCommand | ErrorCode::Usage => format!("[{number}] {text}"),
                _ => format!("[{number}] {command} failed: {text}"),
            }]
        }
    }
}

fn outcome_lines(number: u64, outcome: &Outcome) -> Vec<String> {
    let line = match outcome {
        Outcome::Message { to, state: MessageState::Delivered, .. } => format!("delivered to {to}"),
        Outcome::Message { to, .. } => format!("kept for {to} until the next log-in"),
        Outcome::Broadcast { delivered, blocked } => {
            let warning = if *blocked { "; some did not get it because they have blocked you" } else { "" };
            format!("sent to {}{warning}", users_count(*delivered))
        }
        Outcome::WhoElse { users } => format!("online: {}", names(users, "nobody else")),
        Outcome::WhoElseSince { users } => format!("online since then: {}", names(users, "nobody else")),
        Outcome::BlockList { users } => format!("blocked: {}", names(users, "nobody")),
        Outcome::Block { user } => format!("{user} is blocked"),
        Outcome::Unblock { user } => format!("{user} is not blocked any more"),
        Outcome::Logout => "goodbye".to_owned(),
        Outcome::StartPrivate { user, .. } => format!("you can talk to {user} in private"),
        Outcome::Private { to } => format!("delivered to {to} in private"),
        Outcome::StopPrivate { user } => format!("the private connection with {user} is closed"),
        Outcome::Trust { user } => format!("the key that {user} shows next will be taken for his"),
        Outcome::Register { .. }
        | Outcome::Unregister { .. }
        | Outcome::Files { .. }
        | Outcome::SearchFile { .. }
        | Outcome::SearchChunk { .. }
        | Outcome::Download(_)
        | Outcome::Transfers { .. }
        | Outcome::Cancel { .. } => return files::outcome_lines(number, outcome),
        Outcome::Help { text } => {
            return text.lines().map(|line| format!("  {}", Printable(line))).collect();
        }
    };
    vec![format!("[{number}] {line}")]
}

/// To the minute, in UTC.
fn readable_time(at: UnixMs) -> String {
    let full = time(at).to_string();
    let minutes = full.get(..16).unwrap_or(&full);
    format!("{} UTC", minutes.replace('T', " "))
}

fn users_count(count: u64) -> String {
    if count == 1 { "1 user".to_owned() } else { format!("{count} users") }
}

pub(super) fn names(users: &[Username], none: &str) -> String {
    if users.is_empty() {
        return none.to_owned();
    }
    users.iter().map(Username::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::MessageId;

    proptest! {
        #[test]
        fn whatever_is_written_stays_behind_its_sender(text in any::<String>(), nasty in "[\r\n\u{1b}\u{9b}\u{202e}<> *]*") {
            let event = Event::Message {
                id: MessageId(1),
                from: "ada".parse().unwrap(),
                text: format!("{text}{nasty}"),
                sent_at: UnixMs(0),
                offline: false,
            };
            let lines = lines(&event);
            prop_assert_eq!(lines.len(), 1);
            prop_assert!(lines[0].starts_with("<ada> "));
            let dangerous = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            prop_assert_eq!(lines[0].find(dangerous), None);
        }
    }
}
