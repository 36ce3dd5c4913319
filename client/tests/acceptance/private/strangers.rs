//! Somebody who dials a client without having been announced: he costs little, and goes soon.
//!
//! Threats: 47 (a stranger dials), 48 (a ticket of somebody else), 49 (the server swaps a peer's key), 50 (tampering
//! on the way, as far as the key goes), 62 (garbage in place of a handshake).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use protocol::transport::{Identity, peer_configs, server_name};
use protocol::{PeerFrame, Purpose, TicketId, VERSION, tags};
use rustls::{ClientConnection, Stream};

use super::{assert_carried, open};
use crate::harness::{Fellow, PATIENCE, Server, ServerSetup, own_address};
use crate::mitm::middleman::{Middleman, Trick};

/// How long somebody may stay who shows no ticket, with what a busy machine may add.
const STAY_MAX: Duration = Duration::from_secs(15);

/// What a stranger may make a client read.
const LEN_MAX: usize = 1024;

/// Where a client of its own listens.
fn place(number: u8) -> SocketAddr {
    let listener = TcpListener::bind((own_address(86, number), 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Bob, who listens there, and ada.
#[track_caller]
fn pair_at(server: &Server, place: SocketAddr) -> (Fellow, Fellow) {
    let bob = Fellow::with(server, "bob", &["--listen", &place.to_string()]);
    (Fellow::login(server, "ada"), bob)
}

fn dial(place: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(place).expect("the client listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits until the other side has closed, and returns what it said before.
#[track_caller]
fn await_close(mut stream: impl Read, since: Instant) -> Vec<u8> {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => said.extend_from_slice(&buffer[..len]),
            Err(error) => {
                let is_late =
                    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                assert!(!is_late, "the stranger is still there after {:?}", since.elapsed());
                break;
            }
        }
    }
    assert!(since.elapsed() < STAY_MAX, "closed only after {:?}", since.elapsed());
    said
}

/// Agrees on TLS with a fresh key, sends that, and returns what the client says to it before it closes.
#[track_caller]
fn speak(place: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = dial(place);
    let mut tls = stranger();
    let since = Instant::now();
    let mut stream = Stream::new(&mut tls, &mut tcp);
    // It may hang up before it has taken all.
    drop(stream.write_all(bytes).and_then(|()| stream.flush()));
    await_close(stream, since)
}

fn stranger() -> ClientConnection {
    let (certificate, key) = Identity::make().unwrap();
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    ClientConnection::new(peer_configs(&identity).unwrap().1, server_name("parlour.invalid")).unwrap()
}

fn meet(ticket: TicketId) -> Vec<u8> {
    PeerFrame::Meet { version: VERSION, ticket, purpose: Purpose::Talk }.encode().as_bytes().to_vec()
}

#[test]
fn silence_and_garbage_are_closed_and_hurt_nobody() {
    let (server, place) = (Server::usual(), place(1));
    let (mut ada, mut bob) = pair_at(&server, place);
    open(&mut ada, (&mut bob, "bob"), "ada");
    let since = Instant::now();
    let silent: Vec<TcpStream> = (0..8).map(|_| dial(place)).collect();
    // A handshake that begins and does not go on.
    let mut half = dial(place);
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n"[..], b"SSH-2.0-OpenSSH_9.6\r\n", &[0; 4096], &[0xff; 4096]]
    {
        let mut stream = dial(place);
        drop(stream.write_all(garbage));
        let said = await_close(stream, Instant::now());
        assert!(said.len() < 64, "{said:?}");
    }
    assert_carried(&mut ada, &mut bob, "did you hear that?");
    for stream in silent.into_iter().chain([half]) {
        assert!(await_close(stream, since).len() < 64);
    }
    assert_carried(&mut ada, &mut bob, "they are gone");
    bob.expect_none("notice");
    bob.expect_none("private-closed");
}

#[test]
fn who_shows_no_ticket_is_read_for_a_kibibyte_at_most() {
    let (server, place) = (Server::usual(), place(2));
    let (mut ada, mut bob) = pair_at(&server, place);
    let too_long = [&[0, 0, 4, 1][..], &[b'x'; LEN_MAX + 1]].concat();
    let huge = [0xff, 0xff, 0xff, 0xff, b'm'];
    let unfinished = [&[0, 0, 4, 0][..], &[b'x'; LEN_MAX - 1]].concat();
    let early = PeerFrame::Private { number: 0, text: "let me in" }.encode().as_bytes().to_vec();
    let want = PeerFrame::Ping.encode().as_bytes().to_vec();
    for (said, is_soon) in [
        (&too_long[..], true),
        (&huge, true),
        (&early, true),
        (&want, true),
        (&unfinished, false),
        (&[], false),
    ] {
        let since = Instant::now();
        let answer = speak(place, said);
        assert!(answer.len() <= 64, "{answer:?}");
        // What is wrong already need not be waited for.
        assert!(!is_soon || since.elapsed() < Duration::from_secs(8), "{:?}", since.elapsed());
    }
    bob.expect_none("private");
    bob.expect_none("notice");
    open(&mut ada, (&mut bob, "bob"), "ada");
}

#[test]
fn a_ticket_that_nobody_announced_opens_nothing() {
    let (server, place) = (Server::usual(), place(3));
    let (mut ada, mut bob) = pair_at(&server, place);
    for ticket in [TicketId(0), TicketId(1), TicketId(u128::MAX)] {
        let answer = speak(place, &meet(ticket));
        let unmet = PeerFrame::Unmet { ticket }.encode();
        assert_eq!(answer, unmet.as_bytes());
    }
    bob.expect_none("private-opened");
    open(&mut ada, (&mut bob, "bob"), "ada");
}

#[test]
fn many_strangers_do_not_keep_a_friend_out() {
    let (server, place) = (Server::usual(), place(4));
    let (mut ada, mut bob) = pair_at(&server, place);
    let strangers: Vec<TcpStream> = (0..100).map(|_| dial(place)).collect();
    ada.ok("startprivate bob");
    assert_carried(&mut ada, &mut bob, "through the crowd");
    drop(strangers);
}

/// Tickets that a client was sent, as somebody in between reads them where nothing is encrypted.
fn tickets(overheard: &[(tags::Sender, String)], tag: &str) -> Vec<TicketId> {
    let place = if tag == "ticket" { 2 } else { 1 };
    let lines = overheard.iter().map(|(_, body)| body.split([' ', '\n']).collect::<Vec<_>>());
    lines.filter(|words| words[0] == tag).map(|words| words[place].parse().unwrap()).collect()
}

#[test]
fn a_ticket_that_was_overheard_is_of_no_use_to_others() {
    fn unchanged(_: tags::Sender, body: String) -> Option<String> {
        Some(body)
    }
    /// Ada never learns whom she could meet, so that her ticket is still good.
    fn without_ticket(_: tags::Sender, body: String) -> Option<String> {
        (!body.starts_with("ticket ")).then_some(body)
    }
    let (server, place) = (Server::plain(), place(5));
    let mut bob = Fellow::with(&server, "bob", &["--listen", &place.to_string()]);
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    for (tamper, is_fresh) in [(unchanged as fn(_, _) -> _, false), (without_ticket, true)] {
        let middleman = Middleman::start(anywhere, None, Trick::Relay(server.address(), tamper));
        let mut ada = Fellow::via(middleman.address(), &server, "ada", &[]);
        let started = ada.post("startprivate bob");
        if is_fresh {
            ada.ok("whoelse");
            ada.signal("KILL");
        } else {
            ada.reply(started);
            bob.expect("private-opened");
            ada.ok("logout");
            bob.expect("private-closed");
        }
        let tickets = tickets(&middleman.overheard(), "ticket");
        assert_eq!(tickets.len(), 1);
        // With another key, and used up the second time.
        for _ in 0..2 {
            let answer = speak(place, &meet(tickets[0]));
            assert_eq!(answer, PeerFrame::Unmet { ticket: tickets[0] }.encode().as_bytes());
        }
        bob.expect_none("private-opened");
        drop(ada);
        bob.expect_event("ada's end", |event| event["online"] == false);
    }
}

#[test]
fn a_server_that_swaps_a_key_is_found_out() {
    static SWAPS: AtomicBool = AtomicBool::new(false);
    fn swap(_: tags::Sender, body: String) -> Option<String> {
        const KEY: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
        let Some((head, rest)) = body.strip_prefix("ticket ").and_then(|body| body.split_once(" SHA256:"))
        else {
            return Some(body);
        };
        let rest = rest.split_once(' ').map(|(_, rest)| format!(" {rest}")).unwrap_or_default();
        let is_swapped = SWAPS.load(Ordering::Relaxed);
        Some(if is_swapped { format!("ticket {head} {KEY}{rest}") } else { body })
    }
    // A relay would be one more way to the same end.
    let server = Server::start(&ServerSetup { tls: false, args: &["--no-relay"], ..ServerSetup::default() });
    let mut bob = Fellow::login(&server, "bob");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let middleman = Middleman::start(anywhere, None, Trick::Relay(server.address(), swap));
    let mut ada = Fellow::via(middleman.address(), &server, "ada", &[]);
    // Of whom nothing is known yet: bob does not have the key that he should have, so nobody is met.
    SWAPS.store(true, Ordering::Relaxed);
    let refused = ada.post_all(&["startprivate bob", "private bob a secret"]);
    assert_eq!(ada.reply(refused - 1)["code"], "unreachable");
    assert_eq!(ada.reply(refused)["code"], "no-private");
    SWAPS.store(false, Ordering::Relaxed);
    open(&mut ada, (&mut bob, "bob"), "ada");
    ada.ok("stopprivate bob");
    // Of whom the key is known: an alarm.
    SWAPS.store(true, Ordering::Relaxed);
    assert_eq!(ada.error("startprivate bob"), "key-changed");
    // Who is not fooled goes on as before.
    SWAPS.store(false, Ordering::Relaxed);
    open(&mut ada, (&mut bob, "bob"), "ada");
    bob.expect_none("private");
}
