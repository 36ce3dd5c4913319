//! A hub with two accounts, `ada` and `grace`, or with more, and people who talk to it frame by frame.

use core::net::IpAddr;
use std::collections::BTreeMap;

use protocol::{
    ClientFrame, Fingerprint, FrameDecoder, ServerFrame, State,
    limits::FRAME_LEN_MAX,
    scram::{Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client},
    time::{MonoMs, Now, UnixMs},
};
use server::hub::{ConnId, Credential, Effect, Hub, Input, Lane, Limits, StoreOperation};

const SALT: &[u8] = b"salt of the test";

pub(crate) struct Rig {
    pub(crate) hub: Hub,
    salted: SaltedPassword,
    now: Now,
    /// What the hub wanted to be made durable, and was not told of yet.
    commits: Vec<(u64, Vec<StoreOperation>)>,
}

/// The key that the client at this index names.
pub(crate) fn key(index: u32) -> Fingerprint {
    Fingerprint::of_key(&index.to_be_bytes())
}

impl Rig {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with(limits, ["ada", "grace"])
    }

    /// A hub with these accounts.
    pub(crate) fn with<'a>(limits: Limits, names: impl IntoIterator<Item = &'a str>) -> Self {
        let iterations = Iterations::new(4_096).unwrap();
        let verifier = Verifier::derive("pencil", SALT, iterations);
        let credentials: BTreeMap<_, _> = names
            .into_iter()
            .map(|name| (name.parse().unwrap(), Credential::Verifier(verifier.clone())))
            .collect();
        let now = Now { mono: MonoMs(0), wall: UnixMs(0) };
        let salted = SaltedPassword::derive("pencil", SALT, iterations);
        Self { hub: Hub::new(limits, credentials, [7; 32], now), salted, now, commits: Vec::new() }
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
        self.connect_from(index, "127.0.0.1")
    }

    pub(crate) fn connect_from(&mut self, index: u32, peer: &str) -> ConnId {
        let conn = ConnId { index, generation: 0 };
        let peer: IpAddr = peer.parse().unwrap();
        self.hub.handle_input(self.now, Input::Opened { conn, peer });
        conn
    }

    /// The other side is gone.
    pub(crate) fn lose(&mut self, conn: ConnId) {
        self.hub.handle_input(self.now, Input::Closed { conn });
        self.drain();
    }

    /// What the hub keeps for that connection, untouched.
    pub(crate) fn waiting_len(&mut self, conn: ConnId) -> usize {
        self.drain();
        self.hub.waiting_len_of(conn)
    }

    /// Ends a turn, and leaves what is to be made durable for [`Rig::settle`].
    pub(crate) fn drain(&mut self) {
        while let Some(effect) = self.hub.poll_output() {
            if let Effect::Commit { batch, operations } = effect {
                self.commits.push((batch, operations));
            }
        }
    }

    /// Answers for everything that was to be made durable, and shows it.
    pub(crate) fn settle(&mut self, durable: bool) -> Vec<StoreOperation> {
        self.drain();
        let mut all = Vec::new();
        for (batch, operations) in std::mem::take(&mut self.commits) {
            self.hub.handle_input(self.now, Input::Committed { batch, durable });
            all.extend(operations);
        }
        self.drain();
        all
    }

    /// The first `len_max` bytes that wait for that connection leave.
    pub(crate) fn fetch(&mut self, conn: ConnId, len_max: usize) -> Vec<u8> {
        self.drain();
        let mut bytes = Vec::new();
        self.hub.gather(conn, &mut bytes, len_max);
        self.hub.handle_input(self.now, Input::Sent { conn, len: bytes.len() });
        self.drain();
        bytes
    }

    /// Connections that the hub names as having something to send.
    pub(crate) fn named(&mut self) -> Vec<ConnId> {
        self.drain();
        let mut named = Vec::new();
        for lane in [Lane::Direct, Lane::Bulk] {
            named.extend(std::iter::from_fn(|| self.hub.next_dirty(lane)));
        }
        named
    }

    /// What the hub has for that connection.
    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<String> {
        let bytes = self.fetch(conn, usize::MAX);
        let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
        bodies(&bytes).into_iter().map(text).collect()
    }

    pub(crate) fn log_in(&mut self, index: u32, name: &str) -> ConnId {
        self.log_in_from(index, name, "127.0.0.1")
    }

    pub(crate) fn log_in_from(&mut self, index: u32, name: &str, peer: &str) -> ConnId {
        let conn = self.connect_from(index, peer);
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
