//! A hub, its clocks, the derivations that it asked for, and people who talk to it frame by frame.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use protocol::{
    ClientFrame, Fingerprint, FrameDecoder, Username,
    limits::FRAME_LEN_MAX,
    scram::{Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client},
    time::{MonoMs, Now, UnixMs},
};
use server::hub::{
    ConnId, Credential, Effect, Hub, Input, Lane, Limits, MailboxPage, Recovered, StoreOperation,
};

/// The password of every account.
pub(crate) const RIGHT: &str = "pencil";
/// When every hub starts.
pub(crate) const START: Now = Now { mono: MonoMs(5_000_000), wall: UnixMs(7_000_000_000) };

pub(crate) struct Rig {
    pub(crate) hub: Hub,
    pub(crate) now: Now,
    opened: u32,
    /// Derivations that were asked for, done but not told yet.
    pub(crate) asked: VecDeque<(String, u64, Verifier)>,
    /// What the hub wanted to be made durable, and was not told of yet.
    commits: VecDeque<(u64, Vec<StoreOperation>)>,
    /// Whose waiting messages are to be read.
    loads: VecDeque<ConnId>,
    /// Everything that the store has taken.
    pub(crate) written: Vec<StoreOperation>,
    /// What people have derived, which takes most of the time.
    salted: BTreeMap<(String, Vec<u8>), SaltedPassword>,
}

/// A log-in that was challenged.
pub(crate) struct Challenged {
    pub(crate) conn: ConnId,
    pub(crate) challenge: client::Challenge,
    /// What was heard so far.
    heard: Vec<String>,
}

/// The key that the client at this index names.
pub(crate) fn key(index: u32) -> Fingerprint {
    Fingerprint::of_key(&index.to_be_bytes())
}

/// Keys of [`RIGHT`].
pub(crate) fn verifier() -> Credential {
    let rounds = Iterations::new(4_096).unwrap();
    Credential::Verifier(Verifier::derive(RIGHT, b"salt of the test", rounds))
}

/// The first line of the frame behind the challenge.
pub(crate) fn verdict(heard: &[String]) -> String {
    heard.get(2).map(|frame| frame.lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

impl Rig {
    /// A room of two accounts, `ada` and `grace`.
    pub(crate) fn new(limits: Limits) -> Self {
        Self::of(limits, ["ada", "grace"])
    }

    /// A room of these accounts.
    pub(crate) fn of<'a>(limits: Limits, names: impl IntoIterator<Item = &'a str>) -> Self {
        let credential = verifier();
        let account = |name: &str| (name.parse().unwrap(), credential.clone());
        Self::with(limits, names.into_iter().map(account).collect())
    }

    /// A room with all keys derived.
    pub(crate) fn with(limits: Limits, credentials: BTreeMap<Username, Credential>) -> Self {
        let mut rig = Self::underived(limits, credentials);
        rig.derive_all();
        rig
    }

    pub(crate) fn underived(limits: Limits, credentials: BTreeMap<Username, Credential>) -> Self {
        Self::start(limits, credentials, Recovered::empty([7; 32]), START)
    }

    /// A room of `ada` and `grace`, with what a store holds.
    pub(crate) fn recover(limits: Limits, recovered: Recovered) -> Self {
        Self::recover_at(limits, recovered, START.wall)
    }

    /// The same at a time of the wall clock. The monotonic one has nothing to do with the last process's.
    pub(crate) fn recover_at(limits: Limits, recovered: Recovered, wall: UnixMs) -> Self {
        let credentials = ["ada", "grace"].map(|name| (name.parse().unwrap(), verifier()));
        Self::start(limits, credentials.into(), recovered, Now { wall, ..START })
    }

    fn start(
        limits: Limits,
        credentials: BTreeMap<Username, Credential>,
        recovered: Recovered,
        now: Now,
    ) -> Self {
        let hub = Hub::recover(limits, credentials, recovered, [7; 32], now);
        let (asked, commits, loads, written, salted) = Default::default();
        let mut rig = Self { hub, now, opened: 0, asked, commits, loads, written, salted };
        rig.end_turn();
        rig
    }

    /// Tells the hub, in a turn of its own.
    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.hub.handle_input(self.now, input);
        self.end_turn();
    }

    fn end_turn(&mut self) {
        self.hub.handle_timeout(self.now);
        while let Some(effect) = self.hub.poll_output() {
            match effect {
                Effect::Derive { name, job, password, salt, iterations } => {
                    let verifier = Verifier::derive(password.expose(), &salt, iterations);
                    self.asked.push_back((name.to_string(), job, verifier));
                }
                Effect::Commit { batch, operations } => self.commits.push_back((batch, operations)),
                Effect::Load { conn, .. } => self.loads.push_back(conn),
                _ => {}
            }
        }
    }

    /// Answers for every batch that was to be made durable, until there is none, and shows what was in them.
    pub(crate) fn settle(&mut self, durable: bool) -> Vec<StoreOperation> {
        let mut all = Vec::new();
        while let Some((batch, operations)) = self.commits.pop_front() {
            if durable {
                self.written.extend(operations.clone());
            }
            self.input(Input::Committed { batch, durable });
            all.extend(operations);
        }
        all
    }

    /// Answers for the first mailbox that is to be read.
    pub(crate) fn load(&mut self, page: MailboxPage) {
        let conn = self.loads.pop_front().unwrap();
        self.input(Input::Loaded { conn, page: Some(page) });
    }

    /// The other side is gone.
    pub(crate) fn lose(&mut self, conn: ConnId) {
        self.input(Input::Closed { conn });
    }

    /// Connections that the hub names as having something to send.
    pub(crate) fn named(&mut self) -> Vec<ConnId> {
        let mut named = Vec::new();
        for lane in [Lane::Direct, Lane::Bulk] {
            named.extend(std::iter::from_fn(|| self.hub.next_dirty(lane)));
        }
        named
    }

    pub(crate) fn derive_one(&mut self) {
        let (name, job, verifier) = self.asked.pop_front().expect("a derivation");
        self.input(Input::Derived { name: name.as_str().into(), job, verifier });
    }

    pub(crate) fn derive_all(&mut self) {
        while !self.asked.is_empty() {
            self.derive_one();
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.now.mono = self.now.mono.after(span);
        self.now.wall.0 = self.now.wall.0.saturating_add(u64::try_from(span.as_millis()).unwrap());
        self.end_turn();
    }

    /// A connection that says nothing.
    pub(crate) fn connect(&mut self, peer: &str) -> ConnId {
        let conn = ConnId { index: self.opened, generation: 0 };
        self.opened += 1;
        self.input(Input::Opened { conn, peer: peer.parse().unwrap() });
        conn
    }

    /// Sends one frame and takes what the hub has for that connection: the bodies of its frames.
    pub(crate) fn say(&mut self, conn: ConnId, frame: &ClientFrame<'_>) -> Vec<String> {
        self.throw(conn, frame.encode().as_bytes());
        self.heard(conn)
    }

    /// Sends bytes as they are.
    pub(crate) fn throw(&mut self, conn: ConnId, bytes: &[u8]) {
        self.input(Input::Received { conn, bytes });
    }

    /// Sends bytes on many connections, all in one turn.
    pub(crate) fn throw_all(&mut self, said: &[(ConnId, &[u8])]) {
        for &(conn, bytes) in said {
            self.hub.handle_input(self.now, Input::Received { conn, bytes });
        }
        self.end_turn();
    }

    /// Sends bytes and closes, all in one turn.
    pub(crate) fn throw_and_hang_up(&mut self, conn: ConnId, bytes: &[u8]) {
        self.hub.handle_input(self.now, Input::Received { conn, bytes });
        self.input(Input::Closed { conn });
    }

    /// Whether the hub wants another turn at once.
    pub(crate) fn is_due(&self) -> bool {
        self.hub.poll_timeout().is_some_and(|at| at <= self.now.mono)
    }

    /// The next connection that has something to send.
    pub(crate) fn next_dirty(&mut self, lane: Lane) -> Option<ConnId> {
        self.hub.next_dirty(lane)
    }

    /// How much the hub keeps for that connection.
    pub(crate) fn waiting_len(&self, conn: ConnId) -> usize {
        self.hub.waiting_len_of(conn)
    }

    /// The first `len_max` bytes that wait for that connection leave.
    pub(crate) fn fetch(&mut self, conn: ConnId, len_max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.hub.gather(conn, &mut bytes, len_max);
        self.input(Input::Sent { conn, len: bytes.len() });
        bytes
    }

    /// What the hub has for that connection.
    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<String> {
        let bytes = self.fetch(conn, usize::MAX);
        let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
        bodies(&bytes).into_iter().map(text).collect()
    }

    pub(crate) fn challenged(&mut self, peer: &str, name: &str) -> Challenged {
        let conn = self.connect(peer);
        let mut heard = self.say(conn, &ClientFrame::Hello { version: 1 });
        let (first, client_first) = client::ClientFirst::new(name, Nonce::new([1; NONCE_RANDOM_LEN]), None);
        let mechanism = Mechanism::Sha256;
        let auth = ClientFrame::Auth { mechanism, key: key(conn.index), client_first: &client_first };
        let answer = self.say(conn, &auth);
        let [frame] = answer.as_slice() else { panic!("{answer:?}") };
        let server_first = frame.strip_prefix("challenge\n").expect(frame);
        heard.push(server_first.to_owned());
        Challenged { conn, challenge: first.read_challenge(server_first).unwrap(), heard }
    }

    /// Proves a password; returns the connection and everything heard on it.
    pub(crate) fn prove(&mut self, login: Challenged, password: &str) -> (ConnId, Vec<String>) {
        let Challenged { conn, challenge, mut heard } = login;
        let salted = self
            .salted
            .entry((password.to_owned(), challenge.salt().to_owned()))
            .or_insert_with(|| SaltedPassword::derive(password, challenge.salt(), challenge.iterations()));
        let (_, client_final) = challenge.answer(salted);
        heard.extend(self.say(conn, &ClientFrame::Proof { client_final: &client_final }));
        (conn, heard)
    }

    pub(crate) fn attempt(&mut self, peer: &str, name: &str, password: &str) -> Vec<String> {
        let login = self.challenged(peer, name);
        self.prove(login, password).1
    }

    /// An attempt's verdict.
    pub(crate) fn verdict(&mut self, peer: &str, name: &str, password: &str) -> String {
        verdict(&self.attempt(peer, name, password))
    }

    pub(crate) fn log_in(&mut self, name: &str) -> ConnId {
        self.log_in_from("127.0.0.1", name)
    }

    pub(crate) fn log_in_from(&mut self, peer: &str, name: &str) -> ConnId {
        let login = self.challenged(peer, name);
        let (conn, heard) = self.prove(login, RIGHT);
        assert!(verdict(&heard).starts_with("welcome "), "{heard:?}");
        conn
    }
}

/// The bodies of whole frames.
pub(crate) fn bodies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = FrameDecoder::new(FRAME_LEN_MAX);
    decoder.push(bytes);
    let mut bodies = Vec::new();
    while let Some(body) = decoder.next_body().unwrap() {
        bodies.push(body.to_vec());
    }
    assert_eq!(decoder.buffered_len(), 0, "whole frames");
    bodies
}
