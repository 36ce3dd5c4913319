//! The JSON face: an object a line, for programs. Text from others stands unchanged in its strings.

use protocol::{PresenceChange, Username, Word};
use serde_json::{Map, Value, json};

use super::time;
use crate::core::{Event, FileEntry, Holder, Outcome, Progress, Transfer};

/// The line for an event, without its line end.
pub fn line(event: &Event) -> String {
    let (name, fields) = object(event);
    let mut object = Map::new();
    object.insert("event".to_owned(), name.into());
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    Value::Object(object).to_string()
}

fn object(event: &Event) -> (&'static str, Value) {
    match event {
        Event::Login { user } => ("login", json!({ "user": user.as_str() })),
        Event::LoginFailed { code, text, is_final, retry_after_s } => {
            let mut fields = json!({ "code": code.word(), "text": text, "final": is_final });
            if let (Some(seconds), Value::Object(fields)) = (retry_after_s, &mut fields) {
                fields.insert("retry_after".to_owned(), json!(seconds));
            }
            ("login-failed", fields)
        }
        Event::Message { id, from, text, sent_at, offline } => (
            "message",
            json!({
                "id": id.to_string(), "from": from.as_str(), "text": text,
                "sent_at": time(*sent_at).to_string(), "offline": offline,
            }),
        ),
        Event::Broadcast { id, from, text, sent_at } => (
            "broadcast",
            json!({
                "id": id.to_string(), "from": from.as_str(), "text": text,
                "sent_at": time(*sent_at).to_string(),
            }),
        ),
        Event::Presence { user, change } => (
            "presence",
            json!({
                "user": user.as_str(), "online": *change == PresenceChange::Login, "reason": change.word(),
            }),
        ),
        Event::PrivateOpened { user, safety, relayed } => (
            "private-opened",
            json!({ "user": user.as_str(), "safety": safety, "way": if *relayed { "relay" } else { "direct" } }),
        ),
        Event::Private { from, text } => ("private", json!({ "from": from.as_str(), "text": text })),
        Event::PrivateClosed { user, reason } => {
            ("private-closed", json!({ "user": user.as_str(), "reason": reason.word() }))
        }
        Event::Progress { number, progress } => {
            let mut fields = json!({ "re": number });
            if let (Value::Object(fields), Value::Object(more)) = (&mut fields, progress_fields(progress)) {
                fields.extend(more);
            }
            ("progress", fields)
        }
        Event::Notice { text } | Event::Doubt { text, .. } => ("notice", json!({ "text": text })),
        Event::Reconnecting { attempt } => ("reconnecting", json!({ "attempt": attempt })),
        Event::Reconnected { attempt } => ("reconnected", json!({ "attempt": attempt })),
        Event::Disconnected { reason } => ("disconnected", json!({ "reason": reason.word() })),
        Event::Ok { number, outcome } => {
            let mut fields = json!({ "re": number, "command": outcome.command() });
            if let (Value::Object(fields), Value::Object(more)) = (&mut fields, outcome_fields(outcome)) {
                fields.extend(more);
            }
            ("ok", fields)
        }
        Event::Error { number, command, code, text } => {
            ("error", json!({ "re": number, "command": command, "code": code.word(), "text": text }))
        }
    }
}

fn outcome_fields(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Message { to, id, state } => {
            json!({ "to": to.as_str(), "id": id.to_string(), "state": state.word() })
        }
        Outcome::Broadcast { delivered, blocked: false } => {
            json!({ "delivered": delivered, "blocked": false })
        }
        Outcome::Broadcast { delivered, blocked: true } => json!({
            "delivered": delivered, "blocked": true,
            "warning": "Some users did not get it because they have blocked you.",
        }),
        Outcome::WhoElse { users } | Outcome::WhoElseSince { users } | Outcome::BlockList { users } => {
            json!({ "users": names(users) })
        }
        Outcome::Block { user }
        | Outcome::Unblock { user }
        | Outcome::StopPrivate { user }
        | Outcome::Trust { user } => json!({ "user": user.as_str() }),
        Outcome::StartPrivate { user, safety, .. } => json!({ "user": user.as_str(), "safety": safety }),
        Outcome::Private { to } => json!({ "to": to.as_str() }),
        Outcome::Register { file, layout, hash } => json!({
            "file": file.as_str(), "size": layout.size(), "chunks": layout.chunks(),
            "chunk_size": layout.chunk_size(), "hash": hash.to_string(),
        }),
        Outcome::Unregister { file } => json!({ "file": file.as_str() }),
        Outcome::Files { files } => json!({ "files": files.iter().map(file_entry).collect::<Vec<_>>() }),
        Outcome::SearchFile { file, layout, available, holders } => json!({
            "file": file.as_str(), "size": layout.size(), "chunks": layout.chunks(), "available": available,
            "holders": holders.iter().map(holder).collect::<Vec<_>>(),
        }),
        Outcome::SearchChunk { file, available, holders } => json!({
            "file": file.as_str(), "available": available,
            "holders": holders.iter().map(holder).collect::<Vec<_>>(),
        }),
        Outcome::Download(done) => json!({
            "file": done.file.as_str(), "chunks": done.held.iter().map(|chunk| chunk.0).collect::<Vec<_>>(),
            "complete": done.held.is_full(), "bytes": done.bytes, "wasted": done.wasted,
            "path": done.path.to_string_lossy(), "sources": names(&done.sources),
        }),
        Outcome::Transfers { transfers } => {
            json!({ "transfers": transfers.iter().map(transfer).collect::<Vec<_>>() })
        }
        Outcome::Cancel { file } => json!({ "file": file }),
        Outcome::Logout => json!({}),
        Outcome::Help { text } => json!({ "text": text }),
    }
}

fn progress_fields(progress: &Progress) -> Value {
    json!({
        "file": progress.file.as_str(), "have": progress.have, "total": progress.total,
        "bytes": progress.bytes, "size": progress.bytes_total, "rate": progress.rate,
    })
}

fn transfer(transfer: &Transfer) -> Value {
    let mut fields = json!({ "direction": transfer.direction.word() });
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, progress_fields(&transfer.progress)) {
        fields.extend(more);
        fields.insert("users".to_owned(), json!(names(&transfer.users)));
    }
    fields
}

fn file_entry(entry: &FileEntry) -> Value {
    json!({
        "file": entry.file.as_str(), "size": entry.layout.size(), "chunks": entry.layout.chunks(),
        "owner": entry.owner.as_str(),
    })
}

fn holder(holder: &Holder) -> Value {
    let chunks: Vec<u32> = holder.chunks.iter().map(|chunk| chunk.0).collect();
    json!({ "user": holder.user.as_str(), "chunks": chunks })
}

fn names(users: &[Username]) -> Vec<&str> {
    users.iter().map(Username::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{ErrorCode, MessageId, time::UnixMs};

    #[test]
    fn a_message_carries_its_text_unchanged_in_one_line() {
        let event = Event::Message {
            id: MessageId(1),
            from: "ada".parse().unwrap(),
            text: "a\n\u{1b}\u{202e}\"".to_owned(),
            sent_at: UnixMs(1_700_000_000_123),
            offline: true,
        };
        let line = line(&event);
        assert!(!line.contains('\n') && !line.contains('\u{1b}'));
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["event"], "message");
        assert_eq!(read["text"], "a\n\u{1b}\u{202e}\"");
        assert_eq!(read["sent_at"], "2023-11-14T22:13:20.123Z");
        assert_eq!(read["id"], "00000000000000000000000000000001");
    }

    #[test]
    fn a_time_beyond_the_format_does_not_panic() {
        let event = Event::Broadcast {
            id: MessageId(1),
            from: "ada".parse().unwrap(),
            text: String::new(),
            sent_at: UnixMs(u64::MAX),
        };
        assert!(line(&event).contains("9999-12-31T23:59:59.999Z"));
    }

    #[test]
    fn answers_carry_their_number_first() {
        let ok = Event::Ok { number: 3, outcome: Outcome::Broadcast { delivered: 2, blocked: true } };
        assert!(line(&ok).starts_with(
            r#"{"event":"ok","re":3,"command":"broadcast","delivered":2,"blocked":true,"warning":"#
        ));
        let error = Event::Error {
            number: 4,
            command: "block".to_owned(),
            code: ErrorCode::Myself,
            text: "x".to_owned(),
        };
        assert_eq!(line(&error), r#"{"event":"error","re":4,"command":"block","code":"self","text":"x"}"#);
    }
}
