//! The receive buffer: however the stream is cut, the same frames and the same end.
//!
//! Input: a byte that picks the limit, a byte that says how many cuts there are, a byte for each cut, the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{FrameDecoder, FrameError, frame::PREFIX_LEN};

/// Small limits let a fuzzer reach them.
const LIMITS: [usize; 4] = [8, 64, 1_024, 65_536];

fuzz_target!(|input: &[u8]| {
    let [limit, cut_count, rest @ ..] = input else { return };
    let len_max = LIMITS[usize::from(*limit) % LIMITS.len()];
    let Some((cuts, stream)) = rest.split_at_checked(usize::from(*cut_count)) else { return };
    let expected = read_plainly(stream, len_max);

    let mut decoder = FrameDecoder::new(len_max);
    let mut found = Vec::new();
    let mut end = None;
    let mut unread = stream;
    for cut in cuts.iter().map(|&cut| usize::from(cut)).chain([usize::MAX]) {
        let (piece, behind) = unread.split_at(cut.min(unread.len()));
        decoder.push(piece);
        unread = behind;
        while end.is_none() {
            match decoder.next_body() {
                Ok(Some(body)) => found.push(body.to_vec()),
                Ok(None) => break,
                Err(error) => end = Some(error),
            }
        }
        if end.is_some() {
            break;
        }
        assert!(decoder.buffered_len() < PREFIX_LEN + len_max, "more than one incomplete frame is held");
    }
    assert_eq!((found, end), expected);
});

/// What the stream holds, read in one go by other code.
fn read_plainly(mut stream: &[u8], len_max: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut bodies = Vec::new();
    while let Some((prefix, rest)) = stream.split_first_chunk() {
        let len = u32::from_be_bytes(*prefix);
        if len == 0 {
            return (bodies, Some(FrameError::Empty));
        }
        if len as usize > len_max {
            return (bodies, Some(FrameError::TooLong { len, limit: len_max }));
        }
        let Some((body, behind)) = rest.split_at_checked(len as usize) else { break };
        bodies.push(body.to_vec());
        stream = behind;
    }
    (bodies, None)
}
