//! The values that go into `Files` and come out of it.

use protocol::{ChunkSet, ErrorCode, FileId, FileName, Frame, Layout, Username};
use thiserror::Error;

use super::disk::DiskJob;
use crate::core::{Event, FileEntry, peers::LinkId};

/// Limits in bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of what others fetch from here.
    pub upload: Option<u64>,
    /// Of what is fetched.
    pub download: Option<u64>,
}

/// Names a question to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::core) struct AskId(pub(in crate::core) u64);

/// What the server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum Question {
    /// Answered by [`ServerAnswer::Found`].
    Search { name: FileName },
    /// Answered by [`ServerAnswer::Done`].
    Register { file: FileId, layout: Layout, name: FileName },
    /// Answered by [`ServerAnswer::Done`].
    Unregister { name: FileName },
    /// Answered by [`ServerAnswer::Files`].
    Files,
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum ServerAnswer {
    /// The file is registered, and these users are online and hold chunks of it.
    Found { file: FileId, layout: Layout, holders: Vec<(Username, ChunkSet)> },
    /// What is registered.
    Files(Vec<FileEntry>),
    /// It was carried out.
    Done,
    /// It was not.
    Refused { code: ErrorCode, text: String },
    /// The connection went away before the answer, or there was none.
    Lost,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) enum FilesOutput {
    /// Ask the server. Answered by [`super::Files::answered`].
    Ask { ask: AskId, question: Question },
    /// Tell the server what is held of a file.
    Have { file: FileId, held: ChunkSet },
    /// Open a link that serves files. Answered by [`super::Files::link_opened`] or [`super::Files::link_failed`].
    Link { user: Username },
    /// Send a frame over a link.
    Send { link: LinkId, frame: Frame },
    /// Give a job to the disk.
    Disk(DiskJob),
    /// Show the user something.
    Show(Event),
    /// Chunks move: tell the server that this user is active.
    Active,
    /// End a link.
    CloseLink { link: LinkId },
}

/// A peer broke the protocol: the link to him is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a peer {0}")]
pub(in crate::core) struct Misbehaved(pub(in crate::core) &'static str);
