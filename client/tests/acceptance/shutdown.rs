//! How a server ends, is asked to look at its accounts again, and what its clients say about it.

use std::fs;

use serde_json::Value;

use crate::harness::{Client, PATIENCE, PEOPLE, Server, ServerSetup, kind, write_credentials};

#[test]
fn a_terminated_server_tells_everybody_and_ends_cleanly() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::usual();
        let mut ada = Client::login(&server, "ada");
        let mut bob = Client::login(&server, "bob");
        server.terminate_with(signal);
        assert_eq!(server.wait(), 0);
        // "Lost for good": nobody expects the server to come back.
        ada.expect_end("shutdown", 1);
        bob.expect_end("shutdown", 1);
    }
}

#[test]
fn a_terminated_server_does_not_wait_for_silent_connections() {
    let mut server = Server::usual();
    let silent = std::net::TcpStream::connect(server.address()).unwrap();
    Client::login(&server, "ada").ok("whoelse");
    let stopped = Client::login(&server, "bob");
    stopped.signal("STOP");
    server.terminate_with("TERM");
    assert_eq!(server.wait(), 0);
    stopped.signal("CONT");
    drop(silent);
}

#[test]
fn a_leaving_user_does_not_wait_for_a_server_that_is_gone() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    server.kill();
    ada.expect("reconnecting");
    ada.ok("logout");
    ada.expect_end("logout", 0);
    bob.expect("reconnecting");
    bob.close_input();
    bob.expect_end("logout", 0);
}

#[test]
fn commands_under_way_when_the_user_leaves_a_lost_server_end_in_an_error() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let carol = Client::login(&server, "carol");
    carol.signal("STOP");
    // Nobody can confirm these; the answer after them shows that they are on their way.
    let last = ada.post_all(&["message carol one", "message carol two"]);
    ada.ok("whoelse");
    server.kill();
    ada.expect("reconnecting");
    let waiting = ada.post("message carol three");
    ada.expect("notice");
    ada.signal("INT");
    ada.expect_end("logout", 0);
    for number in 1..=last {
        assert_eq!(ada.reply(number)["code"], "not-confirmed");
    }
    assert_eq!(ada.reply(waiting)["code"], "not-connected");
}

#[test]
fn a_hangup_lets_new_accounts_in() {
    // Without lock-outs, so that trying until it works is no offence.
    let server = Server::start(&ServerSetup { block_duration: 0, ..ServerSetup::default() });
    let mut ada = Client::login(&server, "ada");
    assert_eq!(ada.error("message eve hello"), "unknown-user");
    write_credentials(&server.credentials_path(), &[PEOPLE, &[("eve", "new here")]].concat());
    server.hangup();
    let begin = std::time::Instant::now();
    let mut eve = loop {
        let (eve, answer) = Client::try_login(&server, "eve", "new here");
        if kind(&answer) == "login" {
            break eve;
        }
        if begin.elapsed() > PATIENCE {
            eve.fail("a log-in of the new account");
        }
    };
    assert_eq!(ada.ok("message eve hello")["state"], "delivered");
    assert_eq!(eve.expect("message")["from"], "ada");
}

#[test]
fn a_hangup_with_a_broken_file_changes_nothing() {
    let server = Server::usual();
    let path = server.credentials_path();
    let mut ada = Client::login(&server, "ada");
    fs::write(&path, "ada changed\nbroken\n").unwrap();
    let logged = server.log().lines().len();
    server.hangup();
    server.expect_log(logged, path.to_str().unwrap());
    ada.ok("whoelse");
    ada.ok("logout");
    ada.expect_end("logout", 0);
    // The old passwords stand, and a good file is taken again.
    Client::login(&server, "ada").ok("whoelse");
    Client::login(&server, "bob").ok("whoelse");
    let logged = server.log().lines().len();
    write_credentials(&path, &[PEOPLE, &[("eve", "new here")]].concat());
    server.hangup();
    server.expect_log(logged, path.to_str().unwrap());
    let (_eve, answer) = Client::try_login(&server, "eve", "new here");
    assert_eq!((kind(&answer), &answer["user"]), ("login", &Value::from("eve")));
}
