//! What the core asks of the disk, and what the disk answers: plain values, so that a simulator can stand in
//! for the thread that does it.
//!
//! Jobs of one file are carried out in the order they were given. Must not know links or holders.

use std::{path::PathBuf, sync::Arc};

use protocol::{ChunkIndex, ChunkSet, FileId, FileName, Manifest, Username};
use thiserror::Error;

/// Names a job that has an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What the disk must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskJob {
    /// The user is logged in: read what he shared and what was half fetched before. Answered by a
    /// [`DiskReply::Restored`] for each file, in any order, as soon as its bytes are known to be right; and
    /// then by [`DiskReply::AllRestored`].
    Restore {
        /// Whose files: each user of one directory has state of his own.
        user: Username,
    },
    /// Look whether there is such a file. Answered by [`DiskReply::Seen`].
    Look {
        /// Returned with the answer.
        job: JobId,
        /// As typed: it may be no name that can be shared.
        name: String,
    },
    /// Hash a file, chunk by chunk and as a whole. Answered by [`DiskReply::Hashing`] now and then, and at
    /// last by [`DiskReply::Hashed`] or [`DiskReply::Failed`].
    Hash {
        /// Returned with the answers.
        job: JobId,
        /// Which file.
        name: FileName,
        /// Into how many chunks it is cut; that they fit the size was checked, but it may have changed.
        chunks: u64,
    },
    /// Stop hashing; there is no answer, and none of the hash comes any more after [`DiskReply::Failed`] or
    /// this.
    StopHashing {
        /// The job's number.
        job: JobId,
    },
    /// Remember that this file is offered (it was hashed before). Answered by [`DiskReply::Shared`] or
    /// [`DiskReply::Failed`].
    Share {
        /// Returned with the answer.
        job: JobId,
        /// Which file.
        name: FileName,
        /// The hash of its manifest.
        file: FileId,
    },
    /// Forget that this file is offered; the file itself stays. Not answered.
    Unshare {
        /// Which file.
        file: FileId,
    },
    /// Make room for a download, or go on with one that is half done. Answered by [`DiskReply::Begun`] or
    /// [`DiskReply::Failed`].
    Begin {
        /// Returned with the answer.
        job: JobId,
        /// The name that the whole file will have.
        name: FileName,
        /// What it must be.
        manifest: Arc<Manifest>,
    },
    /// Write a part of a chunk. Answered by [`DiskReply::Wrote`], or [`DiskReply::Broken`].
    Write {
        /// Which file.
        file: FileId,
        /// Which chunk.
        chunk: ChunkIndex,
        /// From which byte of the chunk on.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Every part of that chunk was written: is it right? If so it is remembered as held. Answered by
    /// [`DiskReply::Verified`], or [`DiskReply::Broken`].
    Verify {
        /// Which file.
        file: FileId,
        /// Which chunk.
        chunk: ChunkIndex,
    },
    /// Every chunk is held: give the file its own name, in one step, over nothing that exists. It is offered
    /// like a shared one from then on. Answered by [`DiskReply::Finished`] or [`DiskReply::Failed`].
    Finish {
        /// Returned with the answer.
        job: JobId,
        /// Which file.
        file: FileId,
    },
    /// No more is fetched of that file for now; what is held stays, and is offered. Not answered.
    Pause {
        /// Which file.
        file: FileId,
    },
    /// Read a part of a chunk that is held. Answered by [`DiskReply::Read`].
    Read {
        /// Returned with the answer.
        job: JobId,
        /// Which file.
        file: FileId,
        /// Which chunk.
        chunk: ChunkIndex,
        /// From which byte of the chunk on.
        offset: u64,
        /// How many bytes; the chunk has them.
        len: u32,
    },
    /// Read a part of a manifest. Answered by [`DiskReply::Read`].
    ReadManifest {
        /// Returned with the answer.
        job: JobId,
        /// Which file.
        file: FileId,
        /// From which byte on.
        offset: u32,
    },
}

/// What the disk says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskReply {
    /// A file of an earlier run, and which chunks of it are there and right: perhaps none any more.
    Restored {
        /// The name it has, or will have.
        name: FileName,
        /// What it must be.
        manifest: Arc<Manifest>,
        /// Its id.
        file: FileId,
        /// Which chunks are right.
        held: ChunkSet,
        /// Whether it stands under its own name.
        complete: bool,
    },
    /// There are no more.
    AllRestored,
    /// Answers [`DiskJob::Look`]: its size in bytes if it is a plain file that can be read.
    Seen {
        /// The job's number.
        job: JobId,
        /// `Err`: there is none, or it is a directory, a link, a device.
        size: Result<u64, DiskError>,
    },
    /// So much of the file is hashed.
    Hashing {
        /// The job's number.
        job: JobId,
        /// Whole chunks.
        chunks: u32,
        /// Bytes.
        bytes: u64,
    },
    /// The file is hashed.
    Hashed {
        /// The job's number.
        job: JobId,
        /// What came out.
        manifest: Arc<Manifest>,
    },
    /// Answers [`DiskJob::Share`].
    Shared {
        /// The job's number.
        job: JobId,
    },
    /// Answers [`DiskJob::Begin`].
    Begun {
        /// The job's number.
        job: JobId,
        /// Chunks that are there already and right.
        held: ChunkSet,
        /// Where the bytes lie until the file is whole.
        path: PathBuf,
    },
    /// So many bytes of [`DiskJob::Write`] lie in the file.
    Wrote {
        /// Which file.
        file: FileId,
        /// How many.
        len: usize,
    },
    /// Answers [`DiskJob::Verify`].
    Verified {
        /// Which file.
        file: FileId,
        /// Which chunk.
        chunk: ChunkIndex,
        /// Whether it is what the manifest says.
        right: bool,
    },
    /// Answers [`DiskJob::Finish`].
    Finished {
        /// The job's number.
        job: JobId,
        /// Where the file is.
        path: PathBuf,
    },
    /// Answers a read.
    Read {
        /// The job's number.
        job: JobId,
        /// The bytes; `Err` when they are not there any more.
        bytes: Result<Vec<u8>, DiskError>,
    },
    /// A job with a number came to nothing.
    Failed {
        /// The job's number.
        job: JobId,
        /// Why.
        error: DiskError,
    },
    /// A write or a check of that file came to nothing: the download cannot go on. Chunks that were right stay.
    Broken {
        /// Which file.
        file: FileId,
        /// Why.
        error: DiskError,
    },
    /// The file was changed or taken away by somebody else: it is not offered any more.
    Changed {
        /// Which file.
        file: FileId,
    },
}

/// Why the disk did not.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DiskError {
    /// No plain file of that name: nothing, a directory, a link, a device.
    #[error("there is no such file in the directory (only plain files count, no links or devices)")]
    NoSuchFile,
    /// It changed while it was hashed or read.
    #[error("the file was changed meanwhile")]
    Changed,
    /// No room.
    #[error("the disk is full, or a quota or size limit was reached")]
    Full,
    /// A file of that name is there, and stays.
    #[error("a file of that name is there already")]
    Exists,
    /// The system said something else.
    #[error("{0}")]
    Other(String),
}
