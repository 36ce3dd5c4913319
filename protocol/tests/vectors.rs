//! Reads every golden vector in `protocol/vectors/`, whose README says how they are written, and enforces that each
//! tag in each of its states has a good one, and each kind of error a bad one.
//!
//! Threats: 1 (huge length), 3 (data without an end), 4 (any split), 5 (empty, missing, doubled fields), 6 (length
//! arithmetic), 7 (CR, LF, NUL), 8 (bad UTF-8), 9 (wrong state).

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::{collections::BTreeSet, fmt::Debug, fs, path::Path};

use protocol::{
    ClientFrame, Frame, FrameDecoder, PeerFrame, ProtocolError, ServerFrame, State,
    limits::{
        FRAME_LEN_MAX, FRAME_LEN_MAX_BEFORE_LOGIN, PEER_FRAME_LEN_MAX, PEER_FRAME_LEN_MAX_BEFORE_MEETING,
    },
    line::Line,
    tags::{Sender, TAGS},
};

/// A line of a vector file.
#[derive(Debug)]
struct Vector {
    place: String,
    sender: Sender,
    state: State,
    stream: Vec<u8>,
    outcomes: Vec<String>,
}

fn read(file: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(line, number)| parse(line, format!("{file}:{number}"))).collect()
}

fn parse(line: &str, place: String) -> Vector {
    let (head, rest) = line.split_once(": ").unwrap();
    let (stream, outcomes) = rest.split_once(" => ").unwrap();
    let (sender, state) = head.split_once(' ').unwrap();
    Vector {
        place,
        sender: match sender {
            "client" => Sender::Client,
            "server" => Sender::Server,
            "peer" => Sender::Peer,
            other => panic!("unknown sender {other}"),
        },
        state: match state {
            "greeting" => State::Greeting,
            "login" => State::Login,
            "chat" => State::Chat,
            "meeting" => State::Meeting,
            "met" => State::Met,
            other => panic!("unknown state {other}"),
        },
        stream: bytes(stream),
        outcomes: outcomes.split(" ;; ").map(str::to_owned).collect(),
    }
}

/// Reads hex digits, `"text"`, and `*count` behind either.
fn bytes(mut notation: &str) -> Vec<u8> {
    let mut all = Vec::new();
    while !notation.is_empty() {
        let piece: Vec<u8> = if let Some(quoted) = notation.strip_prefix('"') {
            let (text, rest) = quoted.split_once('"').unwrap();
            notation = rest;
            text.into()
        } else {
            let (hex, rest) = notation.split_at(notation.find([' ', '*']).unwrap_or(notation.len()));
            notation = rest;
            assert!(hex.len().is_multiple_of(2), "{hex}");
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        let (count, rest) = notation.split_at(notation.find(' ').unwrap_or(notation.len()));
        let count = count.strip_prefix('*').map_or(1, |count| count.parse().unwrap());
        all.extend(piece.repeat(count));
        notation = rest.trim_start();
    }
    all
}

fn len_max(state: State) -> usize {
    match state {
        State::Greeting | State::Login => FRAME_LEN_MAX_BEFORE_LOGIN,
        State::Chat => FRAME_LEN_MAX,
        State::Meeting => PEER_FRAME_LEN_MAX_BEFORE_MEETING,
        State::Met => PEER_FRAME_LEN_MAX,
    }
}

/// What comes out of a stream that is cut every `cut` bytes, and the bodies that were understood with what is written
/// for each.
fn outcomes(vector: &Vector, cut: usize) -> (Vec<String>, Vec<(Vec<u8>, Frame)>) {
    let mut decoder = FrameDecoder::new(len_max(vector.state));
    let (mut outcomes, mut understood) = (Vec::new(), Vec::new());
    for piece in vector.stream.chunks(cut) {
        decoder.push(piece);
        loop {
            let body = match decoder.next_body() {
                Ok(Some(body)) => body.to_vec(),
                Ok(None) => break,
                Err(error) => {
                    outcomes.push(refusal(&error.into()));
                    return (outcomes, understood);
                }
            };
            match decode(vector, &body) {
                Ok((shown, written)) => {
                    outcomes.push(shown);
                    understood.push((body, written));
                }
                Err(error) => {
                    outcomes.push(refusal(&error));
                    return (outcomes, understood);
                }
            }
        }
    }
    if decoder.buffered_len() > 0 {
        outcomes.push("incomplete".to_owned());
    }
    (outcomes, understood)
}

fn decode(vector: &Vector, body: &[u8]) -> Result<(String, Frame), ProtocolError> {
    Ok(match vector.sender {
        Sender::Client => {
            let frame = ClientFrame::decode(body, vector.state)?;
            (shown(&frame), frame.encode())
        }
        Sender::Server => {
            let frame = ServerFrame::decode(body, vector.state)?;
            (shown(&frame), frame.encode())
        }
        Sender::Peer => {
            let frame = PeerFrame::decode(body, vector.state)?;
            (shown(&frame), frame.encode())
        }
    })
}

/// Long texts would make the files unreadable.
fn shown(value: &impl Debug) -> String {
    let whole = format!("{value:?}");
    match whole.char_indices().nth(300) {
        Some((end, _)) => format!("{}… ({} bytes)", &whole[..end], whole.len()),
        None => whole,
    }
}

fn refusal(error: &ProtocolError) -> String {
    format!("refused {error:?}")
}

fn check(vectors: &[Vector]) {
    for vector in vectors {
        for cut in [usize::MAX, 1, 7] {
            let (found, understood) = outcomes(vector, cut);
            assert_eq!(found, vector.outcomes, "{}, cut every {cut} bytes", vector.place);
            for (body, written) in understood {
                let same = if body.starts_with(b"hello ") {
                    // Features are passed over.
                    body.starts_with(written.body())
                } else {
                    body == written.body()
                };
                assert!(same, "{} is written as {:?}", vector.place, written);
            }
        }
    }
}

#[test]
fn good_frames_are_understood_and_every_tag_has_one_in_every_state() {
    let vectors = read("good.txt");
    check(&vectors);
    let mut missing = BTreeSet::new();
    for row in TAGS {
        missing.extend(row.states.iter().map(|state| format!("{:?} {} {state:?}", row.sender, row.tag)));
    }
    for vector in &vectors {
        assert_eq!(vector.outcomes.len(), 1, "{}", vector.place);
        assert!(!vector.outcomes[0].starts_with("refused"), "{}", vector.place);
        let tag = Line::parse(&vector.stream[4..]).unwrap().tag.to_owned();
        missing.remove(&format!("{:?} {tag} {:?}", vector.sender, vector.state));
    }
    assert!(missing.is_empty(), "no good vector for {missing:?}");
}

#[test]
fn bad_frames_are_refused_and_every_kind_of_error_is_there() {
    let vectors = read("bad.txt");
    check(&vectors);
    let refusals: Vec<&String> = vectors.iter().flat_map(|vector| &vector.outcomes).collect();
    for outcome in &refusals {
        assert!(outcome.starts_with("refused "), "{outcome}");
    }
    for kind in ["Frame(Empty", "Frame(TooLong", "Line", "Tag", "Field", "Payload"] {
        assert!(refusals.iter().any(|outcome| outcome.starts_with(&format!("refused {kind}"))), "{kind}");
    }
    for row in TAGS {
        let is_named = |outcome: &&&String| outcome.contains(&format!("{:?}", row.tag));
        assert!(refusals.iter().any(|outcome| is_named(&outcome)), "no bad vector for {}", row.tag);
    }
}

#[test]
fn streams_give_the_same_frames_however_they_are_cut() {
    check(&read("streams.txt"));
}
