//! Lists of people: who is here, who was here, and who is blocked.

use crate::harness::{Client, Server};

/// The users a command lists, in the order listed.
#[track_caller]
fn users(client: &mut Client, command: &str) -> Vec<String> {
    let ok = client.ok(command);
    let users = ok["users"].as_array().unwrap_or_else(|| client.fail(&format!("`users` in {ok}")));
    users.iter().map(|user| user.as_str().unwrap_or_default().to_owned()).collect()
}

/// The same where no order is promised.
#[track_caller]
fn users_sorted(client: &mut Client, command: &str) -> Vec<String> {
    let mut users = users(client, command);
    users.sort();
    users
}

#[test]
fn whoelse_lists_the_others_sorted() {
    let server = Server::usual();
    let mut carol = Client::login(&server, "carol");
    assert_eq!(users(&mut carol, "whoelse"), [""; 0]);
    let _dave = Client::login(&server, "dave");
    let mut bob = Client::login(&server, "bob");
    let _ada = Client::login(&server, "ada");
    assert_eq!(users(&mut carol, "whoelse"), ["ada", "bob", "dave"]);
    assert_eq!(users(&mut bob, "whoelse"), ["ada", "carol", "dave"]);
    bob.ok("logout");
    bob.expect_end("logout", 0);
    assert_eq!(users(&mut carol, "whoelse"), ["ada", "dave"]);
}

#[test]
fn whoelsesince_lists_those_who_have_left_too() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let _carol = Client::login(&server, "carol");
    let mut bob = Client::login(&server, "bob");
    bob.ok("logout");
    bob.expect_end("logout", 0);
    assert_eq!(users_sorted(&mut ada, "whoelsesince 60"), ["bob", "carol"]);
    assert_eq!(users_sorted(&mut ada, "whoelsesince 1000000000"), ["bob", "carol"]);
    // Everybody online is online now, and nobody else is.
    assert_eq!(users(&mut ada, "whoelse"), ["carol"]);
    assert!(users(&mut ada, "whoelsesince 0").contains(&"carol".to_owned()));
}

#[test]
fn whoelsesince_takes_one_number_of_seconds() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    for arguments in ["", " soon", " -1", " 1.5", " 1 2", " 0x10", " 10s"] {
        assert_eq!(ada.error(&format!("whoelsesince{arguments}")), "usage", "for `{arguments}`");
    }
}

#[test]
fn a_block_is_made_listed_and_lifted() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    assert_eq!(users(&mut ada, "blocklist"), [""; 0]);
    assert_eq!(ada.ok("block bob")["user"], "bob");
    assert_eq!(ada.ok("block carol")["user"], "carol");
    assert_eq!(users_sorted(&mut ada, "blocklist"), ["bob", "carol"]);
    assert_eq!(ada.ok("unblock bob")["user"], "bob");
    assert_eq!(users(&mut ada, "blocklist"), ["carol"]);
    ada.ok("logout");
    ada.expect_end("logout", 0);
    assert_eq!(users(&mut Client::login(&server, "ada"), "blocklist"), ["carol"]);
}

#[test]
fn a_block_is_refused_for_a_reason() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    for command in ["block", "unblock", "block bob carol", "unblock bob carol", "blocklist bob"] {
        assert_eq!(ada.error(command), "usage", "for `{command}`");
    }
    assert_eq!(ada.error("block ada"), "self");
    assert_eq!(ada.error("unblock ada"), "self");
    assert_eq!(ada.error("block eve"), "unknown-user");
    assert_eq!(ada.error("unblock eve"), "unknown-user");
    assert_eq!(ada.error("unblock bob"), "not-blocked");
    ada.ok("block bob");
    assert_eq!(ada.error("block bob"), "already-blocked");
    ada.ok("unblock bob");
    assert_eq!(ada.error("unblock bob"), "not-blocked");
}

#[test]
fn a_block_stops_messages_until_it_is_lifted() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    ada.ok("block bob");
    assert_eq!(bob.error("message ada hello"), "blocked");
    assert_eq!(ada.ok("message bob I can still write")["state"], "delivered");
    bob.expect("message");
    ada.ok("unblock bob");
    assert_eq!(bob.ok("message ada hello again")["state"], "delivered");
    assert_eq!(ada.expect("message")["text"], "hello again");
    ada.expect_none("message");
}

#[test]
fn a_block_holds_while_its_owner_is_offline() {
    let server = Server::usual();
    Client::login(&server, "ada").ok("block bob");
    let mut bob = Client::login(&server, "bob");
    assert_eq!(bob.error("message ada hello"), "blocked");
    assert_eq!(bob.ok("broadcast hello")["delivered"], 0);
}

#[test]
fn a_block_is_silent() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    ada.ok("block bob");
    assert_eq!(users(&mut bob, "whoelse"), ["ada"]);
    assert_eq!(users(&mut bob, "whoelsesince 60"), ["ada"]);
    bob.expect_none("notice");
    bob.expect_none("presence");
    ada.ok("logout");
    assert_eq!(bob.expect("presence")["reason"], "logout");
    assert_eq!(users(&mut bob, "whoelsesince 60"), ["ada"]);
    let _ada = Client::login(&server, "ada");
    assert_eq!(bob.expect("presence")["reason"], "login");
    assert_eq!(users(&mut bob, "whoelse"), ["ada"]);
}

#[test]
fn messages_stored_before_a_block_still_come() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    for number in 0..20 {
        ada.ok(&format!("message bob {number}"));
    }
    let (mut bob, _login) = Client::try_login(&server, "bob", "two words");
    bob.ok("block ada");
    for number in 0..20 {
        assert_eq!(bob.expect("message")["text"], number.to_string());
    }
}
