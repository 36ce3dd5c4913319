//! Who comes and goes, why, and who is sent away for doing nothing.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Client, Server, ServerSetup, kind};

/// Asserts the news about one user.
#[track_caller]
fn assert_news(event: &Value, user: &str, online: bool, reason: &str) {
    let right = event["user"] == user && event["online"] == online && event["reason"] == reason;
    assert!(right, "awaited: presence of {user}, online {online}, reason {reason}; got {event}");
}

/// Asks something every tenth of a second for as long as `time`, or until `wanted` accepts an event.
fn stay_busy(
    client: &mut Client,
    commands: &[&str],
    time: Duration,
    wanted: fn(&Value) -> bool,
) -> Option<Value> {
    let begin = Instant::now();
    let mut commands = commands.iter().cycle();
    while begin.elapsed() < time {
        client.ok(commands.next()?);
        let event = client.wait_for(Duration::from_millis(100), wanted);
        if event.is_some() {
            return event;
        }
    }
    None
}

#[test]
fn others_see_a_login_and_a_logout() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    assert_news(&ada.expect("presence"), "bob", true, "login");
    bob.ok("logout");
    assert_news(&ada.expect("presence"), "bob", false, "logout");
    ada.expect_none("presence");
}

#[test]
fn others_see_the_end_of_input_as_a_logout() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    assert_news(&ada.expect("presence"), "bob", true, "login");
    bob.close_input();
    assert_news(&ada.expect("presence"), "bob", false, "logout");
}

#[test]
fn others_see_that_a_client_was_lost() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let bob = Client::login(&server, "bob");
    assert_news(&ada.expect("presence"), "bob", true, "login");
    bob.signal("KILL");
    assert_news(&ada.expect("presence"), "bob", false, "lost");
    Client::login(&server, "bob");
    assert_news(&ada.expect("presence"), "bob", true, "login");
}

#[test]
fn others_see_that_someone_timed_out() {
    let server = Server::start(&ServerSetup { timeout: 2, ..ServerSetup::default() });
    let mut ada = Client::login(&server, "ada");
    let _bob = Client::login(&server, "bob");
    assert_news(&ada.expect("presence"), "bob", true, "login");
    let left = stay_busy(&mut ada, &["whoelse"], Duration::from_secs(20), |event| kind(event) == "presence");
    assert_news(&left.unwrap_or_else(|| ada.fail("bob's time-out")), "bob", false, "timeout");
}

#[test]
fn nobody_is_told_of_himself() {
    let server = Server::usual();
    let _ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    bob.expect_none("presence");
}

#[test]
fn a_refused_login_is_no_news() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let (mut bob, answer) = Client::try_login(&server, "bob", "wrong");
    assert_eq!(kind(&answer), "login-failed");
    bob.wait_exit();
    ada.expect_none("presence");
}

#[test]
fn whoever_does_nothing_is_logged_out() {
    let server = Server::start(&ServerSetup { timeout: 1, ..ServerSetup::default() });
    let mut ada = Client::login(&server, "ada");
    ada.expect_end("timeout", 4);
}

#[test]
fn messages_that_come_do_not_count_as_activity() {
    let server = Server::start(&ServerSetup { timeout: 2, ..ServerSetup::default() });
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    assert_news(&ada.expect("presence"), "bob", true, "login");
    let left = stay_busy(&mut ada, &["message bob wake up"], Duration::from_secs(20), |event| {
        kind(event) == "presence"
    });
    assert_news(&left.unwrap_or_else(|| ada.fail("bob's time-out")), "bob", false, "timeout");
    bob.expect_end("timeout", 4);
}

#[test]
fn any_command_counts_as_activity() {
    let server = Server::start(&ServerSetup { timeout: 2, ..ServerSetup::default() });
    let mut ada = Client::login(&server, "ada");
    let commands = [
        "message bob hello",
        "broadcast hello",
        "whoelse",
        "whoelsesince 5",
        "block bob",
        "blocklist",
        "unblock bob",
    ];
    let left = stay_busy(&mut ada, &commands, Duration::from_secs(3), |event| kind(event) == "disconnected");
    assert_eq!(left, None);
    ada.expect_end("timeout", 4);
}

#[test]
fn asking_for_help_counts_as_activity() {
    let server = Server::start(&ServerSetup { timeout: 2, ..ServerSetup::default() });
    let mut ada = Client::login(&server, "ada");
    let left = stay_busy(&mut ada, &["help"], Duration::from_secs(3), |event| kind(event) == "disconnected");
    assert_eq!(left, None);
    ada.ok("whoelse");
}
