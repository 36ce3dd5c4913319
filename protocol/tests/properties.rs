//! What holds for every frame: it comes back as it was written, in the states of its row and in no other; whatever
//! is understood has one spelling; and the kinds in the table of tags say the truth.
//!
//! Threats: 5 (empty, missing and doubled fields), 7 (what separates fields never stands inside one), 9 (frames in the
//! wrong state).

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use core::net::SocketAddr;
use std::collections::BTreeSet;

use proptest::{prelude::*, test_runner::RngSeed};
use protocol::{
    ByeReason, ClientFrame, ErrorCode, FileId, Fingerprint, Frame, GoodbyeReason, LoginRefusal, MessageId,
    NoBlockReason, PeerFrame, PresenceChange, ProtocolError, Purpose, RequestId, ServerFrame, State,
    TicketId, Username, Word,
    scram::Mechanism,
    tags::{FieldSpec, Payload, Sender, TAGS, TagSpec},
    time::UnixMs,
};

const STATES: [State; 5] = [State::Greeting, State::Login, State::Chat, State::Meeting, State::Met];

const SENDERS: [Sender; 3] = [Sender::Client, Sender::Server, Sender::Peer];

/// What frames are made of.
#[derive(Clone, Debug)]
struct Values {
    version: u32,
    request: RequestId,
    number: u64,
    flag: bool,
    users: Vec<Username>,
    id: MessageId,
    addresses: Vec<SocketAddr>,
    text: String,
    bytes: Vec<u8>,
    word: prop::sample::Index,
}

impl Values {
    fn user(&self) -> Username {
        self.users.first().cloned().unwrap_or_else(|| "ada".parse().unwrap())
    }

    fn key(&self) -> Fingerprint {
        Fingerprint::of_key(&self.id.0.to_be_bytes())
    }

    fn ticket(&self) -> TicketId {
        TicketId(self.id.0)
    }

    fn file(&self) -> FileId {
        FileId(*blake3::hash(&self.id.0.to_be_bytes()).as_bytes())
    }

    fn word<T: Word>(&self) -> T {
        *self.word.get(T::ALL)
    }

    /// One of each kind.
    fn client_frames(&self) -> Vec<ClientFrame<'_>> {
        let Self { request, id, text, bytes, .. } = self;
        let (request, id, ticket, file) = (*request, *id, self.ticket(), self.file());
        vec![
            ClientFrame::Hello { version: self.version },
            ClientFrame::Auth { mechanism: self.word::<Mechanism>(), key: self.key(), client_first: text },
            ClientFrame::Proof { client_final: text },
            ClientFrame::Message { request, to: self.user(), id, text },
            ClientFrame::Broadcast { request, id, text },
            ClientFrame::WhoElse { request },
            ClientFrame::WhoElseSince { request, seconds: self.number },
            ClientFrame::Block { request, user: self.user() },
            ClientFrame::Unblock { request, user: self.user() },
            ClientFrame::BlockList { request },
            ClientFrame::Invite { request, user: self.user(), purpose: self.word() },
            ClientFrame::Lookup { request, user: self.user() },
            ClientFrame::Reachable { addresses: self.addresses.clone() },
            ClientFrame::DialBack { ticket },
            ClientFrame::Relay { ticket },
            ClientFrame::Carry { ticket, bytes },
            ClientFrame::RelayEnd { ticket },
            ClientFrame::Register { request, file, size: self.number, chunks: self.version, name: text },
            ClientFrame::Unregister { request, name: text },
            ClientFrame::Files { request },
            ClientFrame::Search { request, name: text },
            ClientFrame::Have { file, held: bytes },
            ClientFrame::Logout { request },
            ClientFrame::Ack { from: self.user(), id },
            ClientFrame::Active,
            ClientFrame::Ping,
            ClientFrame::Pong,
        ]
    }

    /// One of each kind.
    fn server_frames(&self) -> Vec<ServerFrame<'_>> {
        let Self { request, id, text, bytes, .. } = self;
        let (request, id, from, sent_at) = (*request, *id, self.user(), UnixMs(self.number));
        let (ticket, file, size, chunks) = (self.ticket(), self.file(), self.number, self.version);
        let addresses = self.addresses.clone();
        let changes = self.users.iter().map(|user| (user.clone(), self.word())).collect();
        vec![
            ServerFrame::Hello { version: self.version },
            ServerFrame::Challenge { server_first: text },
            ServerFrame::Welcome { user: self.user(), server_final: text },
            ServerFrame::LoginRefused { code: self.word(), retry_after_s: self.number, text },
            ServerFrame::Deliver { from: from.clone(), id, sent_at, offline: self.flag, text },
            ServerFrame::Announce { from, id, sent_at, text },
            ServerFrame::Ready,
            ServerFrame::Presence { changes },
            ServerFrame::Delivered { request },
            ServerFrame::Stored { request },
            ServerFrame::Sent { request, recipients: self.number, blocked: self.flag },
            ServerFrame::Users { request, more: self.flag, users: self.users.clone() },
            ServerFrame::Ticket { request, ticket, key: self.key(), addresses: addresses.clone() },
            ServerFrame::Expect {
                ticket,
                from: self.user(),
                key: self.key(),
                purpose: self.word(),
                addresses,
            },
            ServerFrame::DialBack { ticket },
            ServerFrame::Relay { ticket, credit: self.number },
            ServerFrame::Carry { ticket, bytes },
            ServerFrame::Credit { ticket, credit: self.number },
            ServerFrame::RelayEnd { ticket },
            ServerFrame::File { request, file, size, chunks, owner: self.user(), name: text },
            ServerFrame::Holder { request, user: self.user(), held: bytes },
            ServerFrame::Found { request, file, size, chunks },
            ServerFrame::Done { request },
            ServerFrame::Refused { request, code: self.word(), text },
            ServerFrame::Notice { text },
            ServerFrame::Goodbye { reason: self.word(), text },
            ServerFrame::Ping,
            ServerFrame::Pong,
        ]
    }

    /// One of each kind.
    fn peer_frames(&self) -> Vec<PeerFrame<'_>> {
        let Self { number, text, bytes, .. } = self;
        let (ticket, file, chunk, offset) = (self.ticket(), self.file(), self.request.0, *number);
        vec![
            PeerFrame::Meet { version: self.version, ticket, purpose: self.word() },
            PeerFrame::Met { ticket },
            PeerFrame::Unmet { ticket },
            PeerFrame::Bye { reason: self.word() },
            PeerFrame::Ping,
            PeerFrame::Pong,
            PeerFrame::Private { number: *number, text },
            PeerFrame::Heard { number: *number },
            PeerFrame::HangUp,
            PeerFrame::WantManifest { file, offset: self.version },
            PeerFrame::Manifest { file, offset: self.version, bytes },
            PeerFrame::WantHolds { file },
            PeerFrame::Holds { file, held: bytes },
            PeerFrame::NoFile { file },
            PeerFrame::Request { file, chunk, offset, len: self.version },
            PeerFrame::Block { file, chunk, offset, bytes },
            PeerFrame::NoBlock { file, chunk, offset, reason: self.word() },
            PeerFrame::Cancel { file, chunk, offset },
        ]
    }

    fn bodies(&self) -> Vec<(Sender, Vec<u8>)> {
        let body = |frame: Frame| frame.body().to_vec();
        let client = self.client_frames().into_iter().map(|frame| (Sender::Client, body(frame.encode())));
        let server = self.server_frames().into_iter().map(|frame| (Sender::Server, body(frame.encode())));
        let peer = self.peer_frames().into_iter().map(|frame| (Sender::Peer, body(frame.encode())));
        client.chain(server).chain(peer).collect()
    }
}

fn values() -> impl Strategy<Value = Values> {
    let number = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 0..10_000_u64];
    let small = || prop_oneof![Just(0), Just(u32::MAX), any::<u32>(), 0..1_000_u32];
    let user = "[a-cΩéß张५_.-]{1,32}".prop_map(|name| name.parse::<Username>().unwrap());
    let users = prop::collection::vec(user, 0..5);
    let text = prop_oneof![Just(String::new()), any::<String>(), "[a-z \n\r\0\u{9b}]{0,40}"];
    let addresses = prop::collection::vec(any::<SocketAddr>().prop_map(unscoped), 0..5);
    let bytes = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..40)];
    let numbers = (small(), small(), number(), any::<u128>());
    (numbers, any::<bool>(), users, addresses, text, bytes, any::<prop::sample::Index>()).prop_map(
        |((version, request, number, id), flag, users, addresses, text, bytes, word)| Values {
            version,
            request: RequestId(request),
            number,
            flag,
            users,
            id: MessageId(id),
            addresses,
            text,
            bytes,
            word,
        },
    )
}

/// A scope means nothing to another machine, and does not travel.
fn unscoped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// A change that somebody on the way, or a careless writer, might make.
#[derive(Clone, Debug)]
enum Change {
    Replace(u8),
    Insert(u8),
    Remove(usize),
    Double(usize),
    Cut,
    Append(u8),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let byte =
        || prop_oneof![any::<u8>(), prop::sample::select(b" \n\r\0\t0129afAFzZ-_.+\x7f\xc2\x80".to_vec())];
    let change = prop_oneof![
        byte().prop_map(Change::Replace),
        byte().prop_map(Change::Insert),
        (1..8_usize).prop_map(Change::Remove),
        (1..40_usize).prop_map(Change::Double),
        Just(Change::Cut),
        byte().prop_map(Change::Append),
    ];
    (any::<prop::sample::Index>(), change)
}

fn changed(mut body: Vec<u8>, at: prop::sample::Index, change: &Change) -> Vec<u8> {
    let at = at.index(body.len());
    let until = |len: usize| (at + len).min(body.len());
    match *change {
        Change::Replace(byte) => body[at] = byte,
        Change::Insert(byte) => body.insert(at, byte),
        Change::Remove(len) => drop(body.drain(at..until(len))),
        Change::Double(len) => {
            let piece = body[at..until(len)].to_vec();
            body.splice(at..at, piece);
        }
        Change::Cut => body.truncate(at),
        Change::Append(byte) => body.push(byte),
    }
    body
}

/// Decodes, and writes what was understood.
fn rewritten(sender: Sender, body: &[u8], state: State) -> Result<Vec<u8>, ProtocolError> {
    let frame = match sender {
        Sender::Client => ClientFrame::decode(body, state)?.encode(),
        Sender::Server => ServerFrame::decode(body, state)?.encode(),
        Sender::Peer => PeerFrame::decode(body, state)?.encode(),
    };
    Ok(frame.body().to_vec())
}

fn row(sender: Sender, body: &[u8]) -> &'static TagSpec {
    let tag = body.split(|&byte| matches!(byte, b' ' | b'\n')).next().unwrap();
    TAGS.iter().find(|row| row.sender == sender && row.tag.as_bytes() == tag).unwrap()
}

/// The same cases on every run.
fn fixed() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(46), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn every_frame_comes_back_in_its_states_and_in_no_other(values in values()) {
        let mut tags = BTreeSet::new();
        for state in STATES {
            for frame in values.client_frames() {
                let written = frame.encode();
                let row = row(Sender::Client, written.body());
                tags.insert((row.tag, "client"));
                let read = ClientFrame::decode(written.body(), state);
                if row.states.contains(&state) {
                    prop_assert_eq!(read, Ok(frame));
                } else {
                    prop_assert_eq!(read, Err(ProtocolError::Tag { tag: row.tag.to_owned() }));
                }
            }
            for frame in values.server_frames() {
                let written = frame.encode();
                let row = row(Sender::Server, written.body());
                tags.insert((row.tag, "server"));
                let read = ServerFrame::decode(written.body(), state);
                if row.states.contains(&state) {
                    prop_assert_eq!(read, Ok(frame));
                } else {
                    prop_assert_eq!(read, Err(ProtocolError::Tag { tag: row.tag.to_owned() }));
                }
            }
            for frame in values.peer_frames() {
                let written = frame.encode();
                let row = row(Sender::Peer, written.body());
                tags.insert((row.tag, "peer"));
                let read = PeerFrame::decode(written.body(), state);
                if row.states.contains(&state) {
                    prop_assert_eq!(read, Ok(frame));
                } else {
                    prop_assert_eq!(read, Err(ProtocolError::Tag { tag: row.tag.to_owned() }));
                }
            }
        }
        prop_assert_eq!(tags.len(), TAGS.len(), "a row of the table has no frame here");
    }

    #[test]
    fn no_side_may_send_what_only_the_other_sends(values in values()) {
        for (sender, body) in values.bodies() {
            let tag = row(sender, &body).tag;
            for other in SENDERS {
                if TAGS.iter().any(|row| row.sender == other && row.tag == tag) {
                    continue;
                }
                for state in STATES {
                    let refusal = ProtocolError::Tag { tag: tag.to_owned() };
                    prop_assert_eq!(rewritten(other, &body, state), Err(refusal));
                }
            }
        }
    }

    #[test]
    fn whatever_is_understood_has_one_spelling(
        values in values(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        for (sender, mut body) in values.bodies() {
            for (at, change) in &changes {
                if !body.is_empty() {
                    body = changed(body, *at, change);
                }
            }
            for state in STATES {
                let Ok(written) = rewritten(sender, &body, state) else { continue };
                if body.starts_with(b"hello ") {
                    // Features that this version does not know are passed over.
                    prop_assert!(body.starts_with(&written));
                } else {
                    prop_assert_eq!(&body, &written);
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for state in STATES {
            for sender in SENDERS {
                let _ = rewritten(sender, &body, state);
            }
        }
    }
}

/// The words of a closed set.
fn words<T: Word>() -> Vec<String> {
    T::ALL.iter().map(|member| member.word().to_owned()).collect()
}

/// Values of a field as its kind says, the extremes among them.
fn good(tag: &str, field: &FieldSpec) -> Vec<String> {
    let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    match (field.kind, tag, field.name) {
        ("request", ..) | ("number", _, "version" | "chunks" | "chunk" | "len") => {
            owned(&["0", "1", "4294967295"])
        }
        ("number", "want-manifest" | "manifest", "offset") => owned(&["0", "1", "4294967295"]),
        ("number" | "time", ..) => owned(&["0", "10", "18446744073709551615"]),
        ("id", ..) => owned(&["00000000000000000000000000000000", "00112233445566778899aabbccddeeff"]),
        ("user", ..) => vec!["a".to_owned(), "server".to_owned(), "-._9Ωद".to_owned(), "张".repeat(32)],
        ("flag", ..) => owned(&["0", "1"]),
        ("word", "auth", "mechanism") => words::<Mechanism>(),
        ("word", "login-refused", "code") => words::<LoginRefusal>(),
        ("fingerprint", ..) => owned(&["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"]),
        ("hash", ..) => vec!["0".repeat(64), "00112233445566778899aabbccddeeff".repeat(2)],
        ("address", ..) => owned(&["0.0.0.0:0", "203.0.113.7:40000", "[::1]:65535", "[2001:db8::7]:1024"]),
        ("word", "invite" | "expect" | "meet", "purpose") => words::<Purpose>(),
        ("word", "refused", "code") => words::<ErrorCode>(),
        ("word", "presence", "change") => words::<PresenceChange>(),
        ("word", "goodbye", "reason") => words::<GoodbyeReason>(),
        ("word", "bye", "reason") => words::<ByeReason>(),
        ("word", "no-block", "reason") => words::<NoBlockReason>(),
        ("word", "hello", "feature") => owned(&["a", "never-heard-of-1", "-"]),
        other => panic!("say what values {other:?} may have"),
    }
}

/// Values that are not of that kind, though they could stand in a line.
fn bad(tag: &str, field: &FieldSpec) -> Vec<String> {
    let owned = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    match (field.kind, tag) {
        ("request", _) => owned(&["-1", "+1", "01", "00", "4294967296", "x", "1x", "0x1", "1.0", "١", "١1"]),
        ("number" | "time", _) => {
            owned(&["-1", "+1", "01", "00", "18446744073709551616", "x", "1x", "0x1", "1e3", "1.0", "١"])
        }
        ("fingerprint", _) => owned(&[
            "SHA256:",
            "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV",
        ]),
        ("id", _) => owned(&[
            "0",
            "00112233445566778899AABBCCDDEEFF",
            "00112233445566778899aabbccddeef",
            "00112233445566778899aabbccddeeff0",
            "00112233-4455-6677-8899-aabbccddeeff",
            "+0112233445566778899aabbccddeeff",
            "00112233445566778899aabbccddeefg",
        ]),
        ("hash", _) => owned(&[
            "0",
            "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeef",
            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0",
            "00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg",
        ]),
        ("address", _) => owned(&[
            "203.0.113.7",
            "203.0.113.7:",
            "203.0.113.7:65536",
            "203.0.113.7:01",
            "203.0.113.07:1",
            "::1:1",
            "[::1]",
            "[::0:1]:1",
            "[2001:DB8::7]:1",
            "[fe80::1%1]:1",
            "example.com:1",
        ]),
        ("user", _) => {
            let mut names: Vec<String> = owned(&[
                "a/b",
                "<a>",
                "a:b",
                "a,b",
                "a=b",
                "@a",
                "a\u{202e}b",
                "a\u{200b}",
                "\u{feff}a",
                "é\u{300}",
            ]);
            names.push("x".repeat(33));
            names
        }
        ("flag", _) => owned(&["2", "00", "01", "-0", "true", "y"]),
        ("word", "hello") => owned(&["Feature", "a_b", "é", "a=b"]),
        ("word", _) => owned(&["no-such-word", "SCRAM-SHA-1", "scram-sha-256", "Busy", "LOGOUT", "login-"]),
        other => panic!("say what values {other:?} may not have"),
    }
}

/// A body of that row. `fields` are the line's fields.
fn body(row: &TagSpec, fields: &[String]) -> Vec<u8> {
    let mut body = row.tag.to_owned();
    for field in fields {
        body.push(' ');
        body.push_str(field);
    }
    if row.payload != Payload::None {
        body.push_str("\ntext");
    }
    body.into_bytes()
}

fn decode(row: &TagSpec, body: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    rewritten(row.sender, body, row.states[0])
}

/// The fields of a row, a group that repeats twice, and a good value for each.
fn example(row: &TagSpec) -> (Vec<&'static FieldSpec>, Vec<String>) {
    let specs: Vec<_> = row.fields.iter().chain(row.repeated).chain(row.repeated).collect();
    let values = specs.iter().map(|spec| good(row.tag, spec).remove(0)).collect();
    (specs, values)
}

#[test]
fn the_kinds_in_the_table_say_the_truth() {
    for row in TAGS {
        let (specs, values) = example(row);
        for (at, spec) in specs.iter().enumerate() {
            for value in good(row.tag, spec) {
                let mut values = values.clone();
                values[at] = value.clone();
                assert!(decode(row, &body(row, &values)).is_ok(), "{} {} {value:?}", row.tag, spec.name);
            }
            for value in bad(row.tag, spec) {
                let mut values = values.clone();
                values[at] = value.clone();
                let refusal = ProtocolError::Field { tag: row.tag, field: spec.name };
                assert_eq!(decode(row, &body(row, &values)), Err(refusal), "{value:?}");
            }
        }
    }
}

#[test]
fn a_row_has_all_its_fields_and_no_more() {
    for row in TAGS {
        let (specs, values) = example(row);
        for count in 0..specs.len() {
            let cut = decode(row, &body(row, &values[..count]));
            let in_group = count.checked_sub(row.fields.len());
            if in_group.is_some_and(|count| count % row.repeated.len().max(1) == 0) {
                assert!(cut.is_ok(), "{} with {count} fields", row.tag);
            } else {
                assert_eq!(cut, Err(ProtocolError::Field { tag: row.tag, field: specs[count].name }));
            }
        }
        if row.repeated.is_empty() {
            let longer = [values, vec!["0".to_owned()]].concat();
            let refusal = ProtocolError::Field { tag: row.tag, field: "end of line" };
            assert_eq!(decode(row, &body(row, &longer)), Err(refusal));
        }
    }
}

#[test]
fn a_payload_is_there_exactly_where_the_table_says() {
    for row in TAGS {
        let (_, values) = example(row);
        let refusal = Err(ProtocolError::Payload { tag: row.tag });
        let whole = body(row, &values);
        match row.payload {
            Payload::None => {
                assert_eq!(decode(row, &[&whole[..], b"\n"].concat()), refusal);
                assert_eq!(decode(row, &[&whole[..], b"\ntext"].concat()), refusal);
            }
            Payload::Text => {
                let line = whole.strip_suffix(b"\ntext").unwrap();
                assert_eq!(decode(row, line), refusal);
                assert_eq!(decode(row, &[line, b"\n\xff"].concat()), refusal, "no UTF-8");
                assert!(decode(row, &[line, b"\n"].concat()).is_ok(), "an empty payload is one");
            }
            Payload::Bytes => {
                let line = whole.strip_suffix(b"\ntext").unwrap();
                assert_eq!(decode(row, line), refusal);
                assert!(decode(row, &[line, b"\n\xff\n\0"].concat()).is_ok(), "any bytes");
                assert!(decode(row, &[line, b"\n"].concat()).is_ok(), "an empty payload is one");
            }
        }
    }
}
