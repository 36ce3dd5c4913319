//! Relays: who may open one, what comes out at the other end, and that nobody's chat waits for it.
//!
//! Threats: 22 and 23 (a slow receiver), 33 (quotas), 48 (whose ticket it is), 58 (more than was allowed).

use core::time::Duration;

use std::collections::BTreeSet;

use protocol::{
    ClientFrame, MessageId, RequestId, ServerFrame, State, TicketId,
    limits::{CARRY_LEN_MAX, TICKET_LIFE},
};
use server::hub::{ConnId, Limits};

use crate::{
    reach::invite,
    rig::{Rig, bodies},
};

/// A relay between ada and grace.
struct Relay {
    rig: Rig,
    ada: ConnId,
    grace: ConnId,
    ticket: TicketId,
}

impl Relay {
    fn open(limits: Limits) -> Self {
        let mut rig = Rig::of(limits, ["ada", "bo", "cyd", "grace"]);
        let (ada, grace) = (rig.log_in("ada"), rig.log_in("grace"));
        rig.heard(ada);
        let ticket = opened(&mut rig, ada, grace, "grace");
        Self { rig, ada, grace, ticket }
    }

    fn carry(&mut self, from: ConnId, bytes: &[u8]) {
        throw(&mut self.rig, from, &ClientFrame::Carry { ticket: self.ticket, bytes });
    }

    /// Everything that comes out at that end without any time passing.
    fn taken(&mut self, conn: ConnId) -> Taken {
        let mut bytes = Vec::new();
        loop {
            let more = self.rig.fetch(conn, usize::MAX);
            if more.is_empty() {
                return taken(&bytes);
            }
            bytes.extend(more);
        }
    }

    fn message(&mut self, n: u32) {
        let (request, id) = (RequestId(n), MessageId(n.into()));
        let text = "are you there?";
        let frame = ClientFrame::Message { request, to: "grace".parse().unwrap(), id, text };
        throw(&mut self.rig, self.ada, &frame);
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    carried: Vec<u8>,
    credit: u64,
    /// The bodies of other frames, the first word of each.
    others: Vec<String>,
}

fn taken(bytes: &[u8]) -> Taken {
    let mut taken = Taken::default();
    for body in bodies(bytes) {
        match ServerFrame::decode(&body, State::Chat).unwrap() {
            ServerFrame::Carry { bytes, .. } => taken.carried.extend(bytes),
            ServerFrame::Credit { credit, .. } => taken.credit += credit,
            _ => {
                let end = body.iter().position(|byte| b" \n".contains(byte)).unwrap_or(body.len());
                taken.others.push(String::from_utf8(body[..end].to_vec()).unwrap());
            }
        }
    }
    taken
}

fn throw(rig: &mut Rig, conn: ConnId, frame: &ClientFrame<'_>) {
    rig.throw(conn, frame.encode().as_bytes());
}

fn opened(rig: &mut Rig, from: ConnId, to: ConnId, name: &str) -> TicketId {
    let (ticket, _) = invite(rig, from, name);
    rig.heard(to);
    let credit = Limits::default().relay_credit;
    assert_eq!(rig.say(from, &ClientFrame::Relay { ticket }), [format!("relay {ticket} {credit}")]);
    assert_eq!(rig.heard(to), [format!("relay {ticket} {credit}")]);
    ticket
}

/// Bytes of which each says where it belongs.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn bytes_come_out_as_they_went_in_and_bring_their_credit_back() {
    let mut relay = Relay::open(Limits::default());
    let (ada, grace) = (relay.ada, relay.grace);
    let sent = pattern(3 * 64 * 1024 + 100);
    let (mut credit, mut rest) = (Limits::default().relay_credit, &sent[..]);
    let (mut came, mut n) = (Vec::new(), 0);
    while came.len() < sent.len() {
        n += 1;
        let (piece, behind) = rest.split_at(rest.len().min([1, 700, 5_000, CARRY_LEN_MAX][n % 4]));
        if !piece.is_empty() && piece.len() <= credit {
            relay.carry(ada, piece);
            credit -= piece.len();
            rest = behind;
        }
        came.extend(relay.taken(grace).carried);
        let given = relay.taken(ada);
        assert!(given.carried.is_empty() && given.others.is_empty());
        credit += usize::try_from(given.credit).unwrap();
        relay.rig.pass(Duration::from_millis(5));
    }
    assert!(came == sent);
    let withheld = Limits::default().relay_credit - credit;
    assert!(withheld < Limits::default().relay_credit / 4, "{withheld} bytes of credit are withheld");
    relay.carry(grace, b"and back");
    assert_eq!(relay.taken(ada).carried, b"and back");
}

#[test]
fn only_the_owner_of_a_ticket_that_is_out_opens_one() {
    let mut rig = Rig::of(Limits::default(), ["ada", "grace", "mallory"]);
    let (ada, grace, mallory) = (rig.log_in("ada"), rig.log_in("grace"), rig.log_in("mallory"));
    let (ticket, _) = invite(&mut rig, ada, "grace");
    let (late, _) = invite(&mut rig, ada, "grace");
    for conn in [ada, grace, mallory] {
        rig.heard(conn);
    }
    for other in [grace, mallory] {
        assert_eq!(rig.say(other, &ClientFrame::Relay { ticket }), [format!("relay-end {ticket}")]);
    }
    assert!(rig.heard(ada).is_empty());
    let unknown = TicketId(ticket.0 ^ 1);
    assert_eq!(rig.say(ada, &ClientFrame::Relay { ticket: unknown }), [format!("relay-end {unknown}")]);
    assert_eq!(rig.say(ada, &ClientFrame::Relay { ticket }).len(), 1);
    assert!(rig.say(ada, &ClientFrame::Relay { ticket }).is_empty(), "it stands already");
    assert_eq!(rig.heard(grace).len(), 1);
    // Nobody else has a hand in it.
    throw(&mut rig, mallory, &ClientFrame::Carry { ticket, bytes: b"lies" });
    throw(&mut rig, mallory, &ClientFrame::RelayEnd { ticket });
    assert!(rig.heard(grace).is_empty() && rig.heard(ada).is_empty());
    assert_eq!(rig.say(ada, &ClientFrame::RelayEnd { ticket }), [] as [&str; 0]);
    assert_eq!(rig.heard(grace), [format!("relay-end {ticket}")]);
    assert_eq!(rig.say(ada, &ClientFrame::Relay { ticket }), [format!("relay-end {ticket}")], "once");
    rig.pass(TICKET_LIFE);
    assert_eq!(rig.say(ada, &ClientFrame::Relay { ticket: late }), [format!("relay-end {late}")]);
}

#[test]
fn a_block_either_way_prevents_and_ends_it() {
    for blocker_is_ada in [true, false] {
        let mut relay = Relay::open(Limits::default());
        let (ada, grace, ticket) = (relay.ada, relay.grace, relay.ticket);
        let (next, _) = invite(&mut relay.rig, ada, "grace");
        relay.rig.heard(grace);
        relay.carry(ada, b"on its way");
        let (blocker, victim) = if blocker_is_ada { (ada, "grace") } else { (grace, "ada") };
        let block = ClientFrame::Block { request: RequestId(7), user: victim.parse().unwrap() };
        throw(&mut relay.rig, blocker, &block);
        assert_eq!(relay.taken(ada).others, ["relay-end"]);
        let after = relay.taken(grace);
        assert_eq!((after.others, after.carried), (vec!["relay-end".to_owned()], Vec::new()));
        relay.carry(ada, b"more");
        assert_eq!(relay.taken(grace), Taken::default());
        let refused = relay.rig.say(ada, &ClientFrame::Relay { ticket: next });
        assert_eq!(refused, [format!("relay-end {next}")], "{ticket}");
        assert!(relay.rig.heard(grace).is_empty());
    }
}

#[test]
fn relays_are_counted_for_each_user_and_in_all() {
    let asked = |limits: Limits, names: &[&str]| -> Vec<bool> {
        let mut rig = Rig::of(limits, ["ada", "bo", "cyd", "grace"]);
        let conns = ["ada", "bo", "cyd", "grace"].into_iter().map(|name| rig.log_in(name));
        let conns: Vec<ConnId> = conns.collect();
        for &conn in &conns {
            rig.heard(conn);
        }
        let pairs = names.iter().map(|pair| pair.split_once('>').unwrap());
        pairs
            .map(|(from, to)| {
                let conn = conns[["ada", "bo", "cyd", "grace"].iter().position(|&n| n == from).unwrap()];
                rig.heard(conn);
                let (ticket, _) = invite(&mut rig, conn, to);
                let answer = rig.say(conn, &ClientFrame::Relay { ticket }).remove(0);
                answer.starts_with("relay ")
            })
            .collect()
    };
    let defaults = Limits::default;
    let one_each = Limits { relays_per_user_max: 1, ..defaults() };
    assert_eq!(asked(one_each, &["ada>bo", "ada>cyd", "cyd>bo", "cyd>grace"]), [true, false, false, true]);
    let one_in_all = Limits { relays_max: 1, ..defaults() };
    assert_eq!(asked(one_in_all, &["ada>bo", "cyd>grace"]), [true, false]);
    assert_eq!(asked(Limits { relays_max: 0, ..defaults() }, &["ada>bo"]), [false], "--no-relay");
}

#[test]
fn who_sends_more_than_he_may_loses_the_relay() {
    let credit = Limits::default().relay_credit;
    // Nothing is taken from the other side, so no credit comes back.
    let mut relay = Relay::open(Limits::default());
    let (ada, grace) = (relay.ada, relay.grace);
    for _ in 0..credit / CARRY_LEN_MAX {
        relay.carry(ada, &[1; CARRY_LEN_MAX]);
    }
    assert_eq!(relay.taken(ada), Taken::default(), "all of the credit may be used");
    relay.carry(ada, &[1]);
    assert_eq!(relay.taken(ada).others, ["relay-end"]);
    assert!(relay.taken(grace).others.contains(&"relay-end".to_owned()));

    for bytes in [vec![], vec![1; CARRY_LEN_MAX + 1]] {
        let mut relay = Relay::open(Limits::default());
        let (ada, grace) = (relay.ada, relay.grace);
        relay.carry(ada, &bytes);
        assert_eq!(relay.taken(ada).others, ["relay-end"], "{} bytes", bytes.len());
        assert_eq!(relay.taken(grace).others, ["relay-end"]);
    }
}

#[test]
fn chat_goes_before_relayed_bytes_whichever_came_first() {
    let mut relay = Relay::open(Limits::default());
    let (ada, grace) = (relay.ada, relay.grace);
    for _ in 0..16 {
        relay.carry(ada, &[0; CARRY_LEN_MAX]);
    }
    assert_eq!(relay.rig.named().iter().filter(|&&conn| conn == grace).count(), 1);
    for n in 0..20 {
        relay.message(n);
    }
    let first = taken(&relay.rig.fetch(grace, usize::MAX));
    assert_eq!((first.others.len(), first.carried.len()), (20, 0), "all of the chat, and nothing else");

    // The most that chat can wait for is one frame that has begun to leave.
    assert_eq!(relay.rig.fetch(grace, 1), [0]);
    relay.message(20);
    let next = relay.rig.fetch(grace, usize::MAX);
    let mut stream = vec![0];
    stream.extend(&next);
    let order: Vec<bool> = bodies(&stream).iter().map(|body| body.starts_with(b"deliver ")).collect();
    assert_eq!(order, [false, true]);
    assert!(next.len() < CARRY_LEN_MAX + 200, "{} bytes", next.len());
    for n in 21..30 {
        relay.message(n);
        let leaves = taken(&relay.rig.fetch(grace, usize::MAX));
        assert_eq!((leaves.others.as_slice(), leaves.carried.len()), (&["deliver".to_owned()][..], 0));
    }
}

#[test]
fn relayed_bytes_do_not_overtake_what_is_held_back_behind_waiting_messages() {
    let mut rig = Rig::new(Limits::default());
    let ada = rig.log_in("ada");
    let message = ClientFrame::Message {
        request: RequestId(1),
        to: "grace".parse().unwrap(),
        id: MessageId(1),
        text: "for later",
    };
    throw(&mut rig, ada, &message);
    rig.settle(true);
    // The store has not yet been read for her.
    let grace = rig.log_in("grace");
    rig.heard(ada);
    let (ticket, _) = invite(&mut rig, ada, "grace");
    assert!(rig.say(ada, &ClientFrame::Relay { ticket })[0].starts_with("relay "));
    throw(&mut rig, ada, &ClientFrame::Carry { ticket, bytes: b"too early" });
    assert!(rig.fetch(grace, usize::MAX).is_empty());
}

#[test]
fn relayed_bytes_do_not_make_a_reader_look_slow_nor_a_sender_look_fast() {
    let limits = Limits { commands_burst: 10, commands_per_second: 10, ..Limits::default() };
    let mut relay = Relay::open(limits.clone());
    let (ada, grace) = (relay.ada, relay.grace);
    relay.rig.pass(Duration::from_secs(1));
    relay.taken(ada);
    relay.taken(grace);
    for _ in 0..16 {
        relay.carry(ada, &[0; CARRY_LEN_MAX]);
    }
    let whoelse = relay.rig.say(ada, &ClientFrame::WhoElse { request: RequestId(5) });
    assert_eq!(whoelse, ["users 5 0 grace"], "the sender's commands are answered at once");
    assert!(relay.rig.waiting_len(grace) <= CARRY_LEN_MAX + 100, "a frame at a time");
    relay.rig.pass(limits.outbox_soft_patience * 3);
    assert!(!relay.taken(grace).others.contains(&"goodbye".to_owned()));

    // Tiny pieces cost as much as commands: they are slowed, and none is lost.
    let mut relay = Relay::open(limits);
    let ada = relay.ada;
    let tiny = ClientFrame::Carry { ticket: relay.ticket, bytes: b"x" }.encode();
    let flood: Vec<u8> = (0..100).flat_map(|_| tiny.as_bytes().to_vec()).collect();
    relay.rig.throw(ada, &flood);
    let mut came = relay.taken(relay.grace).carried.len();
    assert!(came < 20, "{came} at once");
    for _ in 0..100 {
        relay.rig.pass(Duration::from_millis(100));
        came += relay.taken(relay.grace).carried.len();
        relay.taken(ada);
    }
    assert_eq!(came, 100);
}

/// Each sends as much as it may in that time, in steps of a millisecond; how much comes out at each receiver.
fn stream(rig: &mut Rig, relays: &[(ConnId, ConnId, TicketId)], span_ms: u64) -> Vec<usize> {
    let mut credits = vec![Limits::default().relay_credit; relays.len()];
    let mut came = vec![0; relays.len()];
    let place = |ticket| relays.iter().position(|&(_, _, other)| other == ticket).unwrap();
    let conns: BTreeSet<ConnId> = relays.iter().flat_map(|&(from, to, _)| [from, to]).collect();
    for _ in 0..span_ms {
        for (at, &(from, _, ticket)) in relays.iter().enumerate() {
            while credits[at] >= CARRY_LEN_MAX {
                credits[at] -= CARRY_LEN_MAX;
                throw(rig, from, &ClientFrame::Carry { ticket, bytes: &[0; CARRY_LEN_MAX] });
            }
        }
        for &conn in &conns {
            for body in bodies(&rig.fetch(conn, usize::MAX)) {
                match ServerFrame::decode(&body, State::Chat).unwrap() {
                    ServerFrame::Carry { ticket, bytes } => came[place(ticket)] += bytes.len(),
                    ServerFrame::Credit { ticket, credit } => {
                        credits[place(ticket)] += usize::try_from(credit).unwrap();
                    }
                    _ => {}
                }
            }
        }
        rig.pass(Duration::from_millis(1));
    }
    came
}

#[test]
fn one_direction_keeps_its_pace_and_the_server_keeps_its_own() {
    let limits = Limits { relay_rate: 500_000, relays_rate: 1_000_000, ..Limits::default() };
    let mut relay = Relay::open(limits.clone());
    let ends = [(relay.ada, relay.grace, relay.ticket)];
    let came = stream(&mut relay.rig, &ends, 4_000)[0];
    assert!((1_950_000..2_100_000).contains(&came), "{came} bytes in 4 s at 500,000 a second");

    let mut relay = Relay::open(limits);
    let (bo, cyd) = (relay.rig.log_in("bo"), relay.rig.log_in("cyd"));
    for conn in [relay.ada, relay.grace, bo, cyd] {
        relay.rig.heard(conn);
    }
    let other = opened(&mut relay.rig, bo, cyd, "cyd");
    let ends = [(relay.ada, relay.grace, relay.ticket), (bo, cyd, other)];
    let came = stream(&mut relay.rig, &ends, 4_000);
    assert!(came.iter().all(|came| (1_950_000..2_100_000).contains(came)), "both have their pace: {came:?}");
}

#[test]
fn what_all_relays_share_is_shared_evenly() {
    let limits = Limits { relays_rate: 600_000, ..Limits::default() };
    let mut rig = Rig::of(limits, ["ada", "bo", "cyd", "grace"]);
    let conns: Vec<ConnId> = ["ada", "bo", "cyd", "grace"].into_iter().map(|name| rig.log_in(name)).collect();
    let [ada, bo, cyd, grace] = conns[..] else { panic!() };
    for &conn in &conns {
        rig.heard(conn);
    }
    let relays = [
        (ada, bo, opened(&mut rig, ada, bo, "bo")),
        (cyd, grace, opened(&mut rig, cyd, grace, "grace")),
        (bo, cyd, opened(&mut rig, bo, cyd, "cyd")),
    ];
    let came = stream(&mut rig, &relays, 4_000);
    assert!(came.iter().sum::<usize>() < 2_500_000, "{came:?}");
    assert!(came.iter().all(|&came| came > 650_000), "{came:?}");
}

#[test]
fn a_receiver_who_takes_nothing_slows_his_sender_and_nobody_else() {
    let mut relay = Relay::open(Limits::default());
    let (ada, grace) = (relay.ada, relay.grace);
    let (bo, cyd) = (relay.rig.log_in("bo"), relay.rig.log_in("cyd"));
    for conn in [ada, bo, cyd] {
        relay.rig.heard(conn);
    }
    let other = opened(&mut relay.rig, bo, cyd, "cyd");
    for _ in 0..16 {
        relay.carry(ada, &[0; CARRY_LEN_MAX]);
    }
    let came = stream(&mut relay.rig, &[(bo, cyd, other)], 1_000)[0];
    assert!(came > 1_000_000, "{came}");
    assert_eq!(relay.taken(ada).credit, 0);
    // The presence of the two others, and one frame of the relay.
    assert!(relay.rig.waiting_len(grace) < CARRY_LEN_MAX + 500);
}

#[test]
fn the_last_words_come_before_the_end() {
    let end = |how: fn(&mut Relay)| {
        let mut relay = Relay::open(Limits::default());
        let (ada, grace) = (relay.ada, relay.grace);
        let last = pattern(100_000);
        for piece in last.chunks(10_000) {
            relay.carry(ada, piece);
        }
        relay.carry(grace, b"too late");
        how(&mut relay);
        // Held back by the pace, not forgotten.
        let mut came = Taken::default();
        for _ in 0..200 {
            let more = relay.taken(grace);
            assert!(more.carried.is_empty() || !came.others.contains(&"relay-end".to_owned()));
            came.carried.extend(more.carried);
            came.others.extend(more.others);
            relay.rig.pass(Duration::from_millis(1));
        }
        assert!(came.carried == last);
        came.others.retain(|tag| tag != "presence");
        assert_eq!(came.others, ["relay-end"]);
        relay.carry(grace, b"nobody hears this");
        assert!(relay.taken(grace).others.is_empty());
    };
    end(|relay| throw(&mut relay.rig, relay.ada, &ClientFrame::RelayEnd { ticket: relay.ticket }));
    end(|relay| throw(&mut relay.rig, relay.ada, &ClientFrame::Logout { request: RequestId(1) }));
    end(|relay| relay.rig.lose(relay.ada));
}

#[test]
fn when_both_have_gone_nothing_is_left() {
    let limits = Limits { relays_per_user_max: 1, ..Limits::default() };
    let mut relay = Relay::open(limits);
    relay.carry(relay.ada, &[0; 5_000]);
    relay.rig.lose(relay.ada);
    relay.rig.lose(relay.grace);
    assert_eq!(relay.rig.hub.waiting_len(), 0);
    let (ada, grace) = (relay.rig.log_in("ada"), relay.rig.log_in("grace"));
    relay.rig.heard(ada);
    opened(&mut relay.rig, ada, grace, "grace");
}

#[test]
fn a_relay_that_carries_nothing_ends() {
    let mut relay = Relay::open(Limits { inactivity: None, ..Limits::default() });
    let (ada, grace) = (relay.ada, relay.grace);
    let alive = |relay: &mut Relay, ms: u64| {
        for _ in 0..ms / 1_000 {
            relay.rig.pass(Duration::from_secs(1));
            for conn in [ada, grace] {
                relay.rig.throw(conn, ClientFrame::Pong.encode().as_bytes());
            }
        }
    };
    alive(&mut relay, 119_000);
    relay.carry(grace, b"still there");
    assert_eq!(relay.taken(ada).carried, b"still there");
    alive(&mut relay, 119_000);
    assert_eq!(relay.taken(ada), Taken::default());
    alive(&mut relay, 2_000);
    assert_eq!(relay.taken(ada).others, ["relay-end"]);
    assert!(relay.taken(grace).others.contains(&"relay-end".to_owned()));
}

#[test]
fn relayed_bytes_are_no_activity_of_the_user() {
    let mut relay = Relay::open(Limits { inactivity: Some(TICKET_LIFE), ..Limits::default() });
    let (ada, grace) = (relay.ada, relay.grace);
    let mut heard = Vec::new();
    for _ in 0..40 {
        relay.rig.pass(Duration::from_secs(1));
        relay.carry(ada, b"x");
        heard.extend(relay.taken(ada).others);
        relay.taken(grace);
    }
    assert!(heard.contains(&"goodbye".to_owned()), "{heard:?}");
}

#[test]
fn the_stream_stays_whole_when_a_relay_ends_in_the_middle_of_a_frame() {
    let mut relay = Relay::open(Limits::default());
    let (ada, grace) = (relay.ada, relay.grace);
    relay.carry(ada, &[7; CARRY_LEN_MAX]);
    relay.carry(ada, &[7; CARRY_LEN_MAX]);
    let mut stream = relay.rig.fetch(grace, 1_000);
    let block = ClientFrame::Block { request: RequestId(7), user: "ada".parse().unwrap() };
    throw(&mut relay.rig, grace, &block);
    stream.extend(relay.rig.fetch(grace, usize::MAX));
    let came = taken(&stream);
    assert_eq!((came.carried.len(), came.others), (CARRY_LEN_MAX, vec!["relay-end".to_owned()]));
    assert!(relay.rig.fetch(grace, usize::MAX).is_empty());
}
