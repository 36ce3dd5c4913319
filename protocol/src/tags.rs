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
    /// Between two clients: a link stands, and no ticket was shown over it yet.
    Meeting,
    /// Between two clients: a ticket was shown and taken.
    Met,
}

/// Which side sends a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The program of a user.
    Client,
    /// The program in the middle.
    Server,
    /// A client, to another client, over a link between the two.
    Peer,
}

/// What stands behind the line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// No line feed and nothing behind it.
    None,
    /// UTF-8 text, up to the frame's limit.
    Text,
    /// Any bytes, up to the frame's limit.
    Bytes,
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
        (Payload::None, None) | (Payload::Bytes, Some(_)) => true,
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
const TICKET: FieldSpec = field("ticket", "id");
const FILE: FieldSpec = field("file", "hash");
const SIZE: FieldSpec = field("size", "number");
const CHUNKS: FieldSpec = field("chunks", "number");
const CHUNK: FieldSpec = field("chunk", "number");
const OFFSET: FieldSpec = field("offset", "number");

const GREETING: &[State] = &[State::Greeting];
const LOGIN: &[State] = &[State::Login];
const BEFORE_CHAT: &[State] = &[State::Greeting, State::Login];
const CHAT: &[State] = &[State::Chat];
const ANY: &[State] = &[State::Greeting, State::Login, State::Chat];
const MET: &[State] = &[State::Met];
const LINKED: &[State] = &[State::Meeting, State::Met];

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

const fn from_peer(
    tag: &'static str,
    states: &'static [State],
    fields: &'static [FieldSpec],
    payload: Payload,
    meaning: &'static str,
) -> TagSpec {
    TagSpec { tag, sender: Sender::Peer, states, fields, repeated: &[], payload, meaning }
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
        "lookup",
        CHAT,
        &[REQUEST, field("user", "user")],
        Payload::None,
        "Is that another user, and is he online? Answered by `done` or `refused`.",
    ),
    repeating(
        from_client(
            "reachable",
            CHAT,
            &[],
            Payload::None,
            "Where this client awaits others: at most 4 addresses, which replace those it named before. Passed on are those with a port of at least 1024, and the address that the server sees or a private one; a port at an address of its own is tried at the address that the server sees, too. Not answered.",
        ),
        &[field("address", "address")],
    ),
    from_client(
        "dial-back",
        CHAT,
        &[TICKET],
        Payload::None,
        "This client could not reach the other: let the other one dial, and show the same ticket. Not answered.",
    ),
    from_client(
        "relay",
        CHAT,
        &[TICKET],
        Payload::None,
        "Neither client reaches the other: carry their bytes. Answered, to both, by `relay` or `relay-end`.",
    ),
    from_client(
        "carry",
        CHAT,
        &[TICKET],
        Payload::Bytes,
        "Bytes for the other end of a relay, no more than the server gave credit for.",
    ),
    from_client("relay-end", CHAT, &[TICKET], Payload::None, "Ends a relay. Not answered."),
    from_client(
        "register",
        CHAT,
        &[REQUEST, FILE, SIZE, CHUNKS],
        Payload::Text,
        "Offers a file, all of whose chunks this client holds. Payload: its name. Answered by `done` or `refused`.",
    ),
    from_client(
        "unregister",
        CHAT,
        &[REQUEST],
        Payload::Text,
        "Takes back what this user has registered. Payload: the file's name. Answered by `done` or `refused`.",
    ),
    from_client(
        "files",
        CHAT,
        &[REQUEST],
        Payload::None,
        "What is registered? Answered by a `file` for each and then `done`.",
    ),
    from_client(
        "search",
        CHAT,
        &[REQUEST],
        Payload::Text,
        "Who has which chunks of a file? Payload: its name. Answered by a `holder` for each user who is online and has any, and then `found`; or `refused`.",
    ),
    from_client(
        "have",
        CHAT,
        &[FILE],
        Payload::Bytes,
        "The chunks of a registered file that this client holds; replaces what it said before. Payload: a set of chunks. Not answered, and of no effect for a file that is not registered.",
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
    repeating(
        from_server(
            "ticket",
            CHAT,
            &[REQUEST, TICKET, field("key", "fingerprint")],
            Payload::None,
            "The other client awaits this ticket for 30 s, once, from the key that `auth` named, at one of these addresses; it will show that key itself.",
        ),
        &[field("address", "address")],
    ),
    repeating(
        from_server(
            "expect",
            CHAT,
            &[TICKET, field("from", "user"), field("key", "fingerprint"), field("purpose", "word")],
            Payload::None,
            "That user's client may come with this ticket, for 30 s, once, for that purpose, showing that key. The addresses are its own, for `dial-back`.",
        ),
        &[field("address", "address")],
    ),
    from_server(
        "dial-back",
        CHAT,
        &[TICKET],
        Payload::None,
        "The client named in that `expect` cannot get through: dial it, and show it the ticket.",
    ),
    from_server(
        "relay",
        CHAT,
        &[TICKET, field("credit", "number")],
        Payload::None,
        "A relay stands between the two clients of that ticket, whose owner speaks first. Each may send so many bytes for now.",
    ),
    from_server("carry", CHAT, &[TICKET], Payload::Bytes, "Bytes from the other end of a relay."),
    from_server(
        "credit",
        CHAT,
        &[TICKET, field("credit", "number")],
        Payload::None,
        "So many further bytes may be sent over that relay.",
    ),
    from_server(
        "relay-end",
        CHAT,
        &[TICKET],
        Payload::None,
        "There is no relay for that ticket, or no more.",
    ),
    from_server(
        "file",
        CHAT,
        &[REQUEST, FILE, SIZE, CHUNKS, field("owner", "user")],
        Payload::Text,
        "A registered file. Payload: its name.",
    ),
    from_server(
        "holder",
        CHAT,
        &[REQUEST, field("user", "user")],
        Payload::Bytes,
        "Which chunks that user has. Payload: a set of chunks.",
    ),
    from_server(
        "found",
        CHAT,
        &[REQUEST, FILE, SIZE, CHUNKS],
        Payload::None,
        "The file is registered, and all of its holders were named.",
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
    from_peer(
        "meet",
        LINKED,
        &[field("version", "number"), TICKET, field("purpose", "word")],
        Payload::None,
        "Shows a ticket. The first frame of the side that dialled, or of the ticket's owner over a relay; later from either side for a further purpose. Answered by `met` or `unmet`.",
    ),
    from_peer(
        "met",
        LINKED,
        &[TICKET],
        Payload::None,
        "Answers `meet`: the link serves that purpose from here on.",
    ),
    from_peer("unmet", LINKED, &[TICKET], Payload::None, "Answers `meet`: the ticket was not taken."),
    from_peer("bye", LINKED, &[field("reason", "word")], Payload::None, "The last frame of a link."),
    from_peer("ping", MET, &[], Payload::None, "Are you there? Answered by `pong`."),
    from_peer("pong", MET, &[], Payload::None, "Answers `ping`."),
    from_peer(
        "private",
        MET,
        &[field("number", "number")],
        Payload::Text,
        "A private message. The numbers of one side rise by one, from 0 for each talk. Answered by `heard`.",
    ),
    from_peer(
        "heard",
        MET,
        &[field("number", "number")],
        Payload::None,
        "Every private message up to that number was shown to the user.",
    ),
    from_peer("hang-up", MET, &[], Payload::None, "Ends the talk; the link may go on to serve files."),
    from_peer(
        "want-manifest",
        MET,
        &[FILE, OFFSET],
        Payload::None,
        "Asks for a piece of a file's manifest, from that byte on. Answered by `manifest` or `no-file`.",
    ),
    from_peer(
        "manifest",
        MET,
        &[FILE, OFFSET],
        Payload::Bytes,
        "A piece of a manifest, up to 128 KiB; only the last may be shorter.",
    ),
    from_peer(
        "want-holds",
        MET,
        &[FILE],
        Payload::None,
        "Asks which chunks of a file this client holds. Answered by `holds`, now and whenever there are more, or by `no-file`.",
    ),
    from_peer(
        "holds",
        MET,
        &[FILE],
        Payload::Bytes,
        "The chunks of a file that the sender holds; replaces what it said before. Payload: a set of chunks.",
    ),
    from_peer("no-file", MET, &[FILE], Payload::None, "The sender does not offer that file, or no longer."),
    from_peer(
        "request",
        MET,
        &[FILE, CHUNK, OFFSET, field("len", "number")],
        Payload::None,
        "Asks for up to 128 KiB of a chunk, from that byte of the chunk on. Answered by `block` or `no-block`, unless taken back.",
    ),
    from_peer(
        "block",
        MET,
        &[FILE, CHUNK, OFFSET],
        Payload::Bytes,
        "A part of a chunk, as long as asked for.",
    ),
    from_peer(
        "no-block",
        MET,
        &[FILE, CHUNK, OFFSET, field("reason", "word")],
        Payload::None,
        "That part of a chunk will not come.",
    ),
    from_peer(
        "cancel",
        MET,
        &[FILE, CHUNK, OFFSET],
        Payload::None,
        "Takes a `request` back; its `block` may be on the way already.",
    ),
];
