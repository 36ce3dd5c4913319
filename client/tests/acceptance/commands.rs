//! The command line itself: words, numbers, many at once, and the end of input.

use std::fs::{self, File};

use serde_json::Value;

use crate::harness::{Client, ClientSetup, Server, kind};

/// How many commands come at once.
const CROWD: u64 = 500;

/// The commands of the chat.
const WORDS: [&str; 9] =
    ["message", "broadcast", "whoelse", "whoelsesince", "block", "unblock", "blocklist", "logout", "help"];

/// Command `number` of a crowd: the texts carry the number, so that order and wholeness show at the other end.
fn crowd(number: u64) -> String {
    match number % 5 {
        0 => format!("message bob {number} {}", "m".repeat(100)),
        1 => format!("broadcast {number} {}", "b".repeat(100)),
        2 => "whoelse".to_owned(),
        3 => "whoelsesince 60".to_owned(),
        _ => format!("message eve {number}"),
    }
}

/// Asserts that a crowd's commands were answered, each once, and that bob heard them whole and in order.
#[track_caller]
fn assert_crowd(sender: &[Value], bob: &mut Client) {
    let mut answered: Vec<_> = sender.iter().filter_map(|event| event["re"].as_u64()).collect();
    answered.sort_unstable();
    assert!(answered.into_iter().eq(1..=CROWD), "not one answer each: {sender:?}");
    for event in sender.iter().filter(|event| event["re"].is_u64()) {
        let command = crowd(event["re"].as_u64().unwrap());
        let awaited = if command.starts_with("message eve") { "error" } else { "ok" };
        assert_eq!(kind(event), awaited, "`{command}`: {event}");
        assert_eq!(command.split(' ').next(), event["command"].as_str(), "`{command}`: {event}");
    }
    for number in 1..=CROWD {
        if let Some(text) = crowd(number).strip_prefix("message bob ") {
            assert_eq!(bob.expect("message")["text"], text);
        } else if let Some(text) = crowd(number).strip_prefix("broadcast ") {
            assert_eq!(bob.expect("broadcast")["text"], text);
        }
    }
    bob.expect_none("message");
    bob.expect_none("broadcast");
    // What was awaited kind by kind above came in the order it was sent.
    let number = |event: &Value| event["text"].as_str()?.split(' ').next()?.parse::<u64>().ok();
    let heard: Vec<_> =
        bob.events().iter().filter(|event| event["from"] == "ada").filter_map(number).collect();
    assert!(heard.is_sorted(), "out of order: {heard:?}");
}

#[test]
fn command_words_have_no_case() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    assert_eq!(ada.ok("WHOELSE")["command"], "whoelse");
    assert_eq!(ada.ok("WhoElseSince 5")["command"], "whoelsesince");
    assert_eq!(ada.ok("Message bob Hello THERE")["command"], "message");
    assert_eq!(bob.expect("message")["text"], "Hello THERE");
    assert_eq!(ada.error("Block"), "usage");
    ada.ok("LogOut");
    ada.expect_end("logout", 0);
}

#[test]
fn an_unknown_command_is_refused_with_a_suggestion() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    for (typed, meant) in
        [("mesage bob hello", "message"), ("broadcats hello", "broadcast"), ("whoesle", "whoelse")]
    {
        let number = ada.post(typed);
        let reply = ada.reply(number);
        assert_eq!((kind(&reply), &reply["code"]), ("error", &"unknown-command".into()));
        assert!(reply["text"].as_str().unwrap_or_default().contains(meant), "no `{meant}` in {reply}");
    }
    assert_eq!(ada.error("supercalifragilistic"), "unknown-command");
    assert_eq!(ada.error("/whoelse"), "unknown-command");
}

#[test]
fn wrong_usage_is_answered_with_the_usage_line() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    for typed in [
        "message",
        "message bob",
        "broadcast",
        "whoelse now",
        "whoelsesince",
        "whoelsesince yesterday",
        "block",
        "unblock bob carol",
        "blocklist bob",
        "logout now",
        "help message block",
    ] {
        let number = ada.post(typed);
        let reply = ada.reply(number);
        assert_eq!((kind(&reply), &reply["code"]), ("error", &"usage".into()), "`{typed}`: {reply}");
        let word = typed.split(' ').next().unwrap();
        assert_eq!(reply["command"], word);
        assert!(reply["text"].as_str().unwrap_or_default().contains(word), "no usage line: {reply}");
    }
    ada.ok("whoelse");
}

#[test]
fn help_tells_of_every_command() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let all = ada.ok("help")["text"].as_str().unwrap_or_default().to_owned();
    for word in WORDS {
        assert!(all.contains(word), "no `{word}` in {all}");
        let one = ada.ok(&format!("help {word}"))["text"].as_str().unwrap_or_default().to_owned();
        assert!(one.contains(word), "no `{word}` in {one}");
    }
}

#[test]
fn commands_are_numbered_in_the_order_read() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let commands =
        ["whoelse", "nonsense", "message eve hello", "block", "help", "blocklist", "broadcast hello"];
    let last = ada.post_all(&commands);
    assert_eq!(last, 7);
    for (number, command) in (1..=last).zip(commands) {
        let reply = ada.reply(number);
        assert_eq!(reply["command"].as_str(), command.split(' ').next(), "{reply}");
    }
    ada.ok("whoelse");
    let answers = ada.events().iter().filter(|event| !event["re"].is_null()).count();
    assert_eq!(answers, 8);
}

#[test]
fn a_crowd_of_commands_in_one_write_is_answered_whole_and_in_order() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    let mut ada = Client::login(&server, "ada");
    let last = ada.post_all(&(1..=CROWD).map(crowd).collect::<Vec<_>>());
    for number in 1..=last {
        ada.reply(number);
    }
    assert_crowd(&ada.events(), &mut bob);
    ada.ok("whoelse");
}

#[test]
fn a_crowd_of_commands_from_a_file_is_answered_whole_and_in_order() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    let script = server.client_directory().join("script");
    fs::write(&script, (1..=CROWD).map(|number| crowd(number) + "\n").collect::<String>()).unwrap();
    let args = &["--json", "--user", "ada"];
    let input = Some(File::open(&script).unwrap());
    let mut ada = ClientSetup { args, password: Some("first-program"), input }.start(&server);
    ada.expect_end("logout", 0);
    assert_crowd(&ada.events(), &mut bob);
}

#[test]
fn a_whole_session_can_come_from_a_file() {
    let server = Server::usual();
    let script = server.client_directory().join("script");
    // The last line has no line feed, and is a command all the same.
    fs::write(&script, "ada\nwrong\nfirst-program\nmessage bob hello\nwhoelse").unwrap();
    let args = &["--json"];
    let mut ada =
        ClientSetup { args, password: None, input: Some(File::open(&script).unwrap()) }.start(&server);
    ada.expect_end("logout", 0);
    assert_eq!(ada.reply(1)["state"], "stored");
    assert_eq!(ada.reply(2)["command"], "whoelse");
}

#[test]
fn no_input_at_all_logs_in_and_out() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    let args = &["--json", "--user", "ada"];
    let input = Some(File::open("/dev/null").unwrap());
    let mut ada = ClientSetup { args, password: Some("first-program"), input }.start(&server);
    ada.expect_end("logout", 0);
    assert_eq!(kind(&ada.events()[0]), "login");
    assert_eq!(bob.expect("presence")["reason"], "login");
    assert_eq!(bob.expect("presence")["reason"], "logout");
}

#[test]
fn the_end_of_input_waits_for_every_command() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let last =
        ada.post_all(&["message bob hello", "message carol hello", "broadcast bye", "nonsense", "whoelse"]);
    ada.close_input();
    ada.expect_end("logout", 0);
    for number in 1..=last {
        ada.reply(number);
    }
    bob.expect("message");
    bob.expect("broadcast");
    assert_eq!(Client::login(&server, "carol").expect("message")["text"], "hello");
}

#[test]
fn logout_ends_the_session() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let ok = ada.ok("logout");
    assert_eq!((&ok["re"], &ok["command"]), (&1.into(), &"logout".into()));
    ada.expect_end("logout", 0);
    Client::login(&server, "ada").ok("whoelse");
}

#[test]
fn an_interrupted_client_logs_out() {
    let server = Server::usual();
    let mut bob = Client::login(&server, "bob");
    for signal in ["INT", "TERM"] {
        let mut ada = Client::login(&server, "ada");
        assert_eq!(bob.expect("presence")["reason"], "login");
        ada.signal(signal);
        ada.expect_end("logout", 0);
        assert_eq!(bob.expect("presence")["reason"], "logout");
    }
}
