//! The journal of a half fetched file: one line of six bytes for each chunk that was found right.
//!
//! It is not flushed and may say anything after a crash: it tells only which chunks are worth hashing again.
//! Must not know whether they are right.

use std::{
    fs::File,
    io::{self, Read},
};

use protocol::{ChunkIndex, ChunkSet};

use super::directory::write_at;

/// Five digits, as the largest number of a chunk has, and a line's end.
const LINE_LEN: usize = 6;

/// A journal that grows.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Where the next line goes: over a line that was begun and is not whole.
    end: u64,
}

impl Journal {
    /// Goes on behind `lines` lines.
    pub(super) fn resume(file: File, lines: u32) -> Self {
        Self { file, end: u64::from(lines) * LINE_LEN as u64 }
    }

    /// Adds a chunk.
    pub(super) fn add(&mut self, chunk: ChunkIndex) -> io::Result<()> {
        write_at(&self.file, line(chunk).as_bytes(), self.end)?;
        self.end += LINE_LEN as u64;
        Ok(())
    }

    /// What a journal holds that names these chunks and no others.
    pub(super) fn of(held: &ChunkSet) -> Vec<u8> {
        held.iter().flat_map(|chunk| line(chunk).into_bytes()).collect()
    }

    /// The chunks that a journal names, and whether it names each once and holds nothing else.
    pub(super) fn read(file: &File, chunks: u32) -> io::Result<(ChunkSet, bool)> {
        let mut bytes = Vec::new();
        let len_max = chunks as usize * LINE_LEN;
        file.take(len_max as u64 + 1).read_to_end(&mut bytes)?;
        let mut claimed = ChunkSet::empty(chunks);
        let (lines, torn) = bytes.as_chunks::<LINE_LEN>();
        let mut is_clean = torn.is_empty();
        for line in lines {
            is_clean &= number(line).is_some_and(|number| claimed.insert(ChunkIndex(number)));
        }
        Ok((claimed, is_clean))
    }
}

fn line(chunk: ChunkIndex) -> String {
    format!("{:05}\n", chunk.0)
}

fn number(line: &[u8]) -> Option<u32> {
    let digits = line.strip_suffix(b"\n").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], chunks: u32) -> (ChunkSet, bool) {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("journal");
        File::create(&path).unwrap().write_all(bytes).unwrap();
        Journal::read(&File::open(path).unwrap(), chunks).unwrap()
    }

    #[test]
    fn a_torn_tail_and_damaged_lines_claim_nothing() {
        let (claimed, is_clean) = read(b"00003\n00001\n0000", 5);
        assert_eq!(claimed.iter().map(|chunk| chunk.0).collect::<Vec<_>>(), [1, 3]);
        assert!(!is_clean);
        for damaged in
            [&b"00005\n"[..], b"+0003\n", b"0000\n\n", b"000030", b"\0\0\0\0\0\n", b"00001\n00001\n"]
        {
            let (claimed, is_clean) = read(damaged, 5);
            assert!(claimed.len() <= 1 && !claimed.contains(ChunkIndex(3)) && !is_clean, "{damaged:?}");
        }
    }

    #[test]
    fn a_line_that_failed_half_way_is_written_over() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("journal");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let mut journal = Journal::resume(file, 0);
        journal.add(ChunkIndex(2)).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"654").unwrap();
        journal.add(ChunkIndex(65_535)).unwrap();
        let (claimed, is_clean) = Journal::read(&File::open(path).unwrap(), 65_536).unwrap();
        assert!(is_clean && claimed.len() == 2 && claimed.contains(ChunkIndex(65_535)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_reads_back_and_garbage_never_panics(
            numbers in prop::collection::btree_set(0u32..300, 0..100), garbage in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut held = ChunkSet::empty(300);
            for number in numbers {
                held.insert(ChunkIndex(number));
            }
            let bytes = Journal::of(&held);
            prop_assert_eq!(read(&bytes, 300), (held.clone(), true));
            let (claimed, _) = read(&[bytes, garbage].concat(), 300);
            prop_assert!(held.iter().all(|chunk| claimed.contains(chunk)));
        }
    }
}
