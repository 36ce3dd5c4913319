//! A hub with two accounts, `ada` and `grace`, and people who talk to it frame by frame.

use std::collections::{BTreeMap, VecDeque};

use protocol::{
    ClientFrame, Fingerprint, FrameDecoder, ServerFrame, State,
    limits::FRAME_LEN_MAX,
    scram::{Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client},
    time::{MonoMs, Now, UnixMs},
};
use server::hub::{ConnId, Credential, Effect, Hub, Input, Limits, MailboxPage, Recovered, StoreOperation};

const SALT: &[u8] = b"salt of the test";

pub(crate) struct Rig {
    hub: Hub,
    salted: SaltedPassword,
    now: Now,
    batches: VecDeque<(u64, Vec<StoreOperation>)>,
    /// Whose waiting messages are to be read.
    loads: VecDeque<ConnId>,
    /// Everything that the store has taken.
    pub(crate) written: Vec<StoreOperation>,
}

/// The key that the client at this index names.
pub(crate) fn key(index: u32) -> Fingerprint {
    Fingerprint::of_key(&index.to_be_bytes())
}

impl Rig {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::recover(limits, Recovered::empty([7; 32]))
    }

    /// With what a store holds.
    pub(crate) fn recover(limits: Limits, recovered: Recovered) -> Self {
        Self::recover_at(limits, recovered, UnixMs(0))
    }

    /// The same at a time of the wall clock. The monotonic one has nothing to do with the last process's.
    pub(crate) fn recover_at(limits: Limits, recovered: Recovered, wall: UnixMs) -> Self {
        let iterations = Iterations::new(4_096).unwrap();
        let verifier = Verifier::derive("pencil", SALT, iterations);
        let credentials: BTreeMap<_, _> = ["ada", "grace"]
            .map(|name| (name.parse().unwrap(), Credential::Verifier(verifier.clone())))
            .into_iter()
            .collect();
        let now = Now { mono: MonoMs(100_000_000), wall };
        let salted = SaltedPassword::derive("pencil", SALT, iterations);
        let hub = Hub::recover(limits, credentials, recovered, [7; 32], now);
        let (batches, loads, written) = Default::default();
        Self { hub, salted, now, batches, loads, written }
    }

    pub(crate) fn now(&self) -> Now {
        self.now
    }

    /// Somebody sets the clock.
    pub(crate) fn jump_wall(&mut self, ms: u64) {
        self.now.wall.0 += ms;
    }

    /// The store answers for every batch that it is given, until it is given none.
    pub(crate) fn settle(&mut self, durable: bool) {
        self.drain();
        while let Some((batch, operations)) = self.batches.pop_front() {
            if durable {
                self.written.extend(operations);
            }
            self.hub.handle_input(self.now, Input::Committed { batch, durable });
            self.drain();
        }
    }

    /// The store answers for the one mailbox that is to be read.
    pub(crate) fn load(&mut self, page: MailboxPage) {
        self.drain();
        let conn = self.loads.pop_front().unwrap();
        self.hub.handle_input(self.now, Input::Loaded { conn, page: Some(page) });
    }

    fn drain(&mut self) {
        while let Some(effect) = self.hub.poll_output() {
            match effect {
                Effect::Commit { batch, operations } => self.batches.push_back((batch, operations)),
                Effect::Load { conn, .. } => self.loads.push_back(conn),
                _ => {}
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn pass_ms(&mut self, ms: u64) {
        self.now.mono.0 += ms;
        self.now.wall.0 += ms;
        self.hub.handle_timeout(self.now);
    }

    /// Sends one frame and takes what the hub has for that connection: the bodies of its frames.
    pub(crate) fn say(&mut self, conn: ConnId, frame: &ClientFrame<'_>) -> Vec<String> {
        self.hub.handle_input(self.now, Input::Received { conn, bytes: frame.encode().as_bytes() });
        self.heard(conn)
    }

    /// Sends bytes as they are.
    pub(crate) fn throw(&mut self, conn: ConnId, bytes: &[u8]) {
        self.hub.handle_input(self.now, Input::Received { conn, bytes });
    }

    /// A connection that says nothing.
    pub(crate) fn connect(&mut self, index: u32) -> ConnId {
        let conn = ConnId { index, generation: 0 };
        self.hub.handle_input(self.now, Input::Opened { conn, peer: "127.0.0.1".parse().unwrap() });
        conn
    }

    /// What the hub keeps for that connection, untouched.
    pub(crate) fn waiting_len(&mut self, conn: ConnId) -> usize {
        self.drain();
        self.hub.waiting_len_of(conn)
    }

    /// What the hub has for that connection.
    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<String> {
        self.drain();
        let mut bytes = Vec::new();
        self.hub.gather(conn, &mut bytes, usize::MAX);
        self.hub.handle_input(self.now, Input::Sent { conn, len: bytes.len() });
        self.drain();
        let mut decoder = FrameDecoder::new(FRAME_LEN_MAX);
        decoder.push(&bytes);
        let mut bodies = Vec::new();
        while let Some(body) = decoder.next_body().unwrap() {
            bodies.push(String::from_utf8(body.to_vec()).unwrap());
        }
        bodies
    }

    pub(crate) fn log_in(&mut self, index: u32, name: &str) -> ConnId {
        let verdict = self.try_password(index, name, true);
        assert!(verdict.starts_with("welcome "), "{verdict:?}");
        ConnId { index, generation: 0 }
    }

    /// The hub's answer to a right or a wrong password.
    pub(crate) fn try_password(&mut self, index: u32, name: &str, right: bool) -> String {
        let (first, server_first) = self.challenge(index, name);
        let challenge = first.read_challenge(&server_first).unwrap();
        let wrong = SaltedPassword::derive("stencil", SALT, Iterations::new(4_096).unwrap());
        let (_, client_final) = challenge.answer(if right { &self.salted } else { &wrong });
        let conn = ConnId { index, generation: 0 };
        self.say(conn, &ClientFrame::Proof { client_final: &client_final }).remove(0)
    }

    /// The salt that somebody with that name is told.
    pub(crate) fn salt_of(&mut self, name: &str) -> String {
        let (_, server_first) = self.challenge(0, name);
        server_first.split(',').find(|part| part.starts_with("s=")).unwrap().to_owned()
    }

    fn challenge(&mut self, index: u32, name: &str) -> (client::ClientFirst, String) {
        let conn = self.connect(index);
        self.say(conn, &ClientFrame::Hello { version: 1 });
        let (first, client_first) = client::ClientFirst::new(name, Nonce::new([1; NONCE_RANDOM_LEN]), None);
        let mechanism = Mechanism::Sha256;
        let auth = ClientFrame::Auth { mechanism, key: key(index), client_first: &client_first };
        let challenge = self.say(conn, &auth).remove(0);
        let Ok(ServerFrame::Challenge { server_first }) =
            ServerFrame::decode(challenge.as_bytes(), State::Login)
        else {
            panic!("{challenge}")
        };
        (first, server_first.to_owned())
    }
}
