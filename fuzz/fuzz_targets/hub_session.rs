//! Two users and a stranger say anything to the hub: it never panics, and each of them hears nothing but whole frames
//! in their states, nothing behind a `goodbye`, and of a relay nothing before it stands or behind its end.
//!
//! Input: steps. A step is a byte of what to do (bits 0 and 1: which connection, 3: time passes; bit 2: the bytes are
//! the body of a frame, not raw; bits 3 to 7: how much time, in quarters of a second), a byte of how many bytes, the
//! bytes. In a body, 32 question marks stand for the last ticket that anyone was told of: it cannot be guessed.
#![no_main]

use core::net::{IpAddr, Ipv4Addr};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use libfuzzer_sys::fuzz_target;
use protocol::{
    ClientFrame, Frame, FrameDecoder, ServerFrame, State, TicketId, Username,
    limits::FRAME_LEN_MAX,
    scram::{Iterations, Mechanism, NONCE_RANDOM_LEN, Nonce, SaltedPassword, Verifier, client},
    time::{MonoMs, Now, UnixMs},
};
use server::hub::{
    ConnId, Credential, Effect, Hub, Input, Lane, Limits, MailboxPage, StoreOperation, StoredMessage,
};

const SALT: [u8; 16] = *b"salt of the test";

static SALTED: LazyLock<SaltedPassword> = LazyLock::new(|| {
    SaltedPassword::derive("pencil", &SALT, Iterations::new(4_096).expect("the least allowed"))
});
static VERIFIER: LazyLock<Verifier> =
    LazyLock::new(|| Verifier::derive("pencil", &SALT, Iterations::new(4_096).expect("the least allowed")));

fuzz_target!(|input: &[u8]| {
    let mut room = Room::new();
    room.log_in(0, "ada");
    room.log_in(1, "alan");
    let mut rest = input;
    while let [step, len, behind @ ..] = rest {
        let (bytes, behind) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = behind;
        let conn = usize::from(step % 4);
        room.now_ms += u64::from(step / 8) * 250;
        if conn == room.people.len() {
            room.settle();
        } else if step & 4 == 0 {
            room.hear(conn, bytes);
        } else {
            let body = room.with_ticket(bytes);
            room.hear(conn, Frame::from_body(&body).as_bytes());
        }
    }
    room.now_ms += 1_000_000;
    room.settle();
});

/// What one connection has heard so far.
struct Person {
    open: bool,
    decoder: FrameDecoder,
    state: State,
    said_goodbye: bool,
    challenge: Option<String>,
    relays: BTreeSet<TicketId>,
}

struct Room {
    hub: Hub,
    now_ms: u64,
    people: Vec<Person>,
    store: Vec<(Username, StoredMessage)>,
    last_ticket: Option<TicketId>,
}

fn conn_id(index: usize) -> ConnId {
    ConnId { index: u32::try_from(index).expect("three people"), generation: 0 }
}

impl Room {
    fn new() -> Self {
        let credential = || Credential::Verifier(VERIFIER.clone());
        let names = ["ada", "alan", "grace"];
        let credentials: BTreeMap<Username, Credential> =
            names.iter().map(|name| (name.parse().expect("a name"), credential())).collect();
        let hub = Hub::new(Limits::default(), credentials, [7; 32], Now::default());
        let person = || Person {
            open: true,
            decoder: FrameDecoder::new(FRAME_LEN_MAX),
            state: State::Greeting,
            said_goodbye: false,
            challenge: None,
            relays: BTreeSet::new(),
        };
        let people = (0..3).map(|_| person()).collect();
        let mut room = Self { hub, now_ms: 0, people, store: Vec::new(), last_ticket: None };
        for index in 0..room.people.len() {
            let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
            room.hub.handle_input(room.now(), Input::Opened { conn: conn_id(index), peer });
        }
        room.settle();
        room
    }

    fn now(&self) -> Now {
        Now { mono: MonoMs(self.now_ms), wall: UnixMs(self.now_ms) }
    }

    fn log_in(&mut self, index: usize, name: &str) {
        self.hear(index, ClientFrame::Hello { version: 1 }.encode().as_bytes());
        let (first, client_first) = client::ClientFirst::new(name, Nonce::new([1; NONCE_RANDOM_LEN]), None);
        let auth = ClientFrame::Auth {
            mechanism: Mechanism::Sha256,
            key: protocol::Fingerprint([7; 32]),
            client_first: &client_first,
        };
        self.hear(index, auth.encode().as_bytes());
        let server_first = self.people[index].challenge.take().expect("a challenge");
        let challenge = first.read_challenge(&server_first).expect("a good challenge");
        let (_, client_final) = challenge.answer(&SALTED);
        self.hear(index, ClientFrame::Proof { client_final: &client_final }.encode().as_bytes());
        assert_eq!(self.people[index].state, State::Chat);
    }

    fn with_ticket(&self, body: &[u8]) -> Vec<u8> {
        const MARK: &[u8] = &[b'?'; 32];
        let at = body.windows(MARK.len()).position(|window| window == MARK);
        match at.zip(self.last_ticket) {
            Some((at, ticket)) => {
                let (before, rest) = body.split_at(at);
                [before, ticket.to_string().as_bytes(), &rest[MARK.len()..]].concat()
            }
            None => body.to_vec(),
        }
    }

    fn hear(&mut self, index: usize, bytes: &[u8]) {
        if self.people[index].open {
            self.hub.handle_input(self.now(), Input::Received { conn: conn_id(index), bytes });
        }
        self.settle();
    }

    /// A few turns of the shell.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.hub.handle_timeout(self.now());
            while let Some(effect) = self.hub.poll_output() {
                self.carry_out(effect);
            }
            for lane in [Lane::Direct, Lane::Bulk] {
                while let Some(conn) = self.hub.next_dirty(lane) {
                    self.flush(conn);
                }
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Close { conn } => self.people[conn.index as usize].open = false,
            Effect::Derive { name, job, .. } => {
                let verifier = VERIFIER.clone();
                self.hub.handle_input(self.now(), Input::Derived { name, job, verifier });
            }
            Effect::Commit { batch, operations } => {
                for operation in operations {
                    match operation {
                        StoreOperation::Keep { to, message, .. } => self.store.push((to, message)),
                        StoreOperation::Drop { sequence, .. } => {
                            self.store.retain(|(_, m)| m.sequence != sequence)
                        }
                        _ => {}
                    }
                }
                self.hub.handle_input(self.now(), Input::Committed { batch, durable: true });
            }
            Effect::Load { conn, user, after, .. } => {
                let waiting = self.store.iter().filter(|(to, m)| *to == user && m.sequence > after);
                let messages: Vec<_> = waiting.map(|(_, message)| message.clone()).collect();
                let page = Some(MailboxPage { messages, more: false });
                self.hub.handle_input(self.now(), Input::Loaded { conn, page });
            }
            Effect::Read { .. } | Effect::EndWriting { .. } | Effect::Stopped => {}
        }
    }

    fn flush(&mut self, conn: ConnId) {
        let mut bytes = Vec::new();
        self.hub.gather(conn, &mut bytes, usize::MAX);
        self.hub.handle_input(self.now(), Input::Sent { conn, len: bytes.len() });
        assert!(self.hub.waiting_len_of(conn) <= self.hub.waiting_len());
        let person = &mut self.people[conn.index as usize];
        assert!(person.open, "bytes for a connection that is closed");
        person.decoder.push(&bytes);
        while let Some(body) = person.decoder.next_body().expect("frames") {
            assert!(!person.said_goodbye, "a frame behind a goodbye: {}", String::from_utf8_lossy(body));
            let frame = ServerFrame::decode(body, person.state);
            match frame
                .unwrap_or_else(|e| panic!("{e} in {:?}: {}", person.state, String::from_utf8_lossy(body)))
            {
                ServerFrame::Hello { .. } => person.state = State::Login,
                ServerFrame::Challenge { server_first } => person.challenge = Some(server_first.to_owned()),
                ServerFrame::Welcome { .. } => person.state = State::Chat,
                ServerFrame::Goodbye { .. } => person.said_goodbye = true,
                ServerFrame::Ticket { ticket, .. } => self.last_ticket = Some(ticket),
                ServerFrame::Relay { ticket, .. } => assert!(person.relays.insert(ticket)),
                ServerFrame::Carry { ticket, .. } | ServerFrame::Credit { ticket, .. } => {
                    assert!(person.relays.contains(&ticket));
                }
                ServerFrame::RelayEnd { ticket } => {
                    person.relays.remove(&ticket);
                }
                _ => {}
            }
        }
        assert_eq!(person.decoder.buffered_len(), 0, "whole frames only");
    }
}
