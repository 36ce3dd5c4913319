//! Direct messages: delivered, stored, refused, and never changed on the way.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::harness::{Client, Server, kind};

/// The longest text, in bytes.
const TEXT_LEN_MAX: usize = 16 * 1024;

/// How many messages wait for a user who is offline.
const STORED_MAX: usize = 1_000;

/// Asserts that an event carries the time of a moment ago, in UTC as RFC 3339 has it.
#[track_caller]
fn assert_sent_now(event: &Value) {
    let sent_at = event["sent_at"].as_str().unwrap_or_default();
    let Ok(sent) = humantime::parse_rfc3339(sent_at) else { panic!("no RFC 3339 time in UTC in {event}") };
    let now = SystemTime::now();
    let off = now.duration_since(sent).or_else(|_| sent.duration_since(now)).unwrap();
    assert!(off < Duration::from_secs(60), "{off:?} off the clock: {event}");
}

/// Sends a text and asserts that it comes out the same.
#[track_caller]
fn assert_carried(ada: &mut Client, bob: &mut Client, text: &str) {
    assert_eq!(ada.ok(&format!("message bob {text}"))["state"], "delivered");
    assert_eq!(bob.expect("message")["text"], text);
}

#[test]
fn a_message_to_someone_online_is_delivered() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let sent = ada.ok("message bob hello there");
    assert_eq!((&sent["to"], &sent["state"]), (&"bob".into(), &"delivered".into()));
    let message = bob.expect("message");
    assert_eq!((&message["from"], &message["text"]), (&"ada".into(), &"hello there".into()));
    assert_eq!((&message["offline"], &message["id"]), (&false.into(), &sent["id"]));
    assert_sent_now(&message);
    ada.expect_none("message");
}

#[test]
fn stored_messages_come_right_after_login_oldest_first_and_once() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut carol = Client::login(&server, "carol");
    let mut sent = Vec::new();
    for (name, text) in [("ada", "one"), ("carol", "two"), ("ada", "three")] {
        let sender = if name == "ada" { &mut ada } else { &mut carol };
        let ok = sender.ok(&format!("message bob {text}"));
        assert_eq!((&ok["to"], &ok["state"]), (&"bob".into(), &"stored".into()));
        sent.push((name, text, ok["id"].clone()));
    }

    let mut bob = Client::login(&server, "bob");
    bob.ok("whoelse");
    let events = bob.events();
    assert_eq!(kind(&events[0]), "login", "{events:?}");
    for (event, (from, text, id)) in events[1..].iter().zip(&sent) {
        assert_eq!(kind(event), "message", "{events:?}");
        assert_eq!((&event["from"], &event["text"], &event["id"]), (&(*from).into(), &(*text).into(), id));
        assert_eq!(event["offline"], true);
        assert_sent_now(event);
    }
    for _ in &sent {
        bob.expect("message");
    }
    bob.expect_none("message");
    bob.ok("logout");
    bob.expect_end("logout", 0);
    Client::login(&server, "bob").expect_none("message");
}

#[test]
fn delivered_messages_do_not_come_again() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    assert_carried(&mut ada, &mut bob, "only once");
    bob.signal("KILL");
    ada.expect_event("bob's loss", |event| event["reason"] == "lost");
    Client::login(&server, "bob").expect_none("message");
}

#[test]
fn a_message_is_refused_for_a_reason() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    bob.ok("block ada");
    assert_eq!(ada.error("message"), "usage");
    assert_eq!(ada.error("message bob"), "usage");
    assert_eq!(ada.error("message ada hello"), "self");
    assert_eq!(ada.error("message eve hello"), "unknown-user");
    assert_eq!(ada.error("message Bob hello"), "unknown-user");
    assert_eq!(ada.error("message bob hello"), "blocked");
    assert_eq!(ada.error("message carol    "), "empty-message");
    bob.expect_none("message");
}

#[test]
fn the_first_reason_in_the_list_is_the_one_told() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    Client::login(&server, "bob").ok("block ada");
    assert_eq!(ada.error("message ada    "), "self");
    assert_eq!(ada.error("message eve    "), "unknown-user");
    assert_eq!(ada.error("message bob    "), "blocked");
}

#[test]
fn a_text_may_have_16_kib_and_no_byte_more() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let longest = "x".repeat(TEXT_LEN_MAX);
    assert_eq!(ada.error(&format!("message bob {longest}x")), "too-long");
    // One character fewer than a text may have bytes, but far more bytes.
    assert_eq!(ada.error(&format!("message bob {}", "ж".repeat(TEXT_LEN_MAX - 1))), "too-long");
    assert_carried(&mut ada, &mut bob, &longest);
    assert_carried(&mut ada, &mut bob, &"ж".repeat(TEXT_LEN_MAX / 2));
    assert_eq!(ada.ok(&format!("message carol {longest}"))["state"], "stored");
    assert_eq!(Client::login(&server, "carol").expect("message")["text"], longest);
}

#[test]
fn a_text_arrives_as_it_was_written() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    for text in [
        "inner   spaces\tand tabs  stay",
        "żółw 名前 👩‍👩‍👧 e\u{301} \u{feff}\u{fffd}\u{10ffff}",
        "\u{1b}[31mred\u{7} \u{8}\u{0} \r back \u{7f} \u{85}\u{9b}2J \u{202e}txt.exe \u{2028}end",
        r#""quotes" \n \u001b {"event":"login"}"#,
        "message ada looks like a command",
    ] {
        assert_carried(&mut ada, &mut bob, text);
    }
}

#[test]
fn a_full_mailbox_refuses_more_and_loses_nothing() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let commands: Vec<_> = (0..=STORED_MAX).map(|number| format!("message bob {number}")).collect();
    ada.post_all(&commands);
    for number in 1..=STORED_MAX {
        let reply = ada.reply(number as u64);
        assert_eq!(reply["state"], "stored", "message {number}: {reply}");
    }
    assert_eq!(ada.reply(STORED_MAX as u64 + 1)["code"], "mailbox-full");
    assert_eq!(ada.ok("message carol there is room here")["state"], "stored");

    let mut bob = Client::login(&server, "bob");
    for number in 0..STORED_MAX {
        assert_eq!(bob.expect("message")["text"], number.to_string());
    }
    bob.expect_none("message");
    assert_carried(&mut ada, &mut bob, "room again");
    bob.ok("logout");
    bob.expect_end("logout", 0);
    assert_eq!(ada.ok("message bob and again")["state"], "stored");
}

#[test]
fn no_two_messages_share_an_id() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let mut ids = BTreeSet::new();
    for _ in 0..20 {
        ada.ok("message bob the same text");
        bob.ok("message ada the same text");
        ada.ok("broadcast the same text");
        for event in [ada.expect("message"), bob.expect("message"), bob.expect("broadcast")] {
            assert!(
                !event["id"].is_null() && ids.insert(event["id"].to_string()),
                "no id of its own: {event}"
            );
        }
    }
}
