//! Broadcasts: who gets them, and what their sender is told.

use serde_json::Value;

use crate::harness::{Client, Server};

/// Asserts what the sender is told; somebody's block comes with a warning, and nobody's with none.
#[track_caller]
fn assert_told(ok: &Value, delivered: u64, blocked: bool) {
    let warned = ok.get("warning").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let right = ok["delivered"] == delivered && ok["blocked"] == blocked && warned == blocked;
    assert!(right, "awaited: {delivered} delivered, blocked {blocked}, a warning only with it; got {ok}");
}

#[test]
fn a_broadcast_reaches_everybody_else_online() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    assert_told(&ada.ok("broadcast anybody here?"), 0, false);
    let mut bob = Client::login(&server, "bob");
    let mut carol = Client::login(&server, "carol");
    assert_told(&ada.ok("broadcast good  evening"), 2, false);
    let heard = [bob.expect("broadcast"), carol.expect("broadcast")];
    for event in &heard {
        assert_eq!((&event["from"], &event["text"]), (&"ada".into(), &"good  evening".into()));
        assert!(humantime::parse_rfc3339(event["sent_at"].as_str().unwrap_or_default()).is_ok(), "{event}");
    }
    assert_eq!(heard[0]["id"], heard[1]["id"]);
    ada.expect_none("broadcast");
    bob.expect_none("broadcast");
}

#[test]
fn a_broadcast_passes_by_whoever_blocked_its_sender_and_says_so() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let mut carol = Client::login(&server, "carol");
    bob.ok("block ada");
    assert_told(&ada.ok("broadcast hello"), 1, true);
    carol.expect("broadcast");
    bob.expect_none("broadcast");
    // A block works one way only.
    assert_told(&bob.ok("broadcast hello back"), 2, false);
    assert_eq!(ada.expect("broadcast")["from"], "bob");
}

#[test]
fn an_empty_broadcast_is_refused() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    assert_eq!(ada.error("broadcast"), "usage");
    assert_eq!(ada.error("broadcast    "), "empty-message");
    assert_eq!(ada.error(&format!("broadcast {}", "x".repeat(16 * 1024 + 1))), "too-long");
    bob.expect_none("broadcast");
}

#[test]
fn a_broadcast_does_not_wait_for_those_offline() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    assert_told(&ada.ok("broadcast too early"), 0, false);
    let mut bob = Client::login(&server, "bob");
    bob.expect_none("broadcast");
    bob.expect_none("message");
}
