//! What the server says to a client, typed.
//!
//! Owns both directions of each frame: how it is read and how it is written. Must not know what is done with it.

use core::net::SocketAddr;

use crate::{
    codes::{ErrorCode, GoodbyeReason, LoginRefusal, PresenceChange, Purpose},
    file::FileId,
    fingerprint::Fingerprint,
    frame::Frame,
    line::{FrameWriter, Line, ProtocolError},
    message::{MessageId, RequestId, TicketId},
    tags::{self, Sender, State},
    time::UnixMs,
    username::Username,
};

/// A frame from the server. Text borrows from the receive buffer. The rows of [`tags::TAGS`] say what each means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table of tags documents the frames and their fields")]
pub enum ServerFrame<'a> {
    Hello {
        version: u32,
    },
    Challenge {
        server_first: &'a str,
    },
    Welcome {
        user: Username,
        server_final: &'a str,
    },
    LoginRefused {
        code: LoginRefusal,
        retry_after_s: u64,
        text: &'a str,
    },
    Deliver {
        from: Username,
        id: MessageId,
        sent_at: UnixMs,
        offline: bool,
        text: &'a str,
    },
    Announce {
        from: Username,
        id: MessageId,
        sent_at: UnixMs,
        text: &'a str,
    },
    Ready,
    Presence {
        changes: Vec<(Username, PresenceChange)>,
    },
    Delivered {
        request: RequestId,
    },
    Stored {
        request: RequestId,
    },
    Sent {
        request: RequestId,
        recipients: u64,
        blocked: bool,
    },
    Users {
        request: RequestId,
        more: bool,
        users: Vec<Username>,
    },
    Ticket {
        request: RequestId,
        ticket: TicketId,
        key: Fingerprint,
        addresses: Vec<SocketAddr>,
    },
    Expect {
        ticket: TicketId,
        from: Username,
        key: Fingerprint,
        purpose: Purpose,
        addresses: Vec<SocketAddr>,
    },
    DialBack {
        ticket: TicketId,
    },
    Relay {
        ticket: TicketId,
        credit: u64,
    },
    Carry {
        ticket: TicketId,
        bytes: &'a [u8],
    },
    Credit {
        ticket: TicketId,
        credit: u64,
    },
    RelayEnd {
        ticket: TicketId,
    },
    File {
        request: RequestId,
        file: FileId,
        size: u64,
        chunks: u32,
        owner: Username,
        name: &'a str,
    },
    Holder {
        request: RequestId,
        user: Username,
        held: &'a [u8],
    },
    Found {
        request: RequestId,
        file: FileId,
        size: u64,
        chunks: u32,
    },
    Done {
        request: RequestId,
    },
    Refused {
        request: RequestId,
        code: ErrorCode,
        text: &'a str,
    },
    Notice {
        text: &'a str,
    },
    Goodbye {
        reason: GoodbyeReason,
        text: &'a str,
    },
    Ping,
    Pong,
}

impl<'a> ServerFrame<'a> {
    /// Reads a body that came while the connection was in `state`.
    pub fn decode(body: &'a [u8], state: State) -> Result<Self, ProtocolError> {
        let line = Line::parse(body)?;
        let spec = tags::check(&line, Sender::Server, state)?;
        let bytes = line.payload.unwrap_or_default();
        let text = str::from_utf8(bytes).unwrap_or_default();
        let mut fields = line.fields(spec.tag);
        let frame = match spec.tag {
            "hello" => {
                let version = fields.take("version")?;
                tags::skip_features(&mut fields)?;
                Self::Hello { version }
            }
            "challenge" => Self::Challenge { server_first: text },
            "welcome" => Self::Welcome { user: fields.take("user")?, server_final: text },
            "login-refused" => Self::LoginRefused {
                code: fields.take("code")?,
                retry_after_s: fields.take("retry-after")?,
                text,
            },
            "deliver" => Self::Deliver {
                from: fields.take("from")?,
                id: fields.take("id")?,
                sent_at: fields.take("sent-at")?,
                offline: fields.take("offline")?,
                text,
            },
            "announce" => Self::Announce {
                from: fields.take("from")?,
                id: fields.take("id")?,
                sent_at: fields.take("sent-at")?,
                text,
            },
            "ready" => Self::Ready,
            "presence" => {
                let mut changes = Vec::new();
                while fields.more() {
                    changes.push((fields.take("user")?, fields.take("change")?));
                }
                Self::Presence { changes }
            }
            "delivered" => Self::Delivered { request: fields.take("request")? },
            "stored" => Self::Stored { request: fields.take("request")? },
            "sent" => Self::Sent {
                request: fields.take("request")?,
                recipients: fields.take("recipients")?,
                blocked: fields.take("blocked")?,
            },
            "users" => {
                let (request, more) = (fields.take("request")?, fields.take("more")?);
                let mut users = Vec::new();
                while fields.more() {
                    users.push(fields.take("user")?);
                }
                Self::Users { request, more, users }
            }
            "ticket" => Self::Ticket {
                request: fields.take("request")?,
                ticket: fields.take("ticket")?,
                key: fields.take("key")?,
                addresses: fields.take_all("address")?,
            },
            "expect" => Self::Expect {
                ticket: fields.take("ticket")?,
                from: fields.take("from")?,
                key: fields.take("key")?,
                purpose: fields.take("purpose")?,
                addresses: fields.take_all("address")?,
            },
            "dial-back" => Self::DialBack { ticket: fields.take("ticket")? },
            "relay" => Self::Relay { ticket: fields.take("ticket")?, credit: fields.take("credit")? },
            "carry" => Self::Carry { ticket: fields.take("ticket")?, bytes },
            "credit" => Self::Credit { ticket: fields.take("ticket")?, credit: fields.take("credit")? },
            "relay-end" => Self::RelayEnd { ticket: fields.take("ticket")? },
            "file" => Self::File {
                request: fields.take("request")?,
                file: fields.take("file")?,
                size: fields.take("size")?,
                chunks: fields.take("chunks")?,
                owner: fields.take("owner")?,
                name: text,
            },
            "holder" => {
                Self::Holder { request: fields.take("request")?, user: fields.take("user")?, held: bytes }
            }
            "found" => Self::Found {
                request: fields.take("request")?,
                file: fields.take("file")?,
                size: fields.take("size")?,
                chunks: fields.take("chunks")?,
            },
            "done" => Self::Done { request: fields.take("request")? },
            "refused" => Self::Refused { request: fields.take("request")?, code: fields.take("code")?, text },
            "notice" => Self::Notice { text },
            "goodbye" => Self::Goodbye { reason: fields.take("reason")?, text },
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            other => return Err(ProtocolError::Tag { tag: other.to_owned() }),
        };
        fields.end()?;
        Ok(frame)
    }

    /// The frame as it travels.
    pub fn encode(&self) -> Frame {
        match self {
            Self::Hello { version } => FrameWriter::new("hello").field(version).finish(),
            Self::Challenge { server_first } => {
                FrameWriter::new("challenge").payload(server_first.as_bytes())
            }
            Self::Welcome { user, server_final } => {
                FrameWriter::new("welcome").field(user).payload(server_final.as_bytes())
            }
            Self::LoginRefused { code, retry_after_s, text } => {
                FrameWriter::new("login-refused").field(code).field(retry_after_s).payload(text.as_bytes())
            }
            Self::Deliver { from, id, sent_at, offline, text } => FrameWriter::new("deliver")
                .field(from)
                .field(id)
                .field(sent_at)
                .field(offline)
                .payload(text.as_bytes()),
            Self::Announce { from, id, sent_at, text } => {
                FrameWriter::new("announce").field(from).field(id).field(sent_at).payload(text.as_bytes())
            }
            Self::Ready => FrameWriter::new("ready").finish(),
            Self::Presence { changes } => {
                let mut writer = FrameWriter::new("presence");
                for (user, change) in changes {
                    writer.push(user);
                    writer.push(change);
                }
                writer.finish()
            }
            Self::Delivered { request } => FrameWriter::new("delivered").field(request).finish(),
            Self::Stored { request } => FrameWriter::new("stored").field(request).finish(),
            Self::Sent { request, recipients, blocked } => {
                FrameWriter::new("sent").field(request).field(recipients).field(blocked).finish()
            }
            Self::Users { request, more, users } => {
                let mut writer = FrameWriter::new("users").field(request).field(more);
                for user in users {
                    writer.push(user);
                }
                writer.finish()
            }
            Self::Ticket { request, ticket, key, addresses } => {
                FrameWriter::new("ticket").field(request).field(ticket).field(key).fields(addresses).finish()
            }
            Self::Expect { ticket, from, key, purpose, addresses } => FrameWriter::new("expect")
                .field(ticket)
                .field(from)
                .field(key)
                .field(purpose)
                .fields(addresses)
                .finish(),
            Self::DialBack { ticket } => FrameWriter::new("dial-back").field(ticket).finish(),
            Self::Relay { ticket, credit } => FrameWriter::new("relay").field(ticket).field(credit).finish(),
            Self::Carry { ticket, bytes } => FrameWriter::new("carry").field(ticket).payload(bytes),
            Self::Credit { ticket, credit } => {
                FrameWriter::new("credit").field(ticket).field(credit).finish()
            }
            Self::RelayEnd { ticket } => FrameWriter::new("relay-end").field(ticket).finish(),
            Self::File { request, file, size, chunks, owner, name } => FrameWriter::new("file")
                .field(request)
                .field(file)
                .field(size)
                .field(chunks)
                .field(owner)
                .payload(name.as_bytes()),
            Self::Holder { request, user, held } => {
                FrameWriter::new("holder").field(request).field(user).payload(held)
            }
            Self::Found { request, file, size, chunks } => {
                FrameWriter::new("found").field(request).field(file).field(size).field(chunks).finish()
            }
            Self::Done { request } => FrameWriter::new("done").field(request).finish(),
            Self::Refused { request, code, text } => {
                FrameWriter::new("refused").field(request).field(code).payload(text.as_bytes())
            }
            Self::Notice { text } => FrameWriter::new("notice").payload(text.as_bytes()),
            Self::Goodbye { reason, text } => {
                FrameWriter::new("goodbye").field(reason).payload(text.as_bytes())
            }
            Self::Ping => FrameWriter::new("ping").finish(),
            Self::Pong => FrameWriter::new("pong").finish(),
        }
    }
}
