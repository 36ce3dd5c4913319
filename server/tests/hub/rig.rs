//! A hub with two accounts, `ada` and `grace`, and people who talk to it frame by frame.

use std::collections::BTreeMap;

use protocol::{
    ClientFrame, Fingerprint, FrameDecoder, ServerFrame, State,
    limits::FRAME_LEN_MAX,
    scram::{Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client},
    time::{MonoMs, Now, UnixMs},
};
use server::hub::{ConnId, Credential, Hub, Input, Limits};

const SALT: &[u8] = b"salt of the test";

pub(crate) struct Rig {
    hub: Hub,
    salted: SaltedPassword,
    now: Now,
}

/// The key that the client at this index names.
pub(crate) fn key(index: u32) -> Fingerprint {
    Fingerprint::of_key(&index.to_be_bytes())
}

impl Rig {
    pub(crate) fn new(limits: Limits) -> Self {
        let iterations = Iterations::new(4_096).unwrap();
        let verifier = Verifier::derive("pencil", SALT, iterations);
        let credentials: BTreeMap<_, _> = ["ada", "grace"]
            .map(|name| (name.parse().unwrap(), Credential::Verifier(verifier.clone())))
            .into_iter()
            .collect();
        let now = Now { mono: MonoMs(0), wall: UnixMs(0) };
        let salted = SaltedPassword::derive("pencil", SALT, iterations);
        Self { hub: Hub::new(limits, credentials, [7; 32], now), salted, now }
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
        while self.hub.poll_output().is_some() {}
        self.hub.waiting_len_of(conn)
    }

    /// What the hub has for that connection.
    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<String> {
        while self.hub.poll_output().is_some() {}
        let mut bytes = Vec::new();
        self.hub.gather(conn, &mut bytes, usize::MAX);
        self.hub.handle_input(self.now, Input::Sent { conn, len: bytes.len() });
        while self.hub.poll_output().is_some() {}
        let mut decoder = FrameDecoder::new(FRAME_LEN_MAX);
        decoder.push(&bytes);
        let mut bodies = Vec::new();
        while let Some(body) = decoder.next_body().unwrap() {
            bodies.push(String::from_utf8(body.to_vec()).unwrap());
        }
        bodies
    }

    pub(crate) fn log_in(&mut self, index: u32, name: &str) -> ConnId {
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
        let (_, client_final) = first.read_challenge(server_first).unwrap().answer(&self.salted);
        let welcome = self.say(conn, &ClientFrame::Proof { client_final: &client_final });
        assert!(welcome[0].starts_with("welcome "), "{welcome:?}");
        conn
    }
}
