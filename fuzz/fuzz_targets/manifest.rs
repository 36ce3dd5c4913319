//! What a file must be: a manifest that is understood is written again as it was read, and fits its id and no other.
//!
//! Input: the manifest. Its id is computed here, as that of a file whose registration lies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{FileId, Manifest};

fuzz_target!(|input: &[u8]| {
    let id = FileId(*blake3::hash(input).as_bytes());
    let Ok(manifest) = Manifest::decode(input, id) else { return };
    assert_eq!(manifest.encode(), input);
    assert_eq!(manifest.id(), id);
    let layout = manifest.layout();
    assert_eq!(input.len(), Manifest::encoded_len(&layout));
    let mut end = 0;
    for number in 0..u64::from(layout.chunks()) {
        let chunk = layout.chunk(number).expect("a chunk of the file");
        assert!(manifest.chunk_hash(chunk).is_some());
        let range = layout.range(chunk);
        assert!(range.start == end && range.end > range.start);
        end = range.end;
    }
    assert_eq!(end, layout.size());
    let other = FileId(id.0.map(|byte| !byte));
    assert!(Manifest::decode(input, other).is_err());
});
