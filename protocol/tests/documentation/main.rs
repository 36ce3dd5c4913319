//! Holds `docs/PROTOCOL.md` to the code: every table and example between its marker comments must be what is rendered
//! here. `PARLOUR_BLESS=1 cargo test -p protocol --test documentation` writes them anew.

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod files;
mod words;

use std::{fmt::Write, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use protocol::{
    ChunkIndex, ChunkSet, ClientFrame, ErrorCode, Fingerprint, Frame, FrameDecoder, GoodbyeReason, MessageId,
    PeerFrame, PresenceChange, Purpose, RequestId, ServerFrame, State, TicketId, Username,
    file::CHUNKS_MAX,
    limits::{
        ADDRESSES_MAX, BLOCK_LEN_MAX, CARRY_LEN_MAX, FRAME_LEN_MAX, FRAME_LEN_MAX_BEFORE_LOGIN, LIST_LEN_MAX,
        PEER_FRAME_LEN_MAX, PEER_FRAME_LEN_MAX_BEFORE_MEETING, PEER_PORT_MIN, REQUESTS_IN_FLIGHT_MAX,
        TEXT_LEN_MAX, TICKET_LIFE,
    },
    scram::{
        ITERATIONS_DEFAULT, ITERATIONS_MAX, ITERATIONS_MIN, Iterations, NONCE_LEN_MAX, NONCE_RANDOM_LEN,
        Nonce, SALT_LEN_MAX, SaltedPassword, Verifier, client, server,
    },
    tags::{FieldSpec, Payload, Sender, TAGS, TagSpec},
    time::UnixMs,
    username::USERNAME_CHARS_MAX,
};
use ring::{digest, hmac};

const END: &str = "<!-- end -->";
const USER: &str = "ada";
const PASSWORD: &str = "first-program";
const BINDING: [u8; 32] = [0xB1; 32];

/// Each generated piece of the page: its marker and what stands there.
fn pieces() -> Vec<(&'static str, String)> {
    let rendered = vec![
        ("table: client tags", tag_table(Sender::Client)),
        ("table: server tags", tag_table(Sender::Server)),
        ("table: peer tags", tag_table(Sender::Peer)),
        ("table: limits", limits_table()),
        ("example: frame", frame_example()),
        ("example: scram", scram_example()),
        ("example: scram bound", bound_example()),
        ("example: session", session_example()),
        ("example: meeting", meeting_example()),
        ("example: chunk sets", files::chunk_sets()),
        ("example: manifest", files::manifest()),
    ];
    words::tables().into_iter().chain(rendered).collect()
}

#[test]
fn the_page_and_the_code_agree() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut rendered = page.clone();
    for (marker, content) in pieces() {
        rendered = with_piece(&rendered, marker, &content);
    }
    if std::env::var_os("PARLOUR_BLESS").is_some() {
        fs::write(&path, rendered).unwrap();
        return;
    }
    let differing = page.lines().zip(rendered.lines()).find(|(found, expected)| found != expected);
    if let Some((found, expected)) = differing {
        panic!(
            "docs/PROTOCOL.md says\n  {found}\nand the code says\n  {expected}\n(PARLOUR_BLESS=1 writes it anew)"
        );
    }
    assert_eq!(page, rendered, "docs/PROTOCOL.md and the code differ; PARLOUR_BLESS=1 writes it anew");
    let markers = page.lines().filter(|line| line.starts_with("<!-- ") && *line != END).count();
    assert_eq!(markers, pieces().len(), "a marker that nothing is rendered for");
}

/// The page with that piece in its place.
fn with_piece(page: &str, marker: &str, content: &str) -> String {
    let start = format!("<!-- {marker} -->\n");
    let (before, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no marker for {marker}"));
    let (_, after) = rest.split_once(END).unwrap();
    assert!(!after.contains(&start), "{marker} stands there twice");
    format!("{before}{start}{content}{END}{after}")
}

fn tag_table(sender: Sender) -> String {
    let rows = TAGS.iter().filter(|row| row.sender == sender);
    let mut table = "| Line | Payload | States | Meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for row in rows {
        let payload = match row.payload {
            Payload::None => "none",
            Payload::Text => "text",
            Payload::Bytes => "bytes",
        };
        let (line, states, meaning) = (line_of(row), states_of(row), row.meaning);
        writeln!(table, "| `{line}` | {payload} | {states} | {meaning} |").unwrap();
    }
    table
}

fn line_of(row: &TagSpec) -> String {
    let field = |spec: &FieldSpec| {
        if spec.name == spec.kind {
            format!("<{}>", spec.name)
        } else {
            format!("<{}:{}>", spec.name, spec.kind)
        }
    };
    let mut line = row.tag.to_owned();
    for spec in row.fields {
        write!(line, " {}", field(spec)).unwrap();
    }
    if !row.repeated.is_empty() {
        let group: Vec<String> = row.repeated.iter().map(field).collect();
        write!(line, " [{}]...", group.join(" ")).unwrap();
    }
    line
}

fn states_of(row: &TagSpec) -> String {
    let name = |state: &State| match state {
        State::Greeting => "greeting",
        State::Login => "login",
        State::Chat => "chat",
        State::Meeting => "meeting",
        State::Met => "met",
    };
    if row.states.len() == 3 {
        return "any".to_owned();
    }
    row.states.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn limits_table() -> String {
    let rows = [
        ("Body of a frame in the states greeting and login", FRAME_LEN_MAX_BEFORE_LOGIN, "bytes"),
        ("Body of a frame in the state chat", FRAME_LEN_MAX, "bytes"),
        ("Text of a `message` or `broadcast`", TEXT_LEN_MAX, "bytes of UTF-8"),
        ("Names in one `users` or `presence` frame, together", LIST_LEN_MAX, "bytes"),
        ("Username", USERNAME_CHARS_MAX, "characters (Unicode scalar values)"),
        ("Bytes in one `carry`", CARRY_LEN_MAX, "bytes"),
        ("Addresses of one client", ADDRESSES_MAX, "addresses"),
        ("Lowest port of an address", usize::from(PEER_PORT_MIN), ""),
        ("Life of a ticket", usize::try_from(TICKET_LIFE.as_secs()).unwrap(), "s"),
        ("Body of a frame between clients in the state meeting", PEER_FRAME_LEN_MAX_BEFORE_MEETING, "bytes"),
        ("Body of a frame between clients in the state met", PEER_FRAME_LEN_MAX, "bytes"),
        ("Bytes in one `block` or `manifest`", BLOCK_LEN_MAX, "bytes"),
        ("Chunks of a file", CHUNKS_MAX as usize, "chunks"),
        ("Requests in flight", REQUESTS_IN_FLIGHT_MAX, "requests, by good manners"),
        ("Nonce of one side", NONCE_LEN_MAX, "bytes"),
        ("Salt", SALT_LEN_MAX, "bytes"),
        ("Rounds of key derivation, fewest", ITERATIONS_MIN as usize, "rounds"),
        ("Rounds of key derivation, most", ITERATIONS_MAX as usize, "rounds"),
    ];
    let mut table = "| What | Limit | Unit |\n| --- | ---: | --- |\n".to_owned();
    for (what, limit, unit) in rows {
        writeln!(table, "| {what} | {limit} | {unit} |").unwrap();
    }
    table
}

fn id() -> MessageId {
    MessageId(0x5f0c_8a1e_77d2_4b39_9e64_03ad_c2f8_1b70)
}

fn name(name: &str) -> Username {
    name.parse().unwrap()
}

/// A frame as a hex dump shows it.
fn frame_example() -> String {
    let frame =
        ClientFrame::Message { request: RequestId(7), to: name("grace"), id: id(), text: "Grüße!" }.encode();
    let mut dump = "```text\n".to_owned();
    for (row, bytes) in frame.as_bytes().chunks(16).enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String =
            bytes.iter().map(|&b| if (0x20..0x7f).contains(&b) { char::from(b) } else { '.' }).collect();
        writeln!(dump, "{:04x}  {:<47}  {shown}", row * 16, hex.join(" ")).unwrap();
    }
    dump + "```\n"
}

/// A log-in with fixed nonces.
struct Login {
    client_first: String,
    server_first: String,
    client_final: String,
    server_final: String,
}

fn salt() -> [u8; 16] {
    core::array::from_fn(|at| u8::try_from(at * 17).unwrap())
}

fn client_nonce() -> [u8; NONCE_RANDOM_LEN] {
    core::array::from_fn(|at| u8::try_from(at).unwrap())
}

fn server_nonce() -> [u8; NONCE_RANDOM_LEN] {
    core::array::from_fn(|at| u8::try_from(0x80 + at).unwrap())
}

/// Both ends of this crate against each other.
fn log_in(binding: Option<&[u8]>) -> Login {
    let rounds = Iterations::new(ITERATIONS_DEFAULT).unwrap();
    let salted = SaltedPassword::derive(PASSWORD, &salt(), rounds);
    let verifier = Verifier::derive(PASSWORD, &salt(), rounds);
    let (client, client_first) =
        client::ClientFirst::new(USER, Nonce::new(client_nonce()), binding.map(<[u8]>::to_vec));
    let server = server::ClientFirst::parse(&client_first, client.mechanism()).unwrap();
    let (server, server_first) = server.challenge(&salt(), rounds, &Nonce::new(server_nonce()));
    let (client, client_final) = client.read_challenge(&server_first).unwrap().answer(&salted);
    let server_final = server.verify(&client_final, &verifier, binding).unwrap();
    client.verify(&server_final).unwrap();
    Login { client_first, server_first, client_final, server_final }
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// The steps between, computed here again as the page tells a stranger to.
fn scram_example() -> String {
    let Login { client_first, server_first, client_final, server_final } = log_in(None);
    let mut salted = [0; 32];
    let rounds = ITERATIONS_DEFAULT.try_into().unwrap();
    ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt(), PASSWORD.as_bytes(), &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let bare = client_first.strip_prefix("n,,").unwrap();
    let (unsigned, proof_field) = client_final.rsplit_once(",p=").unwrap();
    let auth_message = format!("{bare},{server_first},{unsigned}");
    let client_signature = hmac(stored_key.as_ref(), auth_message.as_bytes());
    let proof: Vec<u8> =
        client_key.iter().zip(&client_signature).map(|(key, signature)| key ^ signature).collect();
    let server_key = hmac(&salted, b"Server Key");
    let server_signature = hmac(&server_key, auth_message.as_bytes());
    assert_eq!(proof_field, STANDARD.encode(&proof));
    assert_eq!(server_final, format!("v={}", STANDARD.encode(&server_signature)));

    let rows = [
        ("username", USER.to_owned()),
        ("password", PASSWORD.to_owned()),
        ("client nonce", STANDARD.encode(client_nonce())),
        ("server nonce", STANDARD.encode(server_nonce())),
        ("salt", hex(&salt())),
        ("rounds", ITERATIONS_DEFAULT.to_string()),
        ("client-first", client_first.clone()),
        ("server-first", server_first.clone()),
        ("SaltedPassword", hex(&salted)),
        ("ClientKey", hex(&client_key)),
        ("StoredKey", hex(stored_key.as_ref())),
        ("AuthMessage", auth_message),
        ("ClientSignature", hex(&client_signature)),
        ("ClientProof", hex(&proof)),
        ("client-final", client_final.clone()),
        ("ServerKey", hex(&server_key)),
        ("ServerSignature", hex(&server_signature)),
        ("server-final", server_final),
    ];
    listing(&rows)
}

fn bound_example() -> String {
    let Login { client_first, server_first, client_final, server_final } = log_in(Some(&BINDING));
    listing(&[
        ("binding data", hex(&BINDING)),
        ("client-first", client_first),
        ("server-first", server_first),
        ("client-final", client_final),
        ("server-final", server_final),
    ])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn listing(rows: &[(&str, String)]) -> String {
    let mut text = "```text\n".to_owned();
    for (name, value) in rows {
        writeln!(text, "{name:<15} = {value}").unwrap();
    }
    text + "```\n"
}

/// A whole session; each frame is decoded in its state before it is shown.
fn session_example() -> String {
    let mut session = Session { state: State::Greeting, text: "```text\n".to_owned() };
    let Login { client_first, server_first, client_final, server_final } = log_in(None);
    let mechanism = protocol::scram::Mechanism::Sha256;
    let (request, sent_at) = (RequestId, UnixMs(1_790_000_000_000));
    let waiting = MessageId(0x0b4d_11c9_63a0_4f5e_8d27_f1e6_9a3c_7752);

    session.client(&ClientFrame::Hello { version: protocol::VERSION });
    session.server(&ServerFrame::Hello { version: protocol::VERSION });
    session.state = State::Login;
    session.client(&ClientFrame::Auth {
        mechanism,
        key: Fingerprint::of_key(b""),
        client_first: &client_first,
    });
    session.server(&ServerFrame::Challenge { server_first: &server_first });
    session.client(&ClientFrame::Proof { client_final: &client_final });
    session.server(&ServerFrame::Welcome { user: name(USER), server_final: &server_final });
    session.state = State::Chat;
    session.remark("A message that waited, shown and acknowledged.");
    let text = "Are you there?";
    session.server(&ServerFrame::Deliver { from: name("grace"), id: waiting, sent_at, offline: true, text });
    session.client(&ClientFrame::Ack { from: name("grace"), id: waiting });
    session.server(&ServerFrame::Ready);
    session.remark("Two requests at once, answered in another order.");
    session.client(&ClientFrame::Message {
        request: request(1),
        to: name("grace"),
        id: id(),
        text: "I am now.",
    });
    session.client(&ClientFrame::WhoElse { request: request(2) });
    session.server(&ServerFrame::Users {
        request: request(2),
        more: false,
        users: vec![name("alan"), name("grace")],
    });
    session.server(&ServerFrame::Delivered { request: request(1) });
    session.remark("Others come and go.");
    session.server(&ServerFrame::Presence {
        changes: vec![(name("edsger"), PresenceChange::Login), (name("alan"), PresenceChange::Lost)],
    });
    session.remark("A request that fails, and a silence.");
    session.client(&ClientFrame::Block { request: request(3), user: name(USER) });
    let text = "That is you. Name somebody else.";
    session.server(&ServerFrame::Refused { request: request(3), code: ErrorCode::Myself, text });
    session.server(&ServerFrame::Ping);
    session.client(&ClientFrame::Pong);
    session.remark("The end.");
    session.client(&ClientFrame::Logout { request: request(4) });
    session.server(&ServerFrame::Done { request: request(4) });
    session.server(&ServerFrame::Goodbye { reason: GoodbyeReason::Logout, text: "Goodbye." });
    session.text + "```\n"
}

struct Session {
    state: State,
    text: String,
}

impl Session {
    fn client(&mut self, frame: &ClientFrame<'_>) {
        let written = frame.encode();
        assert_eq!(ClientFrame::decode(body(&written).as_slice(), self.state).as_ref(), Ok(frame));
        self.show('C', &written);
    }

    fn server(&mut self, frame: &ServerFrame<'_>) {
        let written = frame.encode();
        assert_eq!(ServerFrame::decode(body(&written).as_slice(), self.state).as_ref(), Ok(frame));
        self.show('S', &written);
    }

    fn peer(&mut self, side: char, frame: &PeerFrame<'_>) {
        let written = frame.encode();
        assert_eq!(PeerFrame::decode(body(&written).as_slice(), self.state).as_ref(), Ok(frame));
        self.show(side, &written);
    }

    fn remark(&mut self, text: &str) {
        writeln!(self.text, "# {text}").unwrap();
    }

    fn show(&mut self, side: char, frame: &Frame) {
        let mut parts = frame.body().splitn(2, |&byte| byte == b'\n');
        let line = str::from_utf8(parts.next().unwrap()).unwrap();
        writeln!(self.text, "{side}: {line}").unwrap();
        if let Some(payload) = parts.next() {
            let text = str::from_utf8(payload).ok().filter(|text| !text.contains(char::is_control));
            let payload = text.map_or_else(|| hex(payload), str::to_owned);
            writeln!(self.text, "   | {payload}").unwrap();
        }
    }
}

/// How two clients find each other and one gets a piece of a file.
fn meeting_example() -> String {
    let mut story = Session { state: State::Chat, text: "```text\n".to_owned() };
    let (ticket, file) = (TicketId(id().0), files::example().id());
    let (mine, other) = (Fingerprint::of_key(b"ada"), Fingerprint::of_key(b"grace"));
    let (request, at) = (RequestId(5), |address: &str| vec![address.parse().unwrap()]);
    story.remark("Both have told the server where they await others.");
    story.client(&ClientFrame::Reachable { addresses: at("192.168.1.20:40000") });
    story.remark("Ada's client looks for a file, and wants to meet a holder.");
    story.client(&ClientFrame::Search { request: RequestId(4), name: "notes.txt" });
    let held = ChunkSet::full(3).encode();
    story.server(&ServerFrame::Holder { request: RequestId(4), user: name("grace"), held: &held });
    story.server(&ServerFrame::Found { request: RequestId(4), file, size: 10, chunks: 3 });
    story.client(&ClientFrame::Invite { request, user: name("grace"), purpose: Purpose::Files });
    story.server(&ServerFrame::Ticket { request, ticket, key: other, addresses: at("192.0.2.9:41000") });
    story.remark("What grace's client is told:");
    story.server(&ServerFrame::Expect {
        ticket,
        from: name(USER),
        key: mine,
        purpose: Purpose::Files,
        addresses: at("192.168.1.20:40000"),
    });
    story.remark("Ada's client (A) has dialled grace's (G). Both have shown their keys in the handshake.");
    story.state = State::Meeting;
    story.peer('A', &PeerFrame::Meet { version: 1, ticket, purpose: Purpose::Files });
    story.peer('G', &PeerFrame::Met { ticket });
    story.state = State::Met;
    story.peer('A', &PeerFrame::WantManifest { file, offset: 0 });
    let bytes = files::example().encode();
    story.peer('G', &PeerFrame::Manifest { file, offset: 0, bytes: &bytes });
    story.peer('A', &PeerFrame::WantHolds { file });
    story.peer('G', &PeerFrame::Holds { file, held: &held });
    story.remark("The chunk 2 of a file of 10 bytes in 3 chunks has 4 bytes.");
    story.peer('A', &PeerFrame::Request { file, chunk: 2, offset: 0, len: 4 });
    story.peer('G', &PeerFrame::Block { file, chunk: 2, offset: 0, bytes: b"6789" });
    story.remark("And the server hears what ada's client holds now.");
    let mut held = ChunkSet::empty(3);
    held.insert(ChunkIndex(2));
    story.state = State::Chat;
    story.client(&ClientFrame::Have { file, held: &held.encode() });
    story.text + "```\n"
}

/// The body as a receive buffer gives it.
fn body(frame: &Frame) -> Vec<u8> {
    let mut decoder = FrameDecoder::new(PEER_FRAME_LEN_MAX);
    decoder.push(frame.as_bytes());
    decoder.next_body().unwrap().unwrap().to_vec()
}
