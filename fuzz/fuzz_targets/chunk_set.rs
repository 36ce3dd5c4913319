//! Who holds which chunks: a set that is understood has no chunk that the file has not, counts right, and is written
//! again no longer than it was read.
//!
//! Input: the number of chunks less one (2 bytes, big-endian), the set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{ChunkIndex, ChunkSet};

fuzz_target!(|input: &[u8]| {
    let [high, low, bytes @ ..] = input else { return };
    let chunks = u32::from(u16::from_be_bytes([*high, *low])) + 1;
    let Ok(set) = ChunkSet::decode(bytes, chunks) else { return };
    let numbers: Vec<ChunkIndex> = set.iter().collect();
    assert_eq!(numbers.len(), set.len() as usize);
    assert!(numbers.iter().all(|&chunk| chunk.0 < chunks && set.contains(chunk)));
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));

    let written = set.encode();
    assert!(written.len() <= bytes.len());
    assert_eq!(ChunkSet::decode(&written, chunks).as_ref(), Ok(&set));
});
