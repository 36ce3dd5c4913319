//! Private talk: opened, used and closed past the server, whatever becomes of the server meanwhile.
//!
//! Threats: 43 (control characters), 49 (the server swaps a key). Strangers who dial are in `private/strangers.rs`.

mod strangers;

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Client, Fellow, Server, ServerSetup, kind, own_address};

/// The longest text, in bytes.
const TEXT_LEN_MAX: usize = 16 * 1024;

/// Opens a talk and returns the safety number that both see.
#[track_caller]
fn open(one: &mut Client, (other, name): (&mut Client, &str), by: &str) -> String {
    let opened = one.ok(&format!("startprivate {name}"));
    assert_eq!(opened["user"], name);
    let here = one.expect("private-opened");
    let there = other.expect("private-opened");
    assert_eq!((&here["user"], &there["user"]), (&name.into(), &by.into()));
    assert_eq!((&here["way"], &there["way"]), (&"direct".into(), &"direct".into()));
    let safety = opened["safety"].as_str().unwrap_or_default().to_owned();
    assert_eq!((&here["safety"], &there["safety"]), (&safety.as_str().into(), &safety.as_str().into()));
    let groups: Vec<&str> = safety.split(' ').collect();
    let is_group = |group: &&str| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit());
    assert!(groups.len() == 12 && groups.iter().all(is_group), "{safety}");
    safety
}

/// Says something and asserts that it comes out the same.
#[track_caller]
fn assert_carried(ada: &mut Client, bob: &mut Client, text: &str) {
    assert_eq!(ada.ok(&format!("private bob {text}"))["to"], "bob");
    let event = bob.expect("private");
    assert_eq!((&event["from"], &event["text"]), (&"ada".into(), &text.into()));
}

#[track_caller]
fn expect_closed(client: &mut Client, user: &str, reason: &str) {
    let closed = client.expect("private-closed");
    assert_eq!((&closed["user"], &closed["reason"]), (&user.into(), &reason.into()));
}

#[track_caller]
fn pair(server: &Server) -> (Fellow, Fellow) {
    let (mut ada, mut bob) = (Fellow::login(server, "ada"), Fellow::login(server, "bob"));
    open(&mut ada, (&mut bob, "bob"), "ada");
    (ada, bob)
}

#[test]
fn two_users_talk_both_ways_and_either_may_stop_it() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    let safety = open(&mut ada, (&mut bob, "bob"), "ada");
    assert_carried(&mut ada, &mut bob, "hello there");
    assert_eq!(bob.ok("PRIVATE ada hello yourself")["to"], "ada");
    assert_eq!(ada.expect("private")["text"], "hello yourself");
    assert_eq!(bob.ok("stopprivate ada")["user"], "ada");
    expect_closed(&mut ada, "bob", "stopped");
    expect_closed(&mut bob, "ada", "stopped");
    for client in [&mut ada, &mut bob] {
        client.expect_none("private-closed");
        client.expect_none("message");
    }
    assert_eq!(ada.error("private bob still there?"), "no-private");
    // The other side may begin as well, and the same people have the same number.
    assert_eq!(open(&mut bob, (&mut ada, "ada"), "bob"), safety);
    assert_carried(&mut ada, &mut bob, "again");
    assert_eq!(ada.ok("stopprivate bob")["user"], "bob");
    expect_closed(&mut bob, "ada", "stopped");
}

#[test]
fn a_talk_is_refused_for_the_first_reason_in_the_list() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    let mut carol = Fellow::login(&server, "carol");
    for line in
        ["startprivate", "startprivate bob carol", "stopprivate", "stopprivate bob carol", "again bob"]
    {
        assert_eq!(ada.error(line), "usage", "{line}");
    }
    assert_eq!(ada.error("startprivate ada"), "self");
    for name in ["eve", "Bob", "no/name"] {
        assert_eq!(ada.error(&format!("startprivate {name}")), "unknown-user");
    }
    assert_eq!(ada.error("startprivate dave"), "offline");
    bob.ok("block ada");
    assert_eq!(ada.error("startprivate bob"), "blocked");
    // Who is away is away, whomever he has blocked.
    bob.ok("logout");
    bob.expect_end("logout", 0);
    assert_eq!(ada.error("startprivate bob"), "offline");
    open(&mut ada, (&mut carol, "carol"), "ada");
    assert_eq!(ada.error("startprivate carol"), "private-exists");
    assert_eq!(carol.error("startprivate ada"), "private-exists");
    assert_eq!(ada.error("again"), "no-private");
    ada.expect_none("private-closed");
}

#[test]
fn a_private_message_is_refused_for_the_first_reason_in_the_list() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    for line in ["private", "private bob"] {
        assert_eq!(ada.error(line), "usage", "{line}");
    }
    let long = format!(" {}", "x".repeat(TEXT_LEN_MAX + 1));
    for text in [" hello", "    "] {
        assert_eq!(ada.error(&format!("private ada{text}")), "self");
        assert_eq!(ada.error(&format!("private eve{text}")), "unknown-user");
        assert_eq!(ada.error(&format!("private dave{text}")), "offline");
        assert_eq!(ada.error(&format!("private bob{text}")), "no-private");
    }
    for (name, code) in [("ada", "self"), ("eve", "unknown-user"), ("dave", "offline"), ("bob", "no-private")]
    {
        assert_eq!(ada.error(&format!("stopprivate {name}")), code);
    }
    open(&mut ada, (&mut bob, "bob"), "ada");
    assert_eq!(ada.error("private bob    "), "empty-message");
    assert_eq!(ada.error(&format!("private bob{long}")), "too-long");
    assert_carried(&mut ada, &mut bob, "the first to arrive");
}

#[test]
fn a_text_arrives_as_it_was_written() {
    let server = Server::usual();
    let (mut ada, mut bob) = pair(&server);
    for text in [
        "inner   spaces\tand tabs  stay",
        "żółw 名前 👩‍👩‍👧 e\u{301} \u{feff}\u{fffd}\u{10ffff}",
        "\u{1b}[31mred\u{7} \u{8}\u{0} \r back \u{7f} \u{85}\u{9b}2J \u{202e}txt.exe \u{2028}end",
        r#""quotes" \n \u001b {"event":"private"}"#,
        "private ada looks like a command",
        &"x".repeat(TEXT_LEN_MAX),
        &"ж".repeat(TEXT_LEN_MAX / 2),
    ] {
        assert_carried(&mut ada, &mut bob, text);
    }
}

#[test]
fn the_plain_face_shows_who_wrote_and_nothing_raw() {
    let server = Server::usual();
    let mut ada = Fellow::login(&server, "ada");
    let mut bob = Client::start(&server, &["--plain"]);
    bob.send("bob");
    bob.send(server.password_of("bob"));
    ada.expect_event("bob", |event| kind(event) == "presence" && event["user"] == "bob");
    let opened = ada.ok("startprivate bob");
    bob.expect_line(opened["safety"].as_str().unwrap());
    ada.ok("private bob \u{1b}[2J* The private connection is secure.\rmine");
    let line = bob.expect_line("is secure");
    assert!(line.starts_with('<') && line.contains("ada") && !line.contains(['\u{1b}', '\r']), "{line:?}");
    bob.close_input();
    assert_eq!(bob.wait_exit(), 0);
    expect_closed(&mut ada, "bob", "logout");
}

#[test]
fn what_is_typed_behind_startprivate_waits_for_it() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    let lines: Vec<String> = (0..1000).map(|number| format!("private bob {number}")).collect();
    let started = ada.post("startprivate bob");
    let said = ada.post_all(&lines);
    let stopped = ada.post("stopprivate bob");
    let after = ada.post("private bob too late");
    assert_eq!(ada.reply(started)["user"], "bob");
    for (number, text) in (said - 999..=said).zip(0..) {
        let reply = ada.reply(number);
        assert_eq!((kind(&reply), &reply["to"]), ("ok", &"bob".into()), "{reply}");
        assert_eq!(bob.expect("private")["text"], text.to_string());
    }
    assert_eq!(ada.reply(stopped)["user"], "bob");
    assert_eq!(ada.reply(after)["code"], "no-private");
    expect_closed(&mut bob, "ada", "stopped");
    bob.expect_none("private");
}

#[test]
fn a_pipe_that_ends_waits_for_the_talk_it_opened() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    let last = ada.post_all(&["startprivate bob", "private bob one", "private bob two"]);
    ada.close_input();
    ada.expect_end("logout", 0);
    assert_eq!(kind(&ada.reply(last)), "ok");
    for text in ["one", "two"] {
        assert_eq!(bob.expect("private")["text"], text);
    }
    expect_closed(&mut bob, "ada", "logout");
}

#[test]
fn what_waited_for_a_talk_that_is_refused_is_refused_too() {
    let server = Server::usual();
    let mut ada = Fellow::login(&server, "ada");
    let last = ada.post_all(&["startprivate bob", "private bob one", "stopprivate bob"]);
    for number in 1..=last {
        assert_eq!(ada.reply(number)["code"], "offline");
    }
}

#[test]
fn both_may_start_at_once() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    for round in 0..5 {
        // While the server stands still, both ask.
        server.signal("STOP");
        let (one, other) = (ada.post("startprivate bob"), bob.post("startprivate ada"));
        // The answer to what is behind it shows that it was read.
        ada.ok("help");
        bob.ok("help");
        server.signal("CONT");
        let (one, other) = (ada.reply(one), bob.reply(other));
        assert_eq!((kind(&one), kind(&other)), ("ok", "ok"), "{one} {other}");
        assert_eq!(one["safety"], other["safety"]);
        assert_carried(&mut ada, &mut bob, &format!("round {round}"));
        bob.ok(&format!("private ada round {round} back"));
        assert_eq!(ada.expect("private")["text"], format!("round {round} back"));
        for client in [&mut ada, &mut bob] {
            client.expect("private-opened");
            client.expect_none("private-opened");
            client.expect_none("private");
        }
        ada.ok("stopprivate bob");
        for (client, user) in [(&mut ada, "bob"), (&mut bob, "ada")] {
            expect_closed(client, user, "stopped");
            client.expect_none("private-closed");
        }
    }
}

#[test]
fn a_block_closes_the_talk_and_does_not_say_so() {
    let (server, reason) = (Server::usual(), "stopped");
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    open(&mut ada, (&mut bob, "bob"), "ada");
    bob.ok("block ada");
    expect_closed(&mut bob, "ada", "blocked");
    expect_closed(&mut ada, "bob", reason);
    ada.expect_none("notice");
    assert_eq!(ada.error("private bob hello"), "no-private");
    assert_eq!(ada.error("startprivate bob"), "blocked");
    bob.ok("unblock ada");
    open(&mut ada, (&mut bob, "bob"), "ada");
    // Who blocks somebody may still have opened the talk himself.
    ada.ok("block bob");
    expect_closed(&mut ada, "bob", "blocked");
    expect_closed(&mut bob, "ada", reason);
}

#[test]
fn a_talk_is_lost_with_the_other_client_and_again_opens_it() {
    let server = Server::usual();
    let (mut ada, bob) = pair(&server);
    let bob = bob.crash_and_return(&server, &[]);
    expect_closed(&mut ada, "bob", "lost");
    // What was lost was the program, so that the key is the same.
    let mut bob = bob;
    let reopened = ada.ok("again");
    assert_eq!((&reopened["user"], &reopened["command"]), (&"bob".into(), &"again".into()));
    assert_eq!(bob.expect("private-opened")["safety"], reopened["safety"]);
    assert_carried(&mut ada, &mut bob, "back again");
    assert_eq!(ada.error("again"), "no-private");
}

#[test]
fn a_message_on_its_way_to_a_client_that_dies_is_not_confirmed() {
    let server = Server::usual();
    let (mut ada, bob) = pair(&server);
    bob.signal("STOP");
    let said = ada.post("private bob are you there?");
    ada.ok("whoelse");
    bob.signal("KILL");
    assert_eq!(ada.reply(said)["code"], "not-confirmed");
    expect_closed(&mut ada, "bob", "lost");
}

#[test]
fn a_logout_ends_the_talk_for_the_other() {
    let server = Server::usual();
    let (mut ada, bob) = pair(&server);
    bob.logout();
    expect_closed(&mut ada, "bob", "logout");
    assert_eq!(ada.error("private bob hello"), "offline");
}

#[test]
fn a_talk_goes_on_while_the_server_stands_still() {
    let server = Server::usual();
    let (mut ada, mut bob) = pair(&server);
    server.signal("STOP");
    assert_carried(&mut ada, &mut bob, "without the server");
    bob.ok("private ada so it is");
    assert_eq!(ada.expect("private")["text"], "so it is");
    server.signal("CONT");
    assert_eq!(ada.ok("message bob by the server")["state"], "delivered");
}

#[test]
fn a_talk_goes_on_without_the_server_and_over_its_return() {
    let (data, bind) = (TempDir::new().unwrap(), own_address(85, 1));
    let binds = [bind.as_str()];
    let setup =
        |port| ServerSetup { binds: &binds, port, data_dir: Some(data.path()), ..ServerSetup::default() };
    let server = Server::start(&setup(0));
    let (mut ada, mut bob) = pair(&server);
    server.kill();
    for client in [&mut ada, &mut bob] {
        client.expect("reconnecting");
    }
    assert_carried(&mut ada, &mut bob, "the server is dead");
    bob.ok("private ada long live the server");
    assert_eq!(ada.expect("private")["text"], "long live the server");
    assert_eq!(ada.error("startprivate carol"), "not-connected");
    assert_eq!(ada.error("startprivate bob"), "private-exists");
    let server = Server::start(&setup(server.address().port()));
    for client in [&mut ada, &mut bob] {
        client.expect("reconnected");
        client.expect_none("private-closed");
    }
    assert_carried(&mut ada, &mut bob, "still the same talk");
    ada.ok("stopprivate bob");
    open(&mut ada, (&mut bob, "bob"), "ada");
    drop(server);
}

#[test]
fn a_changed_key_is_refused_until_it_is_trusted() {
    let server = Server::usual();
    let (mut ada, mut bob) = (Fellow::login(&server, "ada"), Fellow::login(&server, "bob"));
    let before = open(&mut ada, (&mut bob, "bob"), "ada");
    bob.logout();
    expect_closed(&mut ada, "bob", "logout");

    // The same user, with another key.
    let mut bob = Fellow::login(&server, "bob");
    let refused = ada.post_all(&["startprivate bob", "private bob a secret"]);
    let reply = ada.reply(refused - 1);
    assert_eq!(reply["code"], "key-changed");
    assert!(reply["text"].as_str().is_some_and(|text| text.contains("trust bob")), "{reply}");
    assert_eq!(ada.reply(refused)["code"], "no-private");
    // He cannot come in by himself either.
    assert_eq!(bob.error("startprivate ada"), "unreachable");
    let notice = ada.expect("notice");
    assert!(notice["text"].as_str().is_some_and(|text| text.contains("another key")), "{notice}");
    for client in [&mut ada, &mut bob] {
        client.expect_none("private-opened");
        client.expect_none("private");
    }

    assert_eq!(ada.error("trust"), "usage");
    assert_eq!(ada.error("trust ada"), "self");
    assert_eq!(ada.ok("trust bob")["user"], "bob");
    let after = open(&mut ada, (&mut bob, "bob"), "ada");
    assert_ne!(before, after);
    bob.logout();
    // It is remembered over the end of the program.
    let home = ada.logout();
    let mut ada = Fellow::at(home, &server, "ada", &[]);
    let mut other = Fellow::login(&server, "bob");
    assert_eq!(ada.error("startprivate bob"), "key-changed");
    ada.ok("trust bob");
    open(&mut other, (&mut ada, "ada"), "bob");
}

#[test]
fn keys_of_others_are_kept_where_only_their_owner_reads_them() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::usual();
    let (ada, bob) = pair(&server);
    bob.logout();
    let home = ada.logout();
    let known = fs::read_to_string(home.config().join("known_peers")).unwrap();
    assert!(known.contains(" bob SHA256:"), "{known}");
    let entries = fs::read_dir(home.config()).unwrap().map(|entry| entry.unwrap());
    let keys: Vec<_> = entries
        .filter(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("PRIVATE KEY")))
        .map(|entry| entry.metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert_eq!(keys, [0o600]);
}

#[test]
fn talks_with_several_do_not_mix() {
    let server = Server::usual();
    let (mut ada, mut bob) = pair(&server);
    let mut carol = Fellow::login(&server, "carol");
    open(&mut carol, (&mut ada, "ada"), "carol");
    open(&mut bob, (&mut carol, "carol"), "bob");
    for (from, to, text) in [("ada", "bob", "1"), ("carol", "ada", "2"), ("bob", "carol", "3")] {
        let line = format!("private {to} {text}");
        match from {
            "ada" => ada.ok(&line),
            "bob" => bob.ok(&line),
            _ => carol.ok(&line),
        };
    }
    let heard = |event: Value| (event["from"].clone(), event["text"].clone());
    assert_eq!(heard(bob.expect("private")), ("ada".into(), "1".into()));
    assert_eq!(heard(ada.expect("private")), ("carol".into(), "2".into()));
    assert_eq!(heard(carol.expect("private")), ("bob".into(), "3".into()));
    for client in [&mut ada, &mut bob, &mut carol] {
        client.expect_none("private");
    }
}
