//! Programs that speak to the server and mean no good.

use protocol::{
    ChunkIndex, ChunkSet, ClientFrame, FileId, Frame, FrameDecoder, MessageId, Purpose, RequestId,
    ServerFrame, State, TicketId, Username,
    limits::FRAME_LEN_MAX,
    scram::{Mechanism, Nonce, SaltedPassword, client as scram},
};

use crate::{
    dice::Dice,
    net::{Actor, CableId, Net, Read, Side, Written},
    people,
};

/// The longest text that a hostile program sends.
pub(crate) const TEXT_LEN_MAX: usize = 1_400;
/// Of the word that those texts are made of.
const COMMAND_LEN: usize = "message".len();

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trade {
    /// Random bytes.
    Noise,
    /// Begins a frame and stops.
    HalfFrame,
    /// Right frames at the wrong time.
    WrongState,
    /// A byte now and then.
    Drip,
    /// Logs in and asks for thousands of things at once.
    Flood { reads: bool },
    /// Connects and goes.
    ComeAndGo,
}

#[derive(Debug)]
pub(crate) struct Hostile {
    id: u32,
    trade: Trade,
    cable: Option<CableId>,
    waiting: Vec<u8>,
    sent_len: usize,
    decoder: FrameDecoder,
    login: Login,
    account: Option<Username>,
    next_byte_at_ms: u64,
    ends_at_ms: u64,
}

enum Login {
    None,
    First(scram::ClientFirst),
    Proven,
    Done,
}

impl core::fmt::Debug for Login {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Login")
    }
}

impl Hostile {
    pub(crate) fn start(id: u32, net: &mut Net, victims: &[Username]) -> (Self, CableId) {
        let trade = match net.dice.below(10) {
            0 => Trade::Noise,
            1 => Trade::HalfFrame,
            2 => Trade::WrongState,
            3 => Trade::Drip,
            4 => Trade::ComeAndGo,
            5 | 6 => Trade::Flood { reads: false },
            _ => Trade::Flood { reads: true },
        };
        let cable = net.connect(Actor::Hostile(id));
        net.note(format_args!("hostile {id}: {trade:?} over cable {cable}"));
        let mut hostile = Self {
            id,
            trade,
            cable: Some(cable),
            waiting: Vec::new(),
            sent_len: 0,
            decoder: FrameDecoder::new(FRAME_LEN_MAX),
            login: Login::None,
            account: None,
            next_byte_at_ms: net.now_ms,
            ends_at_ms: net.now_ms + net.dice.skewed(0, 60_000),
        };
        hostile.open(&mut net.dice, victims);
        net.wake(net.now_ms, Actor::Hostile(id));
        (hostile, cable)
    }

    fn open(&mut self, dice: &mut Dice, victims: &[Username]) {
        let hello = ClientFrame::Hello { version: 1 };
        match self.trade {
            Trade::Noise => {
                let len = dice.skewed_size(1, 4_000);
                self.waiting = (0..len).map(|_| u8::try_from(dice.below(256)).unwrap_or(0)).collect();
            }
            Trade::HalfFrame => self.waiting = vec![0, 0, 3, 0, b'h', b'e', b'l'],
            Trade::WrongState => {
                if dice.chance(700) {
                    self.send(&hello);
                }
                for _ in 0..dice.size(1, 4) {
                    let bytes = frame(dice, victims, 1);
                    self.waiting.extend(bytes);
                }
            }
            Trade::Drip => {
                self.send(&hello);
                self.send(&ClientFrame::Ping);
                self.send(&ClientFrame::Auth {
                    mechanism: Mechanism::Sha256,
                    key: protocol::Fingerprint([0; 32]),
                    client_first: "n,,n=ada,r=abc",
                });
            }
            Trade::Flood { .. } => {
                self.send(&hello);
                let names = people::hostile_names();
                if let Some(name) = dice.pick(&names) {
                    let nonce = Nonce::new(first_18(dice.seed()));
                    let (first, client_first) = scram::ClientFirst::new(name.as_str(), nonce, None);
                    self.send(&ClientFrame::Auth {
                        mechanism: Mechanism::Sha256,
                        key: protocol::Fingerprint([0; 32]),
                        client_first: &client_first,
                    });
                    self.login = Login::First(first);
                    self.account = Some(name.clone());
                }
            }
            Trade::ComeAndGo => self.ends_at_ms = 0,
        }
    }

    /// False when it is over.
    pub(crate) fn turn(&mut self, net: &mut Net, victims: &[Username], is_calm: bool) -> bool {
        if self.ends_at_ms <= net.now_ms || is_calm {
            self.hang_up(net);
        }
        if !matches!(self.login, Login::Done) || self.trade == (Trade::Flood { reads: true }) {
            self.read(net, victims);
        }
        self.write(net);
        if self.cable.is_none() {
            net.note(format_args!("hostile {}: is gone", self.id));
            return false;
        }
        net.wake(self.ends_at_ms, Actor::Hostile(self.id));
        true
    }

    fn hang_up(&mut self, net: &mut Net) {
        if let Some(cable) = self.cable.take() {
            if net.dice.chance(200) {
                net.swallow(cable);
            }
            net.close(cable, Side::Client);
        }
    }

    fn read(&mut self, net: &mut Net, victims: &[Username]) {
        let Some(cable) = self.cable else { return };
        match net.read(cable, Side::Client, 64 * 1024) {
            Read::Nothing => {}
            Read::Ended => self.hang_up(net),
            Read::Bytes(bytes) => {
                if matches!(self.login, Login::First(_) | Login::Proven) {
                    self.decoder.push(&bytes);
                    self.log_in(net, victims);
                } else if matches!(self.login, Login::Done) {
                    self.decoder.push(&bytes);
                    self.answer(&mut net.dice);
                }
                if net.is_readable(cable, Side::Client) {
                    net.wake(net.now_ms, Actor::Hostile(self.id));
                }
            }
        }
    }

    fn log_in(&mut self, net: &mut Net, victims: &[Username]) {
        while let Ok(Some(body)) = self.decoder.next_body() {
            let states = [State::Greeting, State::Login];
            match states.iter().find_map(|&state| ServerFrame::decode(body, state).ok()) {
                Some(ServerFrame::Challenge { server_first }) => {
                    let Login::First(first) = core::mem::replace(&mut self.login, Login::Proven) else {
                        return;
                    };
                    let Ok(challenge) = first.read_challenge(server_first) else { return };
                    let is_wrong = net.dice.chance(200);
                    let password = self.account.as_ref().filter(|_| !is_wrong).map(people::password);
                    let password = password.unwrap_or_else(|| "guess".to_owned());
                    let salted = SaltedPassword::derive(&password, challenge.salt(), challenge.iterations());
                    let (_, client_final) = challenge.answer(&salted);
                    let proof = ClientFrame::Proof { client_final: &client_final }.encode();
                    self.waiting.extend_from_slice(proof.as_bytes());
                }
                Some(ServerFrame::Welcome { .. }) => {
                    self.login = Login::Done;
                    for request in 0..net.dice.skewed(50, 4_000) {
                        let request = u32::try_from(request).unwrap_or(0);
                        let bytes = frame(&mut net.dice, victims, request);
                        self.waiting.extend(bytes);
                    }
                    return;
                }
                _ => {}
            }
        }
    }

    /// Makes use of tickets and relays, rightly and wrongly.
    fn answer(&mut self, dice: &mut Dice) {
        while let Ok(Some(body)) = self.decoder.next_body() {
            let frame = match ServerFrame::decode(body, State::Chat) {
                Ok(ServerFrame::Ticket { ticket, .. }) if dice.chance(100) => {
                    ClientFrame::DialBack { ticket }
                }
                Ok(ServerFrame::Ticket { ticket, .. } | ServerFrame::Expect { ticket, .. }) => {
                    ClientFrame::Relay { ticket }
                }
                Ok(ServerFrame::Relay { ticket, .. } | ServerFrame::Carry { ticket, .. })
                    if dice.chance(20) =>
                {
                    ClientFrame::RelayEnd { ticket }
                }
                Ok(ServerFrame::Relay { ticket, credit } | ServerFrame::Credit { ticket, credit }) => {
                    let most = usize::try_from(credit).unwrap_or(1).min(TEXT_LEN_MAX);
                    let len = dice.size(1, most) + usize::from(dice.chance(20));
                    self.waiting.extend_from_slice(carry(ticket, len).as_bytes());
                    continue;
                }
                Ok(ServerFrame::Carry { ticket, .. }) => {
                    self.waiting.extend_from_slice(carry(ticket, 1).as_bytes());
                    continue;
                }
                _ => continue,
            };
            self.waiting.extend_from_slice(frame.encode().as_bytes());
        }
    }

    fn write(&mut self, net: &mut Net) {
        let Some(cable) = self.cable else { return };
        if self.trade == Trade::Drip {
            if self.next_byte_at_ms > net.now_ms {
                return;
            }
            self.next_byte_at_ms = net.now_ms + 700;
            net.wake(self.next_byte_at_ms, Actor::Hostile(self.id));
        }
        loop {
            let mut rest = self.waiting.get(self.sent_len..).unwrap_or_default();
            if self.trade == Trade::Drip {
                rest = rest.get(..1).unwrap_or_default();
            }
            if rest.is_empty() {
                return;
            }
            match net.write(cable, Side::Client, rest) {
                Written::Took(len) => self.sent_len += len,
                Written::Full => return,
                Written::Broken => return self.hang_up(net),
            }
            if self.trade == Trade::Drip {
                return;
            }
        }
    }

    fn send(&mut self, frame: &ClientFrame<'_>) {
        self.waiting.extend_from_slice(frame.encode().as_bytes());
    }
}

/// Any frame of a logged-in client.
fn frame(dice: &mut Dice, victims: &[Username], request: u32) -> Vec<u8> {
    let Some(victim) = dice.pick(victims).cloned() else { return Vec::new() };
    // Now and then a number or an id comes again.
    let request = RequestId(if dice.chance(50) { request / 2 } else { request });
    let id = MessageId(u128::from(if dice.chance(50) { dice.below(10) } else { dice.next() }));
    let text = "message".repeat(dice.skewed_size(1, TEXT_LEN_MAX / COMMAND_LEN));
    if dice.chance(300) {
        return peer_frame(dice, victim, request).as_bytes().to_vec();
    }
    let frame = match dice.below(10) {
        0..3 => ClientFrame::Message { request, to: victim, id, text: &text },
        3..5 => ClientFrame::Broadcast { request, id, text: &text },
        5 => ClientFrame::WhoElse { request },
        6 => ClientFrame::Block { request, user: victim },
        7 => ClientFrame::Unblock { request, user: victim },
        8 => ClientFrame::Ack { from: victim, id },
        _ => ClientFrame::BlockList { request },
    };
    frame.encode().as_bytes().to_vec()
}

/// Any frame with which clients find each other and their files.
fn peer_frame(dice: &mut Dice, victim: Username, request: RequestId) -> Frame {
    let number = u8::try_from(dice.below(4)).unwrap_or(0);
    let (file, chunks) = (FileId([number; 32]), 50 + u32::from(number));
    let name = format!("file {}", dice.below(6));
    // The other hostile account makes use of an invitation; the people's clients do not know them yet.
    let other = people::hostile_names();
    let user = dice.pick(&other).cloned().unwrap_or(victim);
    let frame = match dice.below(10) {
        0 | 1 => ClientFrame::Invite { request, user, purpose: Purpose::Files },
        2 => ClientFrame::Lookup { request, user },
        3 => ClientFrame::Reachable { addresses: vec![([10, 0, 0, number], 4_000).into(); 3] },
        4 => ClientFrame::Register { request, file, size: 5_000, chunks, name: &name },
        5 => ClientFrame::Unregister { request, name: &name },
        6 => ClientFrame::Files { request },
        7 => ClientFrame::Search { request, name: &name },
        8 => ClientFrame::Relay { ticket: TicketId(u128::from(dice.next())) },
        _ => {
            let mut held = ChunkSet::empty(chunks);
            for _ in 0..dice.below(50) {
                held.insert(ChunkIndex(u32::try_from(dice.below(60)).unwrap_or(0)));
            }
            return ClientFrame::Have { file, held: &held.encode() }.encode();
        }
    };
    frame.encode()
}

fn carry(ticket: TicketId, len: usize) -> Frame {
    ClientFrame::Carry { ticket, bytes: &vec![b'r'; len] }.encode()
}

fn first_18(seed: [u8; 32]) -> [u8; 18] {
    seed.first_chunk().copied().unwrap_or([7; 18])
}
