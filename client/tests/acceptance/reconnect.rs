//! A client whose connection is lost makes it again by itself, and sends again what had no answer.
//!
//! Threats: 34 (killed anywhere), 39 (lost acknowledgement, resend), 42 (everybody comes back at once), as far as
//! one server and a few clients show them.

use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Client, Server, ServerSetup, kind, own_address};

/// A loopback address of this test's own, so that the port is free again after its server.
fn address(number: u8) -> String {
    own_address(84, number)
}

fn server_at(bind: &str, port: u16, data_dir: &Path) -> Server {
    Server::start(&ServerSetup { binds: &[bind], port, data_dir: Some(data_dir), ..ServerSetup::default() })
}

/// Kills the server and starts it anew, on the same port and with what it had on disk.
fn restart(server: Server, bind: &str, data_dir: &Path) -> Server {
    let port = server.address().port();
    server.kill();
    server_at(bind, port, data_dir)
}

#[test]
fn a_client_comes_back_without_asking_anybody_and_goes_on() {
    let (data, bind) = (TempDir::new().unwrap(), address(1));
    let server = server_at(&bind, 0, data.path());
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let server = restart(server, &bind, data.path());
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.expect("reconnecting")["attempt"], 1);
        client.expect("reconnected");
    }
    assert_eq!(ada.ok("message bob back again")["state"], "delivered");
    assert_eq!(bob.expect("message")["text"], "back again");
    assert_eq!(ada.events().iter().filter(|event| kind(event) == "login").count(), 1);
    drop(server);
}

#[test]
fn what_had_no_answer_is_sent_again_and_what_is_typed_meanwhile_waits() {
    let (data, bind) = (TempDir::new().unwrap(), address(2));
    let server = server_at(&bind, 0, data.path());
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    bob.signal("STOP");
    let unanswered = ada.post("message bob before");
    ada.ok("whoelse");
    let (port, log) = (server.address().port(), server.log());
    server.kill();
    drop(log);
    ada.expect("reconnecting");
    let typed = ada.post("message bob meanwhile");
    let blocked = ada.post("block carol");
    ada.expect("notice");
    let server = server_at(&bind, port, data.path());
    ada.expect("reconnected");
    bob.signal("CONT");
    bob.expect("reconnected");
    assert_eq!(kind(&ada.reply(unanswered)), "ok");
    assert_eq!(kind(&ada.reply(typed)), "ok");
    assert_eq!(kind(&ada.reply(blocked)), "ok");
    assert_eq!(bob.expect_event("the first", |event| event["text"] == "before")["from"], "ada");
    assert_eq!(bob.expect_event("the second", |event| event["text"] == "meanwhile")["from"], "ada");
    assert_eq!(ada.ok("message bob after")["state"], "delivered");
    bob.expect_event("the third", |event| event["text"] == "after");
    let shown = bob.events().iter().filter(|event| kind(event) == "message").count();
    assert_eq!(shown, 3, "each once");
    drop(server);
}

#[test]
fn a_server_that_comes_back_with_another_key_is_refused() {
    let (data, other, bind) = (TempDir::new().unwrap(), TempDir::new().unwrap(), address(3));
    let server = server_at(&bind, 0, data.path());
    let mut ada = Client::login(&server, "ada");
    let _other = restart(server, &bind, other.path());
    ada.expect("reconnecting");
    ada.expect_end("lost", 5);
}
