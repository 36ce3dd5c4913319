//! What one client says to another: whatever is understood is written again as it was read, and stood where the table
//! allows it.
//!
//! Input: a byte that picks the state of the link, the body of a frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{PeerFrame, State, line::Line, tags};

fuzz_target!(|input: &[u8]| {
    let [state, body @ ..] = input else { return };
    let state = [State::Meeting, State::Met][usize::from(*state) % 2];
    let Ok(frame) = PeerFrame::decode(body, state) else { return };
    let written = frame.encode();
    assert_eq!(PeerFrame::decode(written.body(), state).as_ref(), Ok(&frame));
    assert_eq!(written.body(), body);

    let line = Line::parse(body).expect("what was decoded has a line");
    let row = tags::TAGS.iter().find(|row| row.tag == line.tag && row.sender == tags::Sender::Peer);
    assert!(row.expect("what was decoded has a tag of the table").states.contains(&state));
});
