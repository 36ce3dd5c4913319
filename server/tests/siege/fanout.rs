//! A broadcast to many reaches each of them once, also through the slices in which the loop sends it (threat 29). How
//! long the loop is away meanwhile, `bench`'s program `costs` measures.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bench::{
    room::Room,
    server::{Server, Setup},
};
use client::core::Event;

use crate::PROGRAM;

/// Several slices of 64.
const AUDIENCE: usize = 200;
const ROUNDS: usize = 5;
/// Nothing here takes long; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn everyone_hears_a_broadcast_once() {
    let users: Vec<String> = (0..AUDIENCE).map(|number| format!("user-{number}")).collect();
    let setup = Setup { users: users.clone(), tls: true, descriptors_max: None };
    let server = Server::start_at(Path::new(PROGRAM), &setup).unwrap();
    let mut room = Room::enter(server.route(), &users).unwrap();
    let mut heard = vec![Vec::new(); AUDIENCE];
    let deadline = Instant::now() + PATIENCE;
    for round in 0..ROUNDS {
        room.say(0, &format!("broadcast {round} {}", "x".repeat(8_000)));
    }
    while heard.iter().skip(1).any(|heard| heard.len() < ROUNDS) {
        assert!(Instant::now() < deadline, "not everyone has heard everything");
        for (index, event) in room.turn().unwrap() {
            if let Event::Broadcast { text, .. } = event {
                heard[index].push(text[..1].to_owned());
            }
        }
    }
    assert!(heard[0].is_empty(), "but the one who said it");
    assert!(heard.iter().skip(1).all(|heard| *heard == ["0", "1", "2", "3", "4"]), "once, and in order");
    assert_eq!(server.status().unwrap().online, AUDIENCE, "nobody was dropped");
}
