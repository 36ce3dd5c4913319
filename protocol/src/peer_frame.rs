//! What two clients say to each other, typed.
//!
//! Owns both directions of each frame: how it is read and how it is written. Must not know what is done with it.

use crate::{
    codes::{ByeReason, NoBlockReason, Purpose},
    file::FileId,
    frame::Frame,
    line::{FrameWriter, Line, ProtocolError},
    message::TicketId,
    tags::{self, Sender, State},
};

/// A frame between clients. Payloads borrow from the receive buffer. The rows of [`tags::TAGS`] say what each means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table of tags documents the frames and their fields")]
pub enum PeerFrame<'a> {
    Meet { version: u32, ticket: TicketId, purpose: Purpose },
    Met { ticket: TicketId },
    Unmet { ticket: TicketId },
    Bye { reason: ByeReason },
    Ping,
    Pong,
    Private { number: u64, text: &'a str },
    Heard { number: u64 },
    HangUp,
    WantManifest { file: FileId, offset: u32 },
    Manifest { file: FileId, offset: u32, bytes: &'a [u8] },
    WantHolds { file: FileId },
    Holds { file: FileId, held: &'a [u8] },
    NoFile { file: FileId },
    Request { file: FileId, chunk: u32, offset: u64, len: u32 },
    Block { file: FileId, chunk: u32, offset: u64, bytes: &'a [u8] },
    NoBlock { file: FileId, chunk: u32, offset: u64, reason: NoBlockReason },
    Cancel { file: FileId, chunk: u32, offset: u64 },
}

impl<'a> PeerFrame<'a> {
    /// Reads a body that came while the link was in `state`.
    pub fn decode(body: &'a [u8], state: State) -> Result<Self, ProtocolError> {
        let line = Line::parse(body)?;
        let spec = tags::check(&line, Sender::Peer, state)?;
        let bytes = line.payload.unwrap_or_default();
        let text = str::from_utf8(bytes).unwrap_or_default();
        let mut fields = line.fields(spec.tag);
        let frame = match spec.tag {
            "meet" => Self::Meet {
                version: fields.take("version")?,
                ticket: fields.take("ticket")?,
                purpose: fields.take("purpose")?,
            },
            "met" => Self::Met { ticket: fields.take("ticket")? },
            "unmet" => Self::Unmet { ticket: fields.take("ticket")? },
            "bye" => Self::Bye { reason: fields.take("reason")? },
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            "private" => Self::Private { number: fields.take("number")?, text },
            "heard" => Self::Heard { number: fields.take("number")? },
            "hang-up" => Self::HangUp,
            "want-manifest" => {
                Self::WantManifest { file: fields.take("file")?, offset: fields.take("offset")? }
            }
            "manifest" => {
                Self::Manifest { file: fields.take("file")?, offset: fields.take("offset")?, bytes }
            }
            "want-holds" => Self::WantHolds { file: fields.take("file")? },
            "holds" => Self::Holds { file: fields.take("file")?, held: bytes },
            "no-file" => Self::NoFile { file: fields.take("file")? },
            "request" => Self::Request {
                file: fields.take("file")?,
                chunk: fields.take("chunk")?,
                offset: fields.take("offset")?,
                len: fields.take("len")?,
            },
            "block" => Self::Block {
                file: fields.take("file")?,
                chunk: fields.take("chunk")?,
                offset: fields.take("offset")?,
                bytes,
            },
            "no-block" => Self::NoBlock {
                file: fields.take("file")?,
                chunk: fields.take("chunk")?,
                offset: fields.take("offset")?,
                reason: fields.take("reason")?,
            },
            "cancel" => Self::Cancel {
                file: fields.take("file")?,
                chunk: fields.take("chunk")?,
                offset: fields.take("offset")?,
            },
            other => return Err(ProtocolError::Tag { tag: other.to_owned() }),
        };
        fields.end()?;
        Ok(frame)
    }

    /// The frame as it travels.
    pub fn encode(&self) -> Frame {
        match self {
            Self::Meet { version, ticket, purpose } => {
                FrameWriter::new("meet").field(version).field(ticket).field(purpose).finish()
            }
            Self::Met { ticket } => FrameWriter::new("met").field(ticket).finish(),
            Self::Unmet { ticket } => FrameWriter::new("unmet").field(ticket).finish(),
            Self::Bye { reason } => FrameWriter::new("bye").field(reason).finish(),
            Self::Ping => FrameWriter::new("ping").finish(),
            Self::Pong => FrameWriter::new("pong").finish(),
            Self::Private { number, text } => {
                FrameWriter::new("private").field(number).payload(text.as_bytes())
            }
            Self::Heard { number } => FrameWriter::new("heard").field(number).finish(),
            Self::HangUp => FrameWriter::new("hang-up").finish(),
            Self::WantManifest { file, offset } => {
                FrameWriter::new("want-manifest").field(file).field(offset).finish()
            }
            Self::Manifest { file, offset, bytes } => {
                FrameWriter::new("manifest").field(file).field(offset).payload(bytes)
            }
            Self::WantHolds { file } => FrameWriter::new("want-holds").field(file).finish(),
            Self::Holds { file, held } => FrameWriter::new("holds").field(file).payload(held),
            Self::NoFile { file } => FrameWriter::new("no-file").field(file).finish(),
            Self::Request { file, chunk, offset, len } => {
                FrameWriter::new("request").field(file).field(chunk).field(offset).field(len).finish()
            }
            Self::Block { file, chunk, offset, bytes } => {
                FrameWriter::new("block").field(file).field(chunk).field(offset).payload(bytes)
            }
            Self::NoBlock { file, chunk, offset, reason } => {
                FrameWriter::new("no-block").field(file).field(chunk).field(offset).field(reason).finish()
            }
            Self::Cancel { file, chunk, offset } => {
                FrameWriter::new("cancel").field(file).field(chunk).field(offset).finish()
            }
        }
    }
}
