//! A server without descriptors left (THREATS 24): it does not spin, those inside go on, and it takes newcomers
//! again as soon as others go.

use std::{
    net::TcpStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use bench::{
    chat::Chat,
    clock::Clock,
    honest::{self, Pair},
    server::{Server, Setup},
};
use client::core::Event;
use mio::{Events, Poll, Token};

use crate::PROGRAM;

const DESCRIPTORS_MAX: usize = 64;
/// Nothing here takes long; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_server_without_descriptors_neither_spins_nor_forgets_anyone() {
    let mut users = honest::USERS.map(str::to_owned).to_vec();
    users.push("late".to_owned());
    let setup = Setup { users, tls: true, descriptors_max: Some(DESCRIPTORS_MAX) };
    let server = Server::start_at(Path::new(PROGRAM), &setup).unwrap();
    let pair = Pair::start(server.route().clone(), 50, None);
    await_status(&server, |online| online == honest::USERS.len());

    let crowd: Vec<TcpStream> =
        (0..2 * DESCRIPTORS_MAX).map(|_| TcpStream::connect(server.route().address).unwrap()).collect();
    // All of them were accepted or dropped before this is answered.
    server.status().unwrap();
    let full = server.figures().unwrap();
    assert!(full.descriptors >= DESCRIPTORS_MAX - 1, "{} descriptors are not all", full.descriptors);
    let start = Instant::now();
    thread::sleep(Duration::from_secs(1));
    let spent = server.figures().unwrap().cpu.saturating_sub(full.cpu);
    assert!(
        spent < Duration::from_millis(200),
        "{spent:?} of processor time in a second without descriptors"
    );
    assert!(server.log_lines() < 50, "one line for each that was dropped");

    drop(crowd);
    log_in(&server, "late");
    let report = pair.stop().unwrap();
    assert_eq!(report.failed, 0, "messages of those who were inside");
    assert!(!report.between(start, Instant::now()).is_empty(), "nobody talked meanwhile");
}

fn await_status(server: &Server, holds: impl Fn(usize) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds(server.status().unwrap().online) {
        assert!(Instant::now() < deadline, "awaited in vain: {:?}", server.status());
    }
}

/// Tries until it works: the server hears one by one that the others are gone.
fn log_in(server: &Server, user: &str) {
    let deadline = Instant::now() + PATIENCE;
    let (mut poll, clock) = (Poll::new().unwrap(), Clock::start());
    let (mut events, mut buffer, mut shown) = (Events::with_capacity(8), vec![0; 4096], Vec::new());
    let mut chat = None;
    while !shown.iter().any(|event| matches!(event, Event::Login { .. })) {
        assert!(Instant::now() < deadline, "no log-in after the others are gone");
        let one = chat.get_or_insert_with(|| {
            Chat::dial(server.route(), user, poll.registry(), Token(0), clock.read()).unwrap()
        });
        if !one.turn(clock.read(), &mut buffer, &mut shown) {
            chat = None;
        }
        poll.poll(&mut events, Some(Duration::from_millis(50))).unwrap();
    }
}
