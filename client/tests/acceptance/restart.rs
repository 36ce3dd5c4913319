//! A client that is killed, and the one after it: nothing is shown twice, and nothing is lost.
//!
//! Threats: 34 (killed anywhere) and 35 (a torn file), as far as the receiving client is concerned, and 39 (lost
//! acknowledgement).

mod wire;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use self::wire::Wire;
use crate::harness::{Client, Home, Server, kind};

/// The texts of the messages and broadcasts that bob was shown, up to the answer to a command asked now.
#[track_caller]
fn shown(bob: &mut Client) -> Vec<String> {
    bob.ok("whoelse");
    let is_shown = |event: &&Value| matches!(kind(event), "message" | "broadcast");
    bob.events().iter().filter(is_shown).map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn log_in(home: &Home, address: SocketAddr) -> Client {
    let mut bob = home.visit(address, "bob", &[]);
    bob.expect("login");
    bob
}

/// The files in which bob's clients note what they have shown.
fn noted(home: &Home) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.config().join("seen")).expect("something was noted");
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Has bob shown a message and a broadcast, and kills him before the server hears of it.
#[track_caller]
fn killed_before_the_server_hears_of_it(home: &Home, server: &Server, ada: &mut Client) {
    let wire = Wire::to(server.address());
    let mut bob = log_in(home, wire.address());
    wire.cut_what_the_client_says();
    let message = ada.post("message bob first");
    ada.ok("broadcast to all");
    assert_eq!(bob.expect("message")["text"], "first");
    bob.expect("broadcast");
    bob.kill();
    assert_eq!(ada.reply(message)["state"], "stored", "nobody has confirmed it");
}

#[test]
fn what_was_shown_before_a_kill_does_not_come_again_and_what_came_later_does() {
    let (home, server) = (Home::new(), Server::usual());
    let mut ada = Client::login(&server, "ada");
    killed_before_the_server_hears_of_it(&home, &server, &mut ada);
    assert_eq!(ada.ok("message bob second")["state"], "stored");
    // Not through the wire: it is the same server at any address.
    let mut bob = log_in(&home, server.address());
    assert_eq!(shown(&mut bob), ["second"]);
    bob.ok("logout");
    bob.expect_end("logout", 0);
    // Both were confirmed.
    fs::remove_dir_all(home.config().join("seen")).unwrap();
    assert_eq!(shown(&mut log_in(&home, server.address())), [""; 0]);
}

#[test]
fn it_is_the_note_that_keeps_a_message_from_being_shown_again() {
    let (home, server) = (Home::new(), Server::usual());
    let mut ada = Client::login(&server, "ada");
    killed_before_the_server_hears_of_it(&home, &server, &mut ada);
    fs::remove_dir_all(home.config().join("seen")).unwrap();
    assert_eq!(shown(&mut log_in(&home, server.address())), ["first"]);
}

#[test]
fn what_had_come_and_was_not_shown_before_a_kill_is_shown_after_it() {
    let (home, server) = (Home::new(), Server::usual());
    let mut ada = Client::login(&server, "ada");
    let mut bob = log_in(&home, server.address());
    assert_eq!(shown(&mut bob), [""; 0]);
    bob.signal("STOP");
    let message = ada.post("message bob unseen");
    // When this is answered, the server has taken the message for one who is online.
    ada.ok("whoelse");
    bob.kill();
    assert_eq!(ada.reply(message)["state"], "stored");
    assert!(!bob.output().contains("unseen"));
    assert_eq!(shown(&mut log_in(&home, server.address())), ["unseen"]);
    assert_eq!(shown(&mut log_in(&home, server.address())), [""; 0]);
}

#[test]
fn a_torn_note_is_passed_over_and_a_damaged_one_is_named() {
    for (damage, words) in [("0123456789abcdef", None), ("what is this\n", Some("line 3:"))] {
        let (home, server) = (Home::new(), Server::usual());
        let mut ada = Client::login(&server, "ada");
        killed_before_the_server_hears_of_it(&home, &server, &mut ada);
        let [file] = &noted(&home)[..] else { panic!("one file for one user") };
        fs::write(file, fs::read_to_string(file).unwrap() + damage).unwrap();
        assert_eq!(ada.ok("message bob second")["state"], "stored");
        let mut bob = log_in(&home, server.address());
        assert_eq!(shown(&mut bob), ["second"]);
        let events = bob.events();
        let notice = events.iter().find(|event| kind(event) == "notice");
        let text = notice.map(|notice| notice["text"].as_str().unwrap());
        match words {
            None => assert_eq!(text, None),
            Some(words) => assert!(text.unwrap().contains(words), "{text:?}"),
        }
    }
}

#[test]
fn a_client_that_cannot_note_says_so_once_and_shows_everything() {
    let (home, server) = (Home::new(), Server::usual());
    fs::create_dir_all(home.config()).unwrap();
    fs::write(home.config().join("seen"), "no directory").unwrap();
    let mut ada = Client::login(&server, "ada");
    let mut bob = log_in(&home, server.address());
    for text in ["one", "two"] {
        assert_eq!(ada.ok(&format!("message bob {text}"))["state"], "delivered");
    }
    assert_eq!(shown(&mut bob), ["one", "two"]);
    let events = bob.events();
    let cannot_write = |event: &&Value| event["text"].as_str().unwrap().contains("cannot write");
    assert_eq!(events.iter().filter(|event| kind(event) == "notice").filter(cannot_write).count(), 1);
}

#[test]
fn what_may_have_been_cut_off_by_the_kill_is_told_and_not_shown_as_a_message_again() {
    let (home, server) = (Home::new(), Server::usual());
    let mut ada = Client::login(&server, "ada");
    let wire = Wire::to(server.address());
    let mut bob = log_in(&home, wire.address());
    wire.cut_what_the_client_says();
    let messages = ada.post_all(&["message bob whole", "message bob the last one"]);
    bob.expect("message");
    bob.expect("message");
    bob.kill();
    assert_eq!(ada.reply(messages)["state"], "stored");
    let mut bob = log_in(&home, server.address());
    assert_eq!(shown(&mut bob), [""; 0]);
    let notice = bob.expect("notice");
    let text = notice["text"].as_str().unwrap();
    assert!(text.contains("from ada") && text.ends_with(": the last one"), "{text}");
    bob.expect_none("notice");
    bob.kill();
    log_in(&home, server.address()).expect_none("notice");
}

#[test]
fn kills_in_the_middle_of_many_messages_double_none_and_lose_none() {
    const MESSAGES: usize = 500;
    const KILLS: usize = 10;
    let (home, server) = (Home::new(), Server::usual());
    let mut ada = Client::login(&server, "ada");
    // Long ones: they come a few at a time, so that the kills find some shown, some on their way, some waiting.
    let long = "x".repeat(8 * 1024);
    let commands: Vec<_> = (0..MESSAGES).map(|number| format!("message bob {number} {long}")).collect();
    ada.post_all(&commands);
    for number in 1..=MESSAGES {
        assert_eq!(ada.reply(number as u64)["state"], "stored");
    }
    let (mut messages, mut notices) = (Vec::new(), BTreeSet::new());
    let mut count = |output: &str| {
        // What a killed client has written in part was not shown.
        for event in output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let text = event["text"].as_str().unwrap_or_default().to_owned();
            match kind(&event) {
                "message" => messages.push(text),
                "notice" => _ = notices.insert(text.rsplit(": ").next().unwrap().to_owned()),
                _ => {}
            }
        }
    };
    for _ in 0..KILLS {
        let mut bob = log_in(&home, server.address());
        let end = bob.post("whoelse");
        bob.expect_event("a message or the end", |event| kind(event) == "message" || event["re"] == end);
        bob.kill();
        count(&bob.output());
    }
    let mut bob = log_in(&home, server.address());
    bob.ok("whoelse");
    count(&bob.output());
    let shown: BTreeSet<String> = messages.iter().cloned().collect();
    assert_eq!(shown.len(), messages.len(), "some were shown twice");
    assert_eq!(shown.union(&notices).count(), MESSAGES, "some were lost");
    assert!(notices.len() <= KILLS, "{} are in doubt", notices.len());
}
