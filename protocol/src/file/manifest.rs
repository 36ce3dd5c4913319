//! The manifest: what a file must be, chunk by chunk. Its hash is the file's id, so whoever knows the id needs
//! to trust nobody who hands him the manifest or a chunk.
//!
//! BLAKE3 (<https://github.com/BLAKE3-team/BLAKE3-specs>) throughout.

use core::{fmt, str::FromStr};

use thiserror::Error;

use super::layout::{ChunkIndex, Layout};
use crate::field::Field;

/// In front of every manifest, so that its hash can be the hash of nothing else.
const HEADING: &[u8; 20] = b"parlour manifest 1\n\0";
const HASH_LEN: usize = blake3::OUT_LEN;
/// Heading, size, number of chunks, hash of the file.
const HEAD_LEN: usize = HEADING.len() + 8 + 4 + HASH_LEN;

/// A file's BLAKE3 hash, or a chunk's; 64 hex digits, as `b3sum` prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileHash(pub [u8; HASH_LEN]);

/// The hash of a manifest; 64 hex digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub [u8; HASH_LEN]);

/// Size, number of chunks, and the hashes of the whole and of each chunk.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    layout: Layout,
    hash: FileHash,
    chunks: Vec<FileHash>,
}

/// What came is not the manifest that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// It is no manifest.
    #[error("it is no manifest")]
    Malformed,
    /// It is one of another file.
    #[error("it is not the manifest of that file")]
    OtherFile,
}

/// Not 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a hash is 64 lower-case hex digits")]
pub struct HashError;

impl Manifest {
    /// Of a file with these hashes; `None` unless there is one for each chunk.
    pub fn new(layout: Layout, hash: FileHash, chunks: Vec<FileHash>) -> Option<Self> {
        (chunks.len() == layout.chunks() as usize).then_some(Self { layout, hash, chunks })
    }

    /// The length of the manifest of a file with that layout, in bytes: at most 2 MiB and 64 bytes.
    pub fn encoded_len(layout: &Layout) -> usize {
        HEAD_LEN + layout.chunks() as usize * HASH_LEN
    }

    /// Where the chunks lie.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The hash of the whole file.
    pub fn hash(&self) -> FileHash {
        self.hash
    }

    /// What that chunk's hash must be.
    pub fn chunk_hash(&self, chunk: ChunkIndex) -> Option<FileHash> {
        self.chunks.get(chunk.0 as usize).copied()
    }

    /// Its hash.
    pub fn id(&self) -> FileId {
        FileId(*blake3::hash(&self.encode()).as_bytes())
    }

    /// As it travels and is hashed: heading, size and number of chunks big-endian, the hashes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::encoded_len(&self.layout));
        bytes.extend_from_slice(HEADING);
        bytes.extend_from_slice(&self.layout.size().to_be_bytes());
        bytes.extend_from_slice(&self.layout.chunks().to_be_bytes());
        bytes.extend_from_slice(&self.hash.0);
        bytes.extend(self.chunks.iter().flat_map(|hash| hash.0));
        bytes
    }

    /// Reads the manifest of the file with that id, and no other.
    pub fn decode(bytes: &[u8], id: FileId) -> Result<Self, ManifestError> {
        use ManifestError::Malformed;
        if *blake3::hash(bytes).as_bytes() != id.0 {
            return Err(ManifestError::OtherFile);
        }
        let rest = bytes.strip_prefix(HEADING).ok_or(Malformed)?;
        let (size, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        let (chunks, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        let (hash, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        let layout = Layout::new(u64::from_be_bytes(*size), u64::from(u32::from_be_bytes(*chunks)));
        let (hashes, behind) = rest.as_chunks();
        let manifest = layout.ok().filter(|_| behind.is_empty()).and_then(|layout| {
            Self::new(layout, FileHash(*hash), hashes.iter().copied().map(FileHash).collect())
        });
        manifest.ok_or(Malformed)
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manifest({:?}, {})", self.layout, self.hash)
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for FileId {
    type Err = HashError;

    fn from_str(digits: &str) -> Result<Self, HashError> {
        // BLAKE3's own reader takes capitals too, and an id has one spelling.
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(HashError);
        }
        blake3::Hash::from_hex(digits).map(|hash| Self(*hash.as_bytes())).map_err(|_| HashError)
    }
}

impl Field for FileId {
    fn write(&self, line: &mut String) {
        line.push_str(&self.to_string());
    }

    fn read(field: &str) -> Option<Self> {
        field.parse().ok()
    }
}

fn write_hex(bytes: &[u8; HASH_LEN], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&blake3::Hash::from_bytes(*bytes).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let layout = Layout::new(10, 3).unwrap();
        Manifest::new(
            layout,
            FileHash([9; 32]),
            vec![FileHash([1; 32]), FileHash([2; 32]), FileHash([3; 32])],
        )
        .unwrap()
    }

    #[test]
    fn a_manifest_reads_back_under_its_own_id_only() {
        let (bytes, id) = (manifest().encode(), manifest().id());
        assert_eq!(bytes.len(), Manifest::encoded_len(&manifest().layout()));
        assert_eq!(Manifest::decode(&bytes, id), Ok(manifest()));
        let mut other = bytes.clone();
        other[70] ^= 1;
        assert_eq!(Manifest::decode(&other, id), Err(ManifestError::OtherFile));
        let short = &bytes[..bytes.len() - 1];
        let id_of_short = FileId(*blake3::hash(short).as_bytes());
        assert_eq!(Manifest::decode(short, id_of_short), Err(ManifestError::Malformed));
        assert_eq!(FileId::read(&id.to_string()), Some(id));
        assert_eq!(FileId::read(&id.to_string().to_uppercase()), None);
    }
}
