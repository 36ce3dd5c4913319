//! Files as both sides of a transfer speak of them: names, ids, where the chunks lie, which of them somebody holds.
//!
//! Owns the rules of a name and the arithmetic of chunks. Must not know disks, holders or links.

mod chunk_set;
mod layout;
mod manifest;
mod name;

pub use chunk_set::{ChunkSet, ChunkSetError};
pub use layout::{CHUNKS_MAX, ChunkIndex, Layout, LayoutError};
pub use manifest::{FileHash, FileId, Manifest, ManifestError};
pub use name::{FileName, FileNameError};
