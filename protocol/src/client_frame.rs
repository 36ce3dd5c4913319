//! What a client says to a server, typed.
//!
//! Owns both directions of each frame: how it is read and how it is written. Must not know what is done with it.

use core::net::SocketAddr;

use crate::{
    codes::Purpose,
    file::FileId,
    fingerprint::Fingerprint,
    frame::Frame,
    line::{FrameWriter, Line, ProtocolError},
    message::{MessageId, RequestId, TicketId},
    scram::Mechanism,
    tags::{self, Sender, State},
    username::Username,
};

/// A frame from a client. Text borrows from the receive buffer. The rows of [`tags::TAGS`] say what each means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table of tags documents the frames and their fields")]
pub enum ClientFrame<'a> {
    Hello { version: u32 },
    Auth { mechanism: Mechanism, key: Fingerprint, client_first: &'a str },
    Proof { client_final: &'a str },
    Message { request: RequestId, to: Username, id: MessageId, text: &'a str },
    Broadcast { request: RequestId, id: MessageId, text: &'a str },
    WhoElse { request: RequestId },
    WhoElseSince { request: RequestId, seconds: u64 },
    Block { request: RequestId, user: Username },
    Unblock { request: RequestId, user: Username },
    BlockList { request: RequestId },
    Invite { request: RequestId, user: Username, purpose: Purpose },
    Lookup { request: RequestId, user: Username },
    Reachable { addresses: Vec<SocketAddr> },
    DialBack { ticket: TicketId },
    Relay { ticket: TicketId },
    Carry { ticket: TicketId, bytes: &'a [u8] },
    RelayEnd { ticket: TicketId },
    Register { request: RequestId, file: FileId, size: u64, chunks: u32, name: &'a str },
    Unregister { request: RequestId, name: &'a str },
    Files { request: RequestId },
    Search { request: RequestId, name: &'a str },
    Have { file: FileId, held: &'a [u8] },
    Logout { request: RequestId },
    Ack { from: Username, id: MessageId },
    Active,
    Ping,
    Pong,
}

impl<'a> ClientFrame<'a> {
    /// Reads a body that came while the connection was in `state`.
    pub fn decode(body: &'a [u8], state: State) -> Result<Self, ProtocolError> {
        let line = Line::parse(body)?;
        let spec = tags::check(&line, Sender::Client, state)?;
        let bytes = line.payload.unwrap_or_default();
        let text = str::from_utf8(bytes).unwrap_or_default();
        let mut fields = line.fields(spec.tag);
        let frame = match spec.tag {
            "hello" => {
                let version = fields.take("version")?;
                tags::skip_features(&mut fields)?;
                Self::Hello { version }
            }
            "auth" => Self::Auth {
                mechanism: fields.take("mechanism")?,
                key: fields.take("key")?,
                client_first: text,
            },
            "proof" => Self::Proof { client_final: text },
            "message" => Self::Message {
                request: fields.take("request")?,
                to: fields.take("to")?,
                id: fields.take("id")?,
                text,
            },
            "broadcast" => Self::Broadcast { request: fields.take("request")?, id: fields.take("id")?, text },
            "whoelse" => Self::WhoElse { request: fields.take("request")? },
            "whoelsesince" => {
                Self::WhoElseSince { request: fields.take("request")?, seconds: fields.take("seconds")? }
            }
            "block" => Self::Block { request: fields.take("request")?, user: fields.take("user")? },
            "unblock" => Self::Unblock { request: fields.take("request")?, user: fields.take("user")? },
            "blocklist" => Self::BlockList { request: fields.take("request")? },
            "invite" => Self::Invite {
                request: fields.take("request")?,
                user: fields.take("user")?,
                purpose: fields.take("purpose")?,
            },
            "lookup" => Self::Lookup { request: fields.take("request")?, user: fields.take("user")? },
            "reachable" => Self::Reachable { addresses: fields.take_all("address")? },
            "dial-back" => Self::DialBack { ticket: fields.take("ticket")? },
            "relay" => Self::Relay { ticket: fields.take("ticket")? },
            "carry" => Self::Carry { ticket: fields.take("ticket")?, bytes },
            "relay-end" => Self::RelayEnd { ticket: fields.take("ticket")? },
            "register" => Self::Register {
                request: fields.take("request")?,
                file: fields.take("file")?,
                size: fields.take("size")?,
                chunks: fields.take("chunks")?,
                name: text,
            },
            "unregister" => Self::Unregister { request: fields.take("request")?, name: text },
            "files" => Self::Files { request: fields.take("request")? },
            "search" => Self::Search { request: fields.take("request")?, name: text },
            "have" => Self::Have { file: fields.take("file")?, held: bytes },
            "logout" => Self::Logout { request: fields.take("request")? },
            "ack" => Self::Ack { from: fields.take("from")?, id: fields.take("id")? },
            "active" => Self::Active,
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
            Self::Auth { mechanism, key, client_first } => {
                FrameWriter::new("auth").field(mechanism).field(key).payload(client_first.as_bytes())
            }
            Self::Proof { client_final } => FrameWriter::new("proof").payload(client_final.as_bytes()),
            Self::Message { request, to, id, text } => {
                FrameWriter::new("message").field(request).field(to).field(id).payload(text.as_bytes())
            }
            Self::Broadcast { request, id, text } => {
                FrameWriter::new("broadcast").field(request).field(id).payload(text.as_bytes())
            }
            Self::WhoElse { request } => FrameWriter::new("whoelse").field(request).finish(),
            Self::WhoElseSince { request, seconds } => {
                FrameWriter::new("whoelsesince").field(request).field(seconds).finish()
            }
            Self::Block { request, user } => FrameWriter::new("block").field(request).field(user).finish(),
            Self::Unblock { request, user } => {
                FrameWriter::new("unblock").field(request).field(user).finish()
            }
            Self::BlockList { request } => FrameWriter::new("blocklist").field(request).finish(),
            Self::Invite { request, user, purpose } => {
                FrameWriter::new("invite").field(request).field(user).field(purpose).finish()
            }
            Self::Lookup { request, user } => FrameWriter::new("lookup").field(request).field(user).finish(),
            Self::Reachable { addresses } => FrameWriter::new("reachable").fields(addresses).finish(),
            Self::DialBack { ticket } => FrameWriter::new("dial-back").field(ticket).finish(),
            Self::Relay { ticket } => FrameWriter::new("relay").field(ticket).finish(),
            Self::Carry { ticket, bytes } => FrameWriter::new("carry").field(ticket).payload(bytes),
            Self::RelayEnd { ticket } => FrameWriter::new("relay-end").field(ticket).finish(),
            Self::Register { request, file, size, chunks, name } => FrameWriter::new("register")
                .field(request)
                .field(file)
                .field(size)
                .field(chunks)
                .payload(name.as_bytes()),
            Self::Unregister { request, name } => {
                FrameWriter::new("unregister").field(request).payload(name.as_bytes())
            }
            Self::Files { request } => FrameWriter::new("files").field(request).finish(),
            Self::Search { request, name } => {
                FrameWriter::new("search").field(request).payload(name.as_bytes())
            }
            Self::Have { file, held } => FrameWriter::new("have").field(file).payload(held),
            Self::Logout { request } => FrameWriter::new("logout").field(request).finish(),
            Self::Ack { from, id } => FrameWriter::new("ack").field(from).field(id).finish(),
            Self::Active => FrameWriter::new("active").finish(),
            Self::Ping => FrameWriter::new("ping").finish(),
            Self::Pong => FrameWriter::new("pong").finish(),
        }
    }
}
