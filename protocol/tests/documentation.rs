//! Holds `docs/PROTOCOL.md` to the code: every table and example between its marker comments must be what is rendered
//! here. `PARLOUR_BLESS=1 cargo test -p protocol --test documentation` writes them anew.

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::{fmt::Write, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use protocol::{
    ClientFrame, ErrorCode, Frame, FrameDecoder, GoodbyeReason, LoginRefusal, MessageId, PresenceChange,
    RequestId, ServerFrame, State, Username, Word,
    limits::{FRAME_LEN_MAX, FRAME_LEN_MAX_BEFORE_LOGIN, LIST_LEN_MAX, REQUESTS_IN_FLIGHT_MAX, TEXT_LEN_MAX},
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
    vec![
        ("table: client tags", tag_table(Sender::Client)),
        ("table: server tags", tag_table(Sender::Server)),
        ("table: error codes", word_table("Code | Answers | Meaning", error_meaning)),
        ("table: login refusals", word_table("Code | Meaning | What a client does", refusal_meaning)),
        ("table: goodbye reasons", word_table("Reason | Meaning | What a client does", goodbye_meaning)),
        ("table: presence changes", word_table("Change | Meaning", presence_meaning)),
        ("table: limits", limits_table()),
        ("example: frame", frame_example()),
        ("example: scram", scram_example()),
        ("example: scram bound", bound_example()),
        ("example: session", session_example()),
    ]
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
    };
    if row.states.len() == 3 {
        return "any".to_owned();
    }
    row.states.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A table of a closed set of words. `columns` are those behind the word.
fn word_table<T: Word, const N: usize>(head: &str, columns: fn(T) -> [&'static str; N]) -> String {
    let mut table = format!("| {head} |\n|{}\n", " --- |".repeat(N + 1));
    for &member in T::ALL {
        writeln!(table, "| `{}` | {} |", member.word(), columns(member).join(" | ")).unwrap();
    }
    table
}

fn error_meaning(code: ErrorCode) -> [&'static str; 2] {
    match code {
        ErrorCode::Myself => ["`message`, `block`, `unblock`, `invite`", "The user named himself."],
        ErrorCode::UnknownUser => ["`message`, `block`, `unblock`, `invite`", "No account has that name."],
        ErrorCode::Offline => ["`invite`", "That user is not online."],
        ErrorCode::Blocked => ["`message`, `invite`", "The recipient has blocked the sender."],
        ErrorCode::EmptyMessage => {
            ["`message`, `broadcast`", "The text is empty, or nothing but white space."]
        }
        ErrorCode::MailboxFull => ["`message`", "Too much waits for the recipient already."],
        ErrorCode::AlreadyBlocked => ["`block`", "That user is on the list already."],
        ErrorCode::NotBlocked => ["`unblock`", "That user is not on the list."],
        ErrorCode::IdReused => {
            ["`message`, `broadcast`", "The id was used before, with another text or another recipient."]
        }
        ErrorCode::UnknownCommand => ["nothing", "A client's own word for a command it does not know."],
        ErrorCode::Usage => ["nothing", "A client's own word for a command with wrong arguments."],
        ErrorCode::TooLong => ["`message`, `broadcast`", "The text is over the limit."],
        ErrorCode::Quota => {
            ["`message`, `block`", "Too many messages of this sender are unconfirmed, or his list is full."]
        }
        ErrorCode::StoreFailed => [
            "`message`, `block`, `unblock`",
            "The server could not write it down, and promises nothing, not even that nobody has seen it. It may be tried again.",
        ],
        ErrorCode::NotConnected => ["nothing", "A client's own word for a request it could not send."],
        ErrorCode::NotConfirmed => [
            "nothing",
            "A client's own word for a request whose answer never came: it may or may not have been carried out.",
        ],
    }
}

fn refusal_meaning(code: LoginRefusal) -> [&'static str; 2] {
    match code {
        LoginRefusal::BadCredentials => {
            ["The name or the password is wrong; which of them is not told.", "Asks for the password again."]
        }
        LoginRefusal::Locked => [
            "Three wrong passwords in a row. Until `retry-after` seconds are over the right one is refused too.",
            "Tells the user how long it takes.",
        ],
        LoginRefusal::AlreadyOnline => {
            ["The password is right, but the user's first connection lives.", "Tells the user."]
        }
        LoginRefusal::Busy => [
            "Too many connections of this address are logging in, or too many wrong passwords came from it; `retry-after` tells how long that lasts.",
            "Tries again after a pause.",
        ],
    }
}

fn goodbye_meaning(reason: GoodbyeReason) -> [&'static str; 2] {
    match reason {
        GoodbyeReason::Logout => ["The user asked for it.", "Ends."],
        GoodbyeReason::Timeout => {
            ["No request for too long.", "Tells the user. Does not come back by itself."]
        }
        GoodbyeReason::Shutdown => ["The server stops.", "May connect again, after growing pauses."],
        GoodbyeReason::Replaced => [
            "The user logged in again, and this connection did not answer `ping` in time.",
            "Does not come back by itself: two clients would throw each other out for ever.",
        ],
        GoodbyeReason::Removed => ["The account is gone.", "Tells the user."],
        GoodbyeReason::Login => [
            "The log-in took too long, or was refused: then `login-refused` came first.",
            "Connects anew for the next try.",
        ],
        GoodbyeReason::Tampered => [
            "The log-in was bound to another TLS connection than the server's: somebody sits in between.",
            "Warns the user, and does not try again.",
        ],
        GoodbyeReason::TooSlow => [
            "This side read too slowly. What waited for it was thrown away.",
            "May connect again, after growing pauses.",
        ],
        GoodbyeReason::Protocol => [
            "What came was not this protocol, or not its turn. The payload says what.",
            "Reports a fault: trying again will not help.",
        ],
    }
}

fn presence_meaning(change: PresenceChange) -> [&'static str; 1] {
    match change {
        PresenceChange::Login => ["He came."],
        PresenceChange::Logout => ["He left on his own, or the server ended his session in good order."],
        PresenceChange::Timeout => ["He left for inactivity."],
        PresenceChange::Lost => ["His connection ended without a word, was too slow, or broke the protocol."],
    }
}

fn limits_table() -> String {
    let rows = [
        ("Body of a frame in the states greeting and login", FRAME_LEN_MAX_BEFORE_LOGIN, "bytes"),
        ("Body of a frame in the state chat", FRAME_LEN_MAX, "bytes"),
        ("Text of a `message` or `broadcast`", TEXT_LEN_MAX, "bytes of UTF-8"),
        ("Names in one `users` or `presence` frame, together", LIST_LEN_MAX, "bytes"),
        ("Username", USERNAME_CHARS_MAX, "characters (Unicode scalar values)"),
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
        key: protocol::Fingerprint::of_key(b""),
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

    fn remark(&mut self, text: &str) {
        writeln!(self.text, "# {text}").unwrap();
    }

    fn show(&mut self, side: char, frame: &Frame) {
        let body = str::from_utf8(frame.body()).unwrap();
        let (line, payload) = body.split_once('\n').map_or((body, None), |(line, text)| (line, Some(text)));
        writeln!(self.text, "{side}: {line}").unwrap();
        if let Some(payload) = payload {
            writeln!(self.text, "   | {payload}").unwrap();
        }
    }
}

/// The body as a receive buffer gives it.
fn body(frame: &Frame) -> Vec<u8> {
    let mut decoder = FrameDecoder::new(FRAME_LEN_MAX);
    decoder.push(frame.as_bytes());
    decoder.next_body().unwrap().unwrap().to_vec()
}
