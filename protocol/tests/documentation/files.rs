//! The examples of what stands for a file on the wire.

use std::fmt::Write;

use protocol::{ChunkIndex, ChunkSet, FileHash, Layout, Manifest};

/// What is in the example's file.
const CONTENT: &[u8] = b"0123456789";
const CHUNKS: u64 = 3;

/// The manifest of the example's file.
pub(super) fn example() -> Manifest {
    let layout = Layout::new(CONTENT.len() as u64, CHUNKS).unwrap();
    let chunks = (0..CHUNKS).map(|number| {
        let range = layout.range(layout.chunk(number).unwrap());
        hash(&CONTENT[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    });
    Manifest::new(layout, hash(CONTENT), chunks.collect()).unwrap()
}

/// Its bytes, taken apart, and its id.
pub(super) fn manifest() -> String {
    let encoded = example().encode();
    let mut text = "```text\n".to_owned();
    let mut rest = &encoded[..];
    let rows = [
        (20, "heading: 'parlour manifest 1', a line feed, a zero byte"),
        (8, "size"),
        (4, "number of chunks"),
        (32, "BLAKE3 of '0123456789'"),
        (32, "BLAKE3 of chunk 0, '012'"),
        (32, "BLAKE3 of chunk 1, '345'"),
        (32, "BLAKE3 of chunk 2, '6789'"),
    ];
    for (len, what) in rows {
        let (piece, behind) = rest.split_at(len);
        rest = behind;
        writeln!(text, "# {what}\n{}", super::hex(piece)).unwrap();
    }
    assert!(rest.is_empty());
    writeln!(text, "# BLAKE3 of all of this: the file's id\n{}", example().id()).unwrap();
    text + "```\n"
}

/// Some sets and their bytes.
pub(super) fn chunk_sets() -> String {
    let mut table = "| Chunks of the file | Held | Payload in hex |\n| ---: | --- | --- |\n".to_owned();
    let rows: [(u32, &str, &[u32]); 6] = [
        (10, "none", &[]),
        (10, "all", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (4, "3", &[3]),
        (10, "0, 2, 4, 6, 8", &[0, 2, 4, 6, 8]),
        (300, "200 to 299", &[]),
        (65_536, "all", &[]),
    ];
    for (chunks, shown, numbers) in rows {
        let mut set = ChunkSet::empty(chunks);
        let numbers: Vec<u32> = match chunks {
            300 => (200..300).collect(),
            65_536 => (0..65_536).collect(),
            _ => numbers.to_vec(),
        };
        for number in numbers {
            assert!(set.insert(ChunkIndex(number)));
        }
        let encoded = set.encode();
        assert_eq!(ChunkSet::decode(&encoded, chunks), Ok(set));
        writeln!(table, "| {chunks} | {shown} | `{}` |", super::hex(&encoded)).unwrap();
    }
    table
}

fn hash(bytes: &[u8]) -> FileHash {
    FileHash(*blake3::hash(bytes).as_bytes())
}
