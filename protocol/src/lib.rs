//! What the server and the client must agree on, and nothing else: frames, tags, names, codes, log-in messages.
//!
//! No sockets, no clock, no threads, no randomness but what a seed gives: everything here is a function of its arguments.
//!
//! Reading order: [`frame`] (bytes to bodies), [`mod@line`] (bodies to tagged lines), [`tags`] (the one table of
//! tags), [`client_frame`] and [`server_frame`] (the typed messages that both programs use).

pub mod client_frame;
pub mod codes;
pub mod field;
pub mod file;
pub mod fingerprint;
pub mod frame;
pub mod limits;
pub mod line;
pub mod message;
pub mod peer_frame;
pub mod printable;
pub mod random;
pub mod scram;
pub mod server_frame;
pub mod tags;
pub mod time;
pub mod transport;
pub mod username;

pub use client_frame::ClientFrame;
pub use codes::{
    ByeReason, ErrorCode, GoodbyeReason, LoginRefusal, NoBlockReason, PresenceChange, Purpose, Word,
};
pub use file::{ChunkIndex, ChunkSet, FileHash, FileId, FileName, Layout, Manifest};
pub use fingerprint::Fingerprint;
pub use frame::{Frame, FrameDecoder, FrameError};
pub use line::ProtocolError;
pub use message::{MessageId, RequestId, TicketId};
pub use peer_frame::PeerFrame;
pub use server_frame::ServerFrame;
pub use tags::State;
pub use username::Username;

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;
