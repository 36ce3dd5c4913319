//! Guessing passwords: what it costs, whom it harms, and what it tells (rows 12 to 17 of the list of attacks).

// Helpers outside of test functions may fail a test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use protocol::{
    ClientFrame, FrameDecoder, RequestId, Username,
    limits::FRAME_LEN_MAX,
    scram::{Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client},
    time::{MonoMs, Now, UnixMs},
};
use server::hub::{ConnId, Credential, Effect, Hub, Input, Limits, Password};

const RIGHT: &str = "pencil";
const START: Now = Now { mono: MonoMs(5_000_000), wall: UnixMs(7_000_000_000) };

/// A hub, its clocks, and the derivations that it asked for.
struct Room {
    hub: Hub,
    now: Now,
    opened: u32,
    asked: VecDeque<(String, u64, Verifier)>,
    /// What guessers have derived, which takes most of the time.
    salted: BTreeMap<(String, Vec<u8>), SaltedPassword>,
}

/// A log-in that was challenged.
struct Challenged {
    conn: ConnId,
    challenge: client::Challenge,
    /// What was heard so far.
    heard: Vec<String>,
}

fn plain() -> Credential {
    Credential::Plain(Password::new(RIGHT))
}

fn verifier() -> Credential {
    let rounds = Iterations::new(4_096).unwrap();
    Credential::Verifier(Verifier::derive(RIGHT, b"salt of the test", rounds))
}

fn list<const N: usize>(accounts: [(&str, Credential); N]) -> BTreeMap<Username, Credential> {
    accounts.into_iter().map(|(name, credential)| (name.parse().unwrap(), credential)).collect()
}

impl Room {
    /// A room with all keys derived.
    fn new(credentials: BTreeMap<Username, Credential>) -> Self {
        Self::with(Limits::default(), credentials)
    }

    fn with(limits: Limits, credentials: BTreeMap<Username, Credential>) -> Self {
        let mut room = Self::underived(limits, credentials);
        room.derive_all();
        room
    }

    fn underived(limits: Limits, credentials: BTreeMap<Username, Credential>) -> Self {
        let hub = Hub::new(limits, credentials, [7; 32], START);
        Self { hub, now: START, opened: 0, asked: VecDeque::new(), salted: BTreeMap::new() }
    }

    fn input(&mut self, input: Input<'_>) {
        self.hub.handle_input(self.now, input);
        self.hub.handle_timeout(self.now);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.hub.poll_output() {
            if let Effect::Derive { name, job, password, salt, iterations } = effect {
                let verifier = Verifier::derive(password.expose(), &salt, iterations);
                self.asked.push_back((name.to_string(), job, verifier));
            }
        }
    }

    fn derive_one(&mut self) {
        let (name, job, verifier) = self.asked.pop_front().expect("a derivation");
        self.input(Input::Derived { name: name.as_str().into(), job, verifier });
    }

    fn derive_all(&mut self) {
        self.carry_out();
        while !self.asked.is_empty() {
            self.derive_one();
        }
    }

    fn pass(&mut self, mono: Duration) {
        self.now.mono = self.now.mono.after(mono);
        self.hub.handle_timeout(self.now);
    }

    /// The frames that wait for a connection, as text.
    fn hear(&mut self, conn: ConnId) -> Vec<String> {
        let mut bytes = Vec::new();
        self.hub.gather(conn, &mut bytes, usize::MAX);
        self.input(Input::Sent { conn, len: bytes.len() });
        let mut decoder = FrameDecoder::new(FRAME_LEN_MAX);
        decoder.push(&bytes);
        let mut frames = Vec::new();
        while let Some(body) = decoder.next_body().unwrap() {
            frames.push(String::from_utf8(body.to_vec()).unwrap());
        }
        frames
    }

    fn say(&mut self, conn: ConnId, frame: &ClientFrame<'_>) -> Vec<String> {
        self.input(Input::Received { conn, bytes: frame.encode().as_bytes() });
        self.hear(conn)
    }

    fn challenged(&mut self, peer: &str, name: &str) -> Challenged {
        let conn = ConnId { index: self.opened, generation: 0 };
        self.opened += 1;
        self.input(Input::Opened { conn, peer: peer.parse().unwrap() });
        let mut heard = self.say(conn, &ClientFrame::Hello { version: 1 });
        let (first, client_first) = client::ClientFirst::new(name, Nonce::new([1; NONCE_RANDOM_LEN]), None);
        let auth = ClientFrame::Auth {
            mechanism: Mechanism::Sha256,
            key: protocol::Fingerprint([7; 32]),
            client_first: &client_first,
        };
        let answer = self.say(conn, &auth);
        let [frame] = answer.as_slice() else { panic!("{answer:?}") };
        let server_first = frame.strip_prefix("challenge\n").expect(frame);
        heard.push(server_first.to_owned());
        Challenged { conn, challenge: first.read_challenge(server_first).unwrap(), heard }
    }

    /// Proves a password; returns the connection and everything heard on it.
    fn prove(&mut self, login: Challenged, password: &str) -> (ConnId, Vec<String>) {
        let Challenged { conn, challenge, mut heard } = login;
        let salted = self
            .salted
            .entry((password.to_owned(), challenge.salt().to_owned()))
            .or_insert_with(|| SaltedPassword::derive(password, challenge.salt(), challenge.iterations()));
        let (_, client_final) = challenge.answer(salted);
        heard.extend(self.say(conn, &ClientFrame::Proof { client_final: &client_final }));
        (conn, heard)
    }

    fn attempt(&mut self, peer: &str, name: &str, password: &str) -> Vec<String> {
        let login = self.challenged(peer, name);
        self.prove(login, password).1
    }

    /// An attempt's verdict: the first line of the frame behind the challenge.
    fn verdict(&mut self, peer: &str, name: &str, password: &str) -> String {
        verdict(&self.attempt(peer, name, password))
    }

    fn log_in(&mut self, peer: &str, name: &str) -> ConnId {
        let login = self.challenged(peer, name);
        let (conn, heard) = self.prove(login, RIGHT);
        assert!(verdict(&heard).starts_with("welcome"), "{heard:?}");
        self.hear(conn);
        conn
    }
}

fn verdict(heard: &[String]) -> String {
    heard.get(2).map(|frame| frame.lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

/// An address for each number; none is loopback.
fn address(number: u32) -> String {
    core::net::Ipv4Addr::from_bits(0x0A00_0000 | number).to_string()
}

#[test]
fn tries_side_by_side_are_counted_together() {
    for credential in [plain(), verifier()] {
        let mut room = Room::new(list([("ada", credential)]));
        let logins: Vec<_> = (0..5).map(|number| room.challenged(&address(number), "ada")).collect();
        let passwords = ["a", "b", "c", "d", RIGHT];
        let verdicts: Vec<_> = logins
            .into_iter()
            .zip(passwords)
            .map(|(login, word)| verdict(&room.prove(login, word).1))
            .collect();
        let (bad, locked) = ("login-refused bad-credentials 0", "login-refused locked 60");
        assert_eq!(verdicts, [bad, bad, locked, locked, locked]);
    }
}

/// All that a guesser hears of a name: alone, side by side, locked, and after the lock. What differs from name
/// to name by chance is replaced by what can be told of it.
fn heard_of(name: &str, credentials: BTreeMap<Username, Credential>, rounds: &[u32]) -> Vec<Vec<String>> {
    let mut room = Room::new(credentials);
    let mut heard = Vec::new();
    let mut salts = Vec::new();
    for number in 0..4 {
        heard.push(room.attempt(&address(number), name, "wrong"));
        room.pass(Duration::from_secs(7));
    }
    room.pass(Duration::from_secs(60));
    let logins: Vec<_> = (10..15).map(|number| room.challenged(&address(number), name)).collect();
    heard.extend(logins.into_iter().map(|login| room.prove(login, "wrong").1));
    room.pass(Duration::from_secs(60));
    for _ in 0..12 {
        heard.push(room.attempt(&address(99), name, "wrong"));
        room.pass(Duration::from_millis(300));
    }
    assert!(room.asked.is_empty(), "no guess causes a derivation");
    for frames in &mut heard {
        let fields: Vec<_> = frames[1].split(',').map(str::to_owned).collect();
        let [nonce, salt, count] = fields.as_slice() else { panic!("{fields:?}") };
        assert!(rounds.iter().any(|rounds| *count == format!("i={rounds}")), "{count}");
        salts.push(salt.clone());
        frames[1] = format!("{nonce}, salt of {} characters", salt.len());
    }
    salts.dedup();
    assert_eq!(salts.len(), 1, "the salt of {name} is always the same");
    heard
}

#[test]
fn an_unknown_name_is_answered_like_a_known_one_of_any_kind() {
    let default = Iterations::DEFAULT.get();
    let both = || list([("ada", plain()), ("grace", verifier())]);
    let of_plain = heard_of("ada", both(), &[default]);
    assert_eq!(of_plain, heard_of("grace", both(), &[4_096]));
    for name in ["eve", "eva", "mallory", "no name, = at all"] {
        assert_eq!(of_plain, heard_of(name, both(), &[default, 4_096]), "{name}");
    }
    assert_eq!(of_plain, heard_of("eve", list([("ada", plain())]), &[default]));
    assert_eq!(of_plain, heard_of("eve", list([("ada", verifier())]), &[4_096]));
}

#[test]
fn a_new_account_does_not_give_an_unknown_name_away() {
    let salt = |room: &mut Room, name| room.challenged(&address(1), name).challenge.salt().to_owned();
    let mut room = Room::new(list([("ada", plain())]));
    let before = [salt(&mut room, "ada"), salt(&mut room, "eve"), salt(&mut room, "new")];
    room.input(Input::Accounts(list([("ada", plain()), ("new", plain())])));
    assert_eq!([salt(&mut room, "ada"), salt(&mut room, "eve"), salt(&mut room, "new")], before);
}

#[test]
fn changing_the_address_does_not_help_against_one_account() {
    let mut room = Room::new(list([("ada", verifier())]));
    let verdicts: Vec<_> = (0..100).map(|number| room.verdict(&address(number), "ada", "wrong")).collect();
    let bad = verdicts.iter().filter(|verdict| verdict.contains("bad-credentials")).count();
    assert_eq!(bad, 2, "{verdicts:?}");
}

#[test]
fn changing_the_account_does_not_help_an_address() {
    for names in [["ada", "grace", "alan", "edsger"], ["eve", "eva", "mallory", "trudy"]] {
        let known = list(["ada", "grace", "alan", "edsger", "barbara"].map(|name| (name, verifier())));
        let mut room = Room::new(known);
        for name in names.iter().cycle().take(8) {
            assert_eq!(room.verdict("192.0.2.1", name, "wrong"), "login-refused bad-credentials 0");
        }
        for name in &names[..2] {
            assert_eq!(room.verdict("192.0.2.1", name, "wrong"), "login-refused locked 60");
        }
        for name in ["ada", "barbara", "nobody"] {
            let heard = room.attempt("192.0.2.1", name, RIGHT);
            assert_eq!(verdict(&heard), "login-refused busy 6");
            assert!(heard[2].contains("in 6 s"), "{heard:?}");
        }
        assert!(room.verdict("192.0.2.2", "barbara", RIGHT).starts_with("welcome"), "another address");
        room.pass(Duration::from_secs(6));
        assert_eq!(room.verdict("192.0.2.1", names[3], "wrong"), "login-refused locked 60");
        assert_eq!(room.verdict("192.0.2.1", "nobody", "wrong"), "login-refused busy 6");
    }
}

#[test]
fn right_passwords_do_not_refill_an_address() {
    let mut room = Room::new(list([("ada", verifier()), ("mallory", verifier())]));
    for number in 0..10 {
        let guess = room.verdict("192.0.2.1", &format!("victim{number}"), "wrong");
        assert_eq!(guess, "login-refused bad-credentials 0");
        if number < 9 {
            let own = room.log_in("192.0.2.1", "mallory");
            room.input(Input::Closed { conn: own });
        }
    }
    assert_eq!(room.verdict("192.0.2.1", "mallory", RIGHT), "login-refused busy 6");
}

#[test]
fn loopback_is_only_bound_by_locks() {
    let mut room = Room::new(list([("ada", verifier())]));
    for number in 0..50 {
        let verdict = room.verdict("127.0.0.1", &format!("victim{number}"), "wrong");
        assert_eq!(verdict, "login-refused bad-credentials 0");
    }
}

#[test]
fn a_live_session_is_untouched_by_a_lock() {
    let mut room = Room::new(list([("ada", verifier())]));
    let ada = room.log_in("192.0.2.1", "ada");
    for number in 0..5 {
        room.attempt(&address(number), "ada", "wrong");
    }
    assert_eq!(room.verdict(&address(9), "ada", RIGHT), "login-refused locked 60");
    assert_eq!(room.hear(ada), [""; 0], "she is not even told");
    let answer = room.say(ada, &ClientFrame::WhoElse { request: RequestId(1) });
    assert!(answer.iter().any(|frame| frame.contains('1')), "{answer:?}");
}

#[test]
fn only_the_monotonic_clock_ends_a_lock() {
    let mut room = Room::new(list([("ada", verifier())]));
    for number in 0..3 {
        room.attempt(&address(number), "ada", "wrong");
    }
    let year_ms = 365 * 86_400_000;
    for wall in [0, START.wall.0 - 60_000, START.wall.0 + 60_000, START.wall.0 + year_ms, u64::MAX] {
        room.now.wall = UnixMs(wall);
        assert_eq!(room.verdict(&address(9), "ada", RIGHT), "login-refused locked 60");
    }
    room.pass(Duration::from_millis(59_999));
    assert_eq!(room.verdict(&address(9), "ada", RIGHT), "login-refused locked 1");
    // Tries on a locked account do not lengthen it.
    assert_eq!(room.verdict(&address(10), "ada", "wrong"), "login-refused locked 1");
    room.pass(Duration::from_millis(1));
    assert!(room.verdict(&address(9), "ada", RIGHT).starts_with("welcome"));

    let mut room = Room::new(list([("ada", verifier())]));
    for number in 0..3 {
        room.attempt(&address(number), "ada", "wrong");
    }
    room.pass(Duration::from_secs(86_400 * 365));
    assert!(room.verdict(&address(9), "ada", RIGHT).starts_with("welcome"), "after a long suspend");
}

#[test]
fn a_new_list_of_accounts_ends_no_lock() {
    let mut room = Room::new(list([("ada", verifier())]));
    for number in 0..3 {
        room.attempt(&address(number), "ada", "wrong");
    }
    room.input(Input::Accounts(list([("ada", verifier()), ("grace", plain())])));
    assert_eq!(room.verdict(&address(9), "ada", RIGHT), "login-refused locked 60");
}

#[test]
fn a_flood_of_names_without_proofs_ends_no_lock() {
    let mut room = Room::with(Limits { ghosts_max: 4, ..Limits::default() }, list([("ada", verifier())]));
    for number in 0..3 {
        room.attempt(&address(number), "eve", "wrong");
    }
    for number in 0..100 {
        room.challenged(&address(number), &format!("flood{number}"));
    }
    assert_eq!(room.verdict(&address(200), "eve", "wrong"), "login-refused locked 60");
}

#[test]
fn proofs_of_one_address_wait_three_at_a_time() {
    for (peer, waiting_max) in [("192.0.2.1", 3), ("127.0.0.1", 6)] {
        let mut room = Room::new(list([("ada", plain())]));
        let changed = Credential::Plain(Password::new("new password"));
        room.input(Input::Accounts(list([("ada", changed)])));
        let outcomes: Vec<_> = (0..6)
            .map(|_| {
                let login = room.challenged(peer, "ada");
                room.prove(login, "wrong")
            })
            .collect();
        for (index, (_, heard)) in outcomes.iter().enumerate() {
            let wanted = if index < waiting_max { "" } else { "login-refused busy 0" };
            assert_eq!(verdict(heard), wanted, "{index} from {peer}");
        }
        assert_eq!(room.asked.len(), 1, "one derivation for all of them");
        room.derive_one();
        let late: Vec<_> =
            outcomes[..waiting_max].iter().map(|&(conn, _)| room.hear(conn)[0].clone()).collect();
        for (index, frame) in late.iter().enumerate() {
            let wanted =
                if index < 2 { "login-refused bad-credentials 0" } else { "login-refused locked 60" };
            assert!(frame.starts_with(wanted), "{index} from {peer}: {frame}");
        }
    }
}

#[test]
fn keys_are_derived_ahead_one_at_a_time_and_at_once_for_who_waits() {
    let names = ["a", "b", "c", "d", "e"];
    let mut room = Room::underived(Limits::default(), list(names.map(|name| (name, plain()))));
    let login = room.challenged(&address(1), "d");
    assert_eq!(room.asked.len(), 1, "one ahead");
    let (conn, heard) = room.prove(login, RIGHT);
    assert_eq!(verdict(&heard), "");
    room.attempt(&address(2), "eve", "wrong");
    let asked: Vec<_> = room.asked.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(asked, ["a", "d"], "who waits has one before him, and unknown names add none");
    room.derive_one();
    room.derive_one();
    assert!(room.hear(conn)[0].starts_with("welcome"));
    let mut order = Vec::new();
    while let Some((name, ..)) = room.asked.front() {
        order.push(name.clone());
        assert_eq!(room.asked.len(), 1);
        room.derive_one();
    }
    assert_eq!(order, ["b", "c", "e"]);
}

#[test]
fn who_waits_for_an_account_that_is_removed_is_answered() {
    let mut room = Room::underived(Limits::default(), list([("ada", plain())]));
    let login = room.challenged(&address(1), "ada");
    let (conn, heard) = room.prove(login, RIGHT);
    assert_eq!(verdict(&heard), "");
    room.input(Input::Accounts(list([("grace", plain())])));
    assert!(room.hear(conn)[0].starts_with("login-refused bad-credentials 0"));
    room.derive_all();
    assert!(room.verdict(&address(2), "grace", RIGHT).starts_with("welcome"), "its stale keys harm nobody");
}
