//! A set of chunks of one file: who holds what.
//!
//! On the wire it is one byte for the form, then either the set as runs or as bits, whichever is shorter. So a
//! whole file takes a few bytes, and the worst set of 65,536 chunks 8 KiB and one.

use core::fmt;

use thiserror::Error;

use super::layout::{CHUNKS_MAX, ChunkIndex};

const WORD_BITS: u32 = 64;
/// Lengths of runs in LEB128: of absent chunks, of held ones, and so on in turn.
const FORM_RUNS: u8 = 0;
/// A bit for each chunk, the first in the lowest bit of the first byte.
const FORM_BITS: u8 = 1;

/// Some of a file's chunks.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkSet {
    chunks: u32,
    held: u32,
    words: Vec<u64>,
}

/// What came is no set of that file's chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a set of chunks is malformed or does not fit its file")]
pub struct ChunkSetError;

impl ChunkSet {
    /// None of `chunks` chunks; no more than [`CHUNKS_MAX`].
    pub fn empty(chunks: u32) -> Self {
        let chunks = chunks.min(CHUNKS_MAX);
        let words = chunks.div_ceil(WORD_BITS) as usize;
        Self { chunks, held: 0, words: vec![0; words] }
    }

    /// All of `chunks` chunks.
    pub fn full(chunks: u32) -> Self {
        let mut set = Self::empty(chunks);
        for number in 0..set.chunks {
            set.insert(ChunkIndex(number));
        }
        set
    }

    /// How many chunks the file has.
    pub fn chunks(&self) -> u32 {
        self.chunks
    }

    /// How many are in the set.
    pub fn len(&self) -> u32 {
        self.held
    }

    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether all are in it.
    pub fn is_full(&self) -> bool {
        self.held == self.chunks
    }

    /// Whether that one is in it.
    pub fn contains(&self, chunk: ChunkIndex) -> bool {
        let (word, bit) = place(chunk);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Puts a chunk in; whether it was not in before. One that the file does not have is left out.
    pub fn insert(&mut self, chunk: ChunkIndex) -> bool {
        let (word, bit) = place(chunk);
        match self.words.get_mut(word) {
            Some(word) if chunk.0 < self.chunks && *word & bit == 0 => {
                *word |= bit;
                self.held += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes a chunk out; whether it was in.
    pub fn remove(&mut self, chunk: ChunkIndex) -> bool {
        let (word, bit) = place(chunk);
        match self.words.get_mut(word) {
            Some(word) if *word & bit != 0 => {
                *word &= !bit;
                self.held -= 1;
                true
            }
            _ => false,
        }
    }

    /// The chunks in the set, in their order.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        (0u32..).step_by(WORD_BITS as usize).zip(&self.words).flat_map(|(base, &word)| {
            let mut rest = word;
            core::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(ChunkIndex(base + bit))
            })
        })
    }

    /// The set as it travels, at most 8,193 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let bits_len = self.chunks.div_ceil(8) as usize;
        let mut runs = vec![FORM_RUNS];
        let (mut at, mut wanted) = (0, false);
        while at < self.chunks && runs.len() <= bits_len {
            let end =
                (at..self.chunks).find(|&n| self.contains(ChunkIndex(n)) != wanted).unwrap_or(self.chunks);
            push_leb128(&mut runs, end - at);
            (at, wanted) = (end, !wanted);
        }
        if runs.len() <= bits_len {
            return runs;
        }
        let mut bits = vec![FORM_BITS];
        bits.extend(self.words.iter().flat_map(|word| word.to_le_bytes()).take(bits_len));
        bits
    }

    /// Reads a set of a file of `chunks` chunks.
    pub fn decode(bytes: &[u8], chunks: u32) -> Result<Self, ChunkSetError> {
        let (&form, mut rest) = bytes.split_first().ok_or(ChunkSetError)?;
        let mut set = Self::empty(chunks);
        match form {
            FORM_RUNS => {
                let (mut at, mut held) = (0u32, false);
                while at < set.chunks {
                    let run = take_leb128(&mut rest)?;
                    let end = at.checked_add(run).filter(|&end| end <= set.chunks).ok_or(ChunkSetError)?;
                    // Only the first run may be empty: otherwise one set had many spellings.
                    if run == 0 && at > 0 {
                        return Err(ChunkSetError);
                    }
                    if held {
                        (at..end).for_each(|number| {
                            set.insert(ChunkIndex(number));
                        });
                    } else if run == 0 && rest.is_empty() {
                        return Err(ChunkSetError);
                    }
                    (at, held) = (end, !held);
                }
                if rest.is_empty() { Ok(set) } else { Err(ChunkSetError) }
            }
            FORM_BITS if rest.len() == set.chunks.div_ceil(8) as usize => {
                for (base, byte) in (0u32..).step_by(8).zip(rest) {
                    for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
                        if !set.insert(ChunkIndex(base + bit)) {
                            return Err(ChunkSetError);
                        }
                    }
                }
                Ok(set)
            }
            _ => Err(ChunkSetError),
        }
    }
}

impl fmt::Debug for ChunkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkSet({} of {})", self.held, self.chunks)
    }
}

fn place(chunk: ChunkIndex) -> (usize, u64) {
    ((chunk.0 / WORD_BITS) as usize, 1 << (chunk.0 % WORD_BITS))
}

fn push_leb128(bytes: &mut Vec<u8>, mut number: u32) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return;
        }
    }
}

/// Three bytes hold every number of chunks.
fn take_leb128(bytes: &mut &[u8]) -> Result<u32, ChunkSetError> {
    let mut number = 0;
    for shift in [0, 7, 14] {
        let (&byte, rest) = bytes.split_first().ok_or(ChunkSetError)?;
        *bytes = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return if byte == 0 && shift > 0 { Err(ChunkSetError) } else { Ok(number) };
        }
    }
    Err(ChunkSetError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(chunks: u32, numbers: impl IntoIterator<Item = u32>) -> ChunkSet {
        let mut set = ChunkSet::empty(chunks);
        for number in numbers {
            set.insert(ChunkIndex(number));
        }
        set
    }

    #[test]
    fn a_whole_file_is_short_and_the_worst_set_is_bounded() {
        let full = ChunkSet::full(CHUNKS_MAX);
        assert!(full.is_full() && full.encode().len() <= 5);
        let worst = set(CHUNKS_MAX, (0..CHUNKS_MAX).step_by(2));
        assert_eq!(worst.encode().len(), 8_193);
        assert_eq!(ChunkSet::decode(&worst.encode(), CHUNKS_MAX), Ok(worst));
    }

    #[test]
    fn what_does_not_fit_the_file_is_refused() {
        let bad: [&[u8]; 12] = [
            b"",
            b"\0",
            b"\x02",
            b"\0\x0b",
            b"\0\x05\x06",
            b"\0\x0a\x01",
            b"\0\x05\0\x05",
            b"\0\x80\x80\x80\x01",
            b"\0\x8a\x00",
            b"\x01\xff",
            b"\x01\xff\x04",
            b"\x01\xff\x03\0",
        ];
        for bytes in bad {
            assert_eq!(ChunkSet::decode(bytes, 10), Err(ChunkSetError), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_set_reads_back(chunks in 1u32..300, numbers in proptest::collection::vec(0u32..300, 0..200)) {
            let set = set(chunks, numbers.iter().copied());
            let expected: std::collections::BTreeSet<u32> = numbers.into_iter().filter(|&n| n < chunks).collect();
            prop_assert_eq!(set.iter().map(|chunk| chunk.0).collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(ChunkSet::decode(&set.encode(), chunks), Ok(set));
        }

        #[test]
        fn decoding_never_panics_and_never_exceeds_the_file(
            bytes in proptest::collection::vec(any::<u8>(), 0..100), chunks in 0u32..100,
        ) {
            if let Ok(set) = ChunkSet::decode(&bytes, chunks) {
                prop_assert!(set.len() <= chunks && set.iter().all(|chunk| chunk.0 < chunks));
            }
        }
    }
}
