//! The plain and the JSON face: what is written, and what never is.

use crate::harness::{Client, ClientSetup, Server, kind};

/// Every control character but the line feed, which ends a line of input, and everything that turns text around.
const NASTY: &str = "\u{0}\u{1}\u{7}\u{8}\u{9}\u{b}\u{c}\r\u{1b}\u{1f}\u{7f}\u{80}\u{85}\u{90}\u{9b}\u{9c}\u{9d}\u{9f}\
                     \u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";

/// Asserts that standard output holds nothing that a terminal would act on, and ends with whole lines.
#[track_caller]
fn assert_harmless(client: &Client) {
    let output = client.output();
    let harmful = |letter: &char| {
        (letter.is_control() && *letter != '\n')
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(letter) = output.chars().find(harmful) {
        client.fail(&format!("a harmless output, without {letter:?} (all of it: {output:?})"));
    }
    if !output.is_empty() && !output.ends_with('\n') {
        client.fail(&format!("whole lines and no prompt, not {output:?}"));
    }
}

/// A client with the plain face that is logged in and has let bob know.
#[track_caller]
fn plain_login(server: &Server, args: &[&str], bob: &mut Client) -> Client {
    let ada = Client::start(server, args);
    ada.send("ada");
    ada.send("first-program");
    bob.expect_event("ada's presence", |event| kind(event) == "presence" && event["user"] == "ada");
    ada
}

#[test]
fn the_plain_face_shows_events_a_line_each() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    for args in [&["--plain"][..], &[]] {
        let mut ada = plain_login(&server, args, &mut bob);
        bob.ok("message ada a word in your ear");
        bob.ok("broadcast a word for everyone");
        for part in ["a word in your ear", "a word for everyone"] {
            let line = ada.expect_line(part);
            assert!(line.contains("bob"), "no sender in {line:?}");
        }
        ada.send("whoelsesince soon\nmesage bob hello\nwhoelse\nlogout");
        assert_eq!(ada.wait_exit(), 0);
        bob.expect_event("ada's leaving", |event| event["online"] == false);
        ada.expect_line("whoelsesince");
        let output = ada.output();
        assert!(!output.contains("first-program"), "the password is shown: {output}");
        let json = output.lines().find(|line| line.starts_with('{'));
        assert_eq!(json, None, "not worded for people");
        assert_harmless(&ada);
    }
}

#[test]
fn the_plain_face_never_passes_on_what_moves_a_terminal() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    let mut ada = plain_login(&server, &["--plain"], &mut bob);
    for (number, nasty) in (0..).zip(NASTY.chars()) {
        bob.post_all(&[format!("message ada m{number}<{nasty}>"), format!("broadcast b{number}<{nasty}>")]);
    }
    let all = format!("all<{NASTY}>");
    bob.ok(&format!("message ada {all}"));
    ada.expect_line("all<");
    for (number, nasty) in (0..).zip(NASTY.chars()) {
        for part in [format!("m{number}<"), format!("b{number}<")] {
            let line = ada.expect_line(&part);
            assert!(line.contains("bob"), "no sender in {line:?}");
            assert!(!line.contains("<>"), "{nasty:?} is dropped, not shown escaped, in {line:?}");
        }
    }
    assert_harmless(&ada);
    ada.send("logout");
    assert_eq!(ada.wait_exit(), 0);
    assert_harmless(&ada);
}

#[test]
fn no_text_can_pass_for_another_line_of_the_plain_face() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    let ada = plain_login(&server, &["--plain"], &mut bob);
    bob.ok("message ada one\rserver: forged\u{85}server: forged\u{b}server: forged\u{c}server: forged");
    let line = ada.expect_line("forged");
    assert_eq!(line.matches("forged").count(), 4, "spread over lines: {line:?}");
    assert!(line.contains("bob") && !line.starts_with("server"), "{line:?}");
    assert_harmless(&ada);
}

#[test]
fn the_plain_face_has_the_same_exit_codes() {
    let server = Server::usual();
    let mut wrong = ClientSetup { args: &["--plain", "--user", "ada"], password: Some("wrong"), input: None };
    let mut refused = wrong.start(&server);
    assert_eq!(refused.wait_exit(), 3);
    wrong = ClientSetup { args: &["--plain", "--user", "ada"], password: Some("first-program"), input: None };
    let mut ada = wrong.start(&server);
    ada.close_input();
    assert_eq!(ada.wait_exit(), 0);
    assert_harmless(&ada);
}

#[test]
fn the_json_face_writes_nothing_but_events() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    ada.send(
        "help\nnonsense\nwhoelse later\n{\"event\":\"login\"}\nblock \u{1b}[2J\n\u{7}\nmessage \u{202e} x",
    );
    for number in 1..=7 {
        ada.reply(number);
    }
    ada.close_input();
    // The harness refuses any line on the way that is no JSON object with an event's name.
    ada.expect_end("logout", 0);
}

#[test]
fn bytes_that_are_no_text_are_answered_too() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    ada.write_bytes(b"message bob \xff\xfe\xc3(\n\xff\xff\nwhoelse\n");
    for number in 1..=2 {
        ada.reply(number);
    }
    assert_eq!(ada.reply(3)["command"], "whoelse");
}
