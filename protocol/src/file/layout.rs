//! Where the chunks of a file lie.

use core::ops::Range;

use thiserror::Error;

/// The most chunks a file may be cut into: one hash each fits a manifest of 2 MiB.
pub const CHUNKS_MAX: u32 = 65_536;

/// The number of a chunk, from 0, within its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkIndex(pub u32);

/// A file's size and the number of its chunks, which fit each other: no chunk is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    size: u64,
    chunks: u32,
}

/// A size and a number of chunks that do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Nothing to cut.
    #[error("an empty file has no chunks")]
    EmptyFile,
    /// None at all, more than bytes, or more than [`CHUNKS_MAX`].
    #[error("a file of {size} bytes can be cut into 1 to {most} chunks")]
    Chunks {
        /// The file's size in bytes.
        size: u64,
        /// The most chunks for that size.
        most: u64,
    },
}

impl Layout {
    /// A file of `size` bytes in `chunks` chunks.
    pub fn new(size: u64, chunks: u64) -> Result<Self, LayoutError> {
        if size == 0 {
            return Err(LayoutError::EmptyFile);
        }
        let most = size.min(u64::from(CHUNKS_MAX));
        match u32::try_from(chunks) {
            Ok(count) if (1..=most).contains(&chunks) => Ok(Self { size, chunks: count }),
            _ => Err(LayoutError::Chunks { size, most }),
        }
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// The chunk of that number, if there is one.
    pub fn chunk(&self, number: u64) -> Option<ChunkIndex> {
        u32::try_from(number).ok().filter(|&number| number < self.chunks).map(ChunkIndex)
    }

    /// The bytes of a chunk within the file: `floor(i * size / n)` up to `floor((i + 1) * size / n)`.
    pub fn range(&self, chunk: ChunkIndex) -> Range<u64> {
        self.start(u64::from(chunk.0))..self.start(u64::from(chunk.0) + 1)
    }

    /// The length of a chunk in bytes.
    pub fn len(&self, chunk: ChunkIndex) -> u64 {
        let range = self.range(chunk);
        range.end - range.start
    }

    /// The length of the largest chunk in bytes.
    pub fn chunk_size(&self) -> u64 {
        self.size.div_ceil(u64::from(self.chunks))
    }

    fn start(&self, chunk: u64) -> u64 {
        let start = u128::from(chunk) * u128::from(self.size) / u128::from(self.chunks);
        // No chunk starts behind the end of the file, whose place is a u64.
        u64::try_from(start).unwrap_or(self.size).min(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_limits_are_exact() {
        assert_eq!(Layout::new(0, 1), Err(LayoutError::EmptyFile));
        assert_eq!(Layout::new(5, 0), Err(LayoutError::Chunks { size: 5, most: 5 }));
        assert_eq!(Layout::new(5, 6), Err(LayoutError::Chunks { size: 5, most: 5 }));
        assert_eq!(Layout::new(1 << 40, 65_537), Err(LayoutError::Chunks { size: 1 << 40, most: 65_536 }));
        assert!(Layout::new(u64::MAX, 65_536).is_ok());
        assert_eq!(Layout::new(10, 4).unwrap().chunk_size(), 3);
        assert_eq!(Layout::new(10, 4).unwrap().chunk(4), None);
    }

    proptest! {
        #[test]
        fn chunks_cover_the_file_without_gap_and_none_is_empty(size in 1..=u64::MAX, chunks in 1u64..=65_536) {
            prop_assume!(chunks <= size);
            let layout = Layout::new(size, chunks).unwrap();
            let mut end = 0;
            for number in [0, 1, chunks / 2, chunks.saturating_sub(2), chunks - 1] {
                let Some(chunk) = layout.chunk(number) else { continue };
                prop_assert!(layout.len(chunk) >= 1 && layout.len(chunk) <= layout.chunk_size());
                if number > 0 {
                    prop_assert_eq!(layout.range(ChunkIndex(chunk.0 - 1)).end, layout.range(chunk).start);
                }
                end = layout.range(chunk).end;
            }
            prop_assert_eq!(end, size);
        }
    }
}
