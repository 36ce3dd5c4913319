//! What a server says: whatever is understood is written again as it was read, and stood where the table allows it.
//!
//! Input: a byte that picks the state of the connection, the body of a frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{ServerFrame, State, line::Line, tags};

fuzz_target!(|input: &[u8]| {
    let [state, body @ ..] = input else { return };
    let state = [State::Greeting, State::Login, State::Chat][usize::from(*state) % 3];
    let Ok(frame) = ServerFrame::decode(body, state) else { return };
    let written = frame.encode();
    assert_eq!(ServerFrame::decode(written.body(), state).as_ref(), Ok(&frame));

    let line = Line::parse(body).expect("what was decoded has a line");
    let row = tags::TAGS.iter().find(|row| row.tag == line.tag && row.sender == tags::Sender::Server);
    assert!(row.expect("what was decoded has a tag of the table").states.contains(&state));
    // The features of a `hello` are passed over: this version knows none.
    if line.tag == "hello" {
        assert!(body.starts_with(written.body()));
    } else {
        assert_eq!(written.body(), body);
    }
});
