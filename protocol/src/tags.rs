//! The one table of tags: who may send what, in which state, with which fields.
//!
//! Owns the table and the check of a line against it. `docs/PROTOCOL.md` holds the same table for readers; a
//! test fails when the two differ.

use crate::line::{FieldReader, Line, ProtocolError};

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was said yet.
    Greeting,
    /// Both have said `hello`.
    Login,
    /// The user is logged in.
    Chat,
}

/// Which side sends a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The program of a user.
    Client,
    /// The program in the middle.
    Server,
}

/// What stands behind the line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// No line feed and nothing behind it.
    None,
    /// UTF-8 text, up to the frame's limit.
    Text,
}

/// A field of a line.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// Its name in the documentation.
    pub name: &'static str,
    /// What it looks like.
    pub kind: &'static str,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct TagSpec {
    /// The line's first word.
    pub tag: &'static str,
    /// Who sends it.
    pub sender: Sender,
    /// The states in which it may come.
    pub states: &'static [State],
    /// The fields, each once and in this order.
    pub fields: &'static [FieldSpec],
    /// Fields that follow as a group, any number of times.
    pub repeated: &'static [FieldSpec],
    /// What stands behind the line.
    pub payload: Payload,
    /// What it means.
    pub meaning: &'static str,
}

/// Checks what can be checked without the frame's own type, and finds its row.
pub fn check(line: &Line<'_>, sender: Sender, state: State) -> Result<&'static TagSpec, ProtocolError> {
    let spec = TAGS
        .iter()
        .find(|spec| spec.tag == line.tag && spec.sender == sender && spec.states.contains(&state))
        .ok_or_else(|| ProtocolError::Tag { tag: excerpt(line.tag) })?;
    let payload_fits = match (spec.payload, line.payload) {
        (Payload::None, None) => true,
        (Payload::Text, Some(bytes)) => str::from_utf8(bytes).is_ok(),
        _ => false,
    };
    if payload_fits { Ok(spec) } else { Err(ProtocolError::Payload { tag: spec.tag }) }
}

/// Passes over the features of a `hello`: this version knows none, a later one may name some.
pub(crate) fn skip_features(fields: &mut FieldReader<'_>) -> Result<(), ProtocolError> {
    while fields.more() {
        fields.take_word("feature")?;
    }
    Ok(())
}

fn excerpt(tag: &str) -> String {
    tag.chars().filter(char::is_ascii_graphic).take(32).collect()
}

const fn field(name: &'static str, kind: &'static str) -> FieldSpec {
    FieldSpec { name, kind }
}

const REQUEST: FieldSpec = field("request", "request");
const ID: FieldSpec = field("id", "id");
const SENT_AT: FieldSpec = field("sent-at", "time");

const GREETING: &[State] = &[State::Greeting];
const LOGIN: &[State] = &[State::Login];
const BEFORE_CHAT: &[State] = &[State::Greeting, State::Login];
const CHAT: &[State] = &[State::Chat];
const ANY: &[State] = &[State::Greeting, State::Login, State::Chat];

const fn from_client(
    tag: &'static str,
    states: &'static [State],
    fields: &'static [FieldSpec],
    payload: Payload,
    meaning: &'static str,
) -> TagSpec {
    TagSpec { tag, sender: Sender::Client, states, fields, repeated: &[], payload, meaning }
}

const fn from_server(
    tag: &'static str,
    states: &'static [State],
    fields: &'static [FieldSpec],
    payload: Payload,
    meaning: &'static str,
) -> TagSpec {
    TagSpec { tag, sender: Sender::Server, states, fields, repeated: &[], payload, meaning }
}

const fn repeating(spec: TagSpec, repeated: &'static [FieldSpec]) -> TagSpec {
    TagSpec { repeated, ..spec }
}

/// Every tag there is. A tag that both sides send has a row for each.
pub static TAGS: &[TagSpec] = &[
    repeating(
        from_client(
            "hello",
            GREETING,
            &[field("version", "number")],
            Payload::None,
            "The first frame of a connection: the highest version the client speaks, and the features it knows.",
        ),
        &[field("feature", "word")],
    ),
    from_client(
        "auth",
        LOGIN,
        &[field("mechanism", "word"), field("key", "fingerprint")],
        Payload::Text,
        "Starts the log-in. Key: that of this client, which others will ask it to show. Payload: SCRAM's client-first-message.",
    ),
    from_client(
        "proof",
        LOGIN,
        &[],
        Payload::Text,
        "Answers `challenge`. Payload: SCRAM's client-final-message.",
    ),
    from_client(
        "message",
        CHAT,
        &[REQUEST, field("to", "user"), ID],
        Payload::Text,
        "A message to one user. Answered by `delivered`, `stored` or `refused`.",
    ),
    from_client(
        "broadcast",
        CHAT,
        &[REQUEST, ID],
        Payload::Text,
        "A message to everyone online. Answered by `sent` or `refused`.",
    ),
    from_client("whoelse", CHAT, &[REQUEST], Payload::None, "Who else is online? Answered by `users`."),
    from_client(
        "whoelsesince",
        CHAT,
        &[REQUEST, field("seconds", "number")],
        Payload::None,
        "Who else was online at any time in the past seconds? Answered by `users`.",
    ),
    from_client(
        "block",
        CHAT,
        &[REQUEST, field("user", "user")],
        Payload::None,
        "Takes nothing from that user any more. Answered by `done` or `refused`.",
    ),
    from_client(
        "unblock",
        CHAT,
        &[REQUEST, field("user", "user")],
        Payload::None,
        "Undoes `block`. Answered by `done` or `refused`.",
    ),
    from_client("blocklist", CHAT, &[REQUEST], Payload::None, "Whom have I blocked? Answered by `users`."),
    from_client(
        "invite",
        CHAT,
        &[REQUEST, field("user", "user"), field("purpose", "word")],
        Payload::None,
        "Wants to meet that user's client. Answered by `ticket` or `refused`.",
    ),
    from_client(
        "logout",
        CHAT,
        &[REQUEST],
        Payload::None,
        "Ends the session. Answered by `done`, then `goodbye logout`.",
    ),
    from_client(
        "ack",
        CHAT,
        &[field("from", "user"), ID],
        Payload::None,
        "The message of that sender with that id was shown to the user (or had been before). Not answered.",
    ),
    from_client(
        "active",
        CHAT,
        &[],
        Payload::None,
        "The user gave a command that needs no server: it counts against inactivity. Not answered.",
    ),
    from_client("ping", ANY, &[], Payload::None, "Are you there? Answered by `pong`."),
    from_client("pong", ANY, &[], Payload::None, "Answers `ping`."),
    repeating(
        from_server(
            "hello",
            GREETING,
            &[field("version", "number")],
            Payload::None,
            "Answers `hello`: the version that both will speak, and the features the server knows.",
        ),
        &[field("feature", "word")],
    ),
    from_server(
        "challenge",
        LOGIN,
        &[],
        Payload::Text,
        "Answers `auth`. Payload: SCRAM's server-first-message.",
    ),
    from_server(
        "welcome",
        LOGIN,
        &[field("user", "user")],
        Payload::Text,
        "Answers a right `proof`: the user is logged in. Payload: SCRAM's server-final-message, which the client must check.",
    ),
    from_server(
        "login-refused",
        BEFORE_CHAT,
        &[field("code", "word"), field("retry-after", "number")],
        Payload::Text,
        "Answers a `proof`, or comes at once in place of `hello` from a server that has no room; `goodbye login` follows. Retry-after: seconds until the lock ends, 0 when there is none. Payload: the reason for people.",
    ),
    from_server(
        "deliver",
        CHAT,
        &[field("from", "user"), ID, SENT_AT, field("offline", "flag")],
        Payload::Text,
        "A direct message; offline is 1 when it waited in the store. The client answers `ack` once it was shown.",
    ),
    from_server(
        "announce",
        CHAT,
        &[field("from", "user"), ID, SENT_AT],
        Payload::Text,
        "A broadcast. Not acknowledged.",
    ),
    from_server(
        "ready",
        CHAT,
        &[],
        Payload::None,
        "Every message that waited was sent: comes once, behind them and before anything else. Whoever shows answers before it mixes them with old messages.",
    ),
    repeating(
        from_server(
            "presence",
            CHAT,
            &[],
            Payload::None,
            "Users who came and went, in that order. May name the receiver himself, who passes over that.",
        ),
        &[field("user", "user"), field("change", "word")],
    ),
    from_server(
        "delivered",
        CHAT,
        &[REQUEST],
        Payload::None,
        "The recipient's client has shown the message.",
    ),
    from_server(
        "stored",
        CHAT,
        &[REQUEST],
        Payload::None,
        "The message is written down and comes to the recipient at his next log-in.",
    ),
    from_server(
        "sent",
        CHAT,
        &[REQUEST, field("recipients", "number"), field("blocked", "flag")],
        Payload::None,
        "The broadcast is on its way to that many users; blocked is 1 when somebody online did not get it because he blocked the sender.",
    ),
    repeating(
        from_server(
            "users",
            CHAT,
            &[REQUEST, field("more", "flag")],
            Payload::None,
            "Names, sorted. When more is 1, further `users` frames of the same request follow.",
        ),
        &[field("user", "user")],
    ),
    from_server(
        "ticket",
        CHAT,
        &[REQUEST, field("ticket", "id"), field("key", "fingerprint")],
        Payload::None,
        "The other client awaits this ticket for 30 s, once, from the key that `auth` named; it will show that key itself.",
    ),
    from_server(
        "expect",
        CHAT,
        &[
            field("ticket", "id"),
            field("from", "user"),
            field("key", "fingerprint"),
            field("purpose", "word"),
        ],
        Payload::None,
        "That user's client may come with this ticket, for 30 s, once, for that purpose, showing that key.",
    ),
    from_server("done", CHAT, &[REQUEST], Payload::None, "The request was carried out."),
    from_server(
        "refused",
        CHAT,
        &[REQUEST, field("code", "word")],
        Payload::Text,
        "The request was not carried out. Payload: the reason for people.",
    ),
    from_server("notice", CHAT, &[], Payload::Text, "Something the server has to say. Payload: for people."),
    from_server(
        "goodbye",
        ANY,
        &[field("reason", "word")],
        Payload::Text,
        "The last frame; the server closes. Payload: the reason for people.",
    ),
    from_server("ping", ANY, &[], Payload::None, "Are you there? Answered by `pong`."),
    from_server("pong", ANY, &[], Payload::None, "Answers `ping`."),
];
