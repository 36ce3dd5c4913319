//! Logging in: where name and password come from, what wrong ones cost, and who is let in.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::harness::{Client, PATIENCE, Server, ServerSetup, kind};

/// Asserts a refusal with this code, `text` for people, and `final` as told.
#[track_caller]
fn assert_refused(event: &Value, code: &str, last: bool) {
    let told = event["text"].as_str().is_some_and(|text| !text.is_empty());
    let right = kind(event) == "login-failed" && event["code"] == code && event["final"] == last;
    assert!(right && told, "awaited: login-failed, code {code}, final {last}, and a text; got {event}");
}

/// Asserts that an account is locked, for `block_duration` seconds at most.
#[track_caller]
fn assert_locked(event: &Value, block_duration: u64) {
    assert_refused(event, "locked", true);
    let seconds = event["retry_after"].as_u64().unwrap_or(0);
    assert!(
        (1..=block_duration).contains(&seconds),
        "awaited: retry_after from 1 to {block_duration}; got {event}"
    );
}

/// Types a username and then passwords, and returns what the last one of them led to.
#[track_caller]
fn type_in(server: &Server, user: &str, passwords: &[&str]) -> (Client, Value) {
    let mut client = Client::start(server, &["--json"]);
    client.send(user);
    let mut last = Value::Null;
    for password in passwords {
        client.send(password);
        last = client.expect_event("the answer to a password", |event| kind(event).starts_with("login"));
    }
    (client, last)
}

#[test]
fn two_lines_log_in() {
    let server = Server::usual();
    let (_ada, answer) = type_in(&server, "ada", &["first-program"]);
    assert_eq!((kind(&answer), &answer["user"]), ("login", &Value::from("ada")));
}

#[test]
fn a_password_is_all_that_follows_the_first_space() {
    let server = Server::usual();
    for (user, password) in [("bob", "two words"), ("carol", "#notes"), ("dave", "пароль")] {
        let (_client, answer) = type_in(&server, user, &[password]);
        assert_eq!(kind(&answer), "login", "{user}: {answer}");
    }
}

#[test]
fn a_password_file_logs_in_and_the_first_line_is_a_command() {
    let server = Server::usual();
    for content in ["first-program", "first-program\n"] {
        let file = server.client_directory().join("password");
        fs::write(&file, content).unwrap();
        let args = ["--json", "--user", "ada", "--password-file", file.to_str().unwrap()];
        let mut ada = Client::start(&server, &args);
        assert_eq!(ada.expect("login")["user"], "ada");
        ada.ok("whoelse");
        ada.ok("logout");
        ada.expect_end("logout", 0);
    }
}

#[test]
fn the_environment_logs_in_and_the_first_line_is_a_command() {
    let server = Server::usual();
    let (mut ada, answer) = Client::try_login(&server, "ada", "first-program");
    assert_eq!((kind(&answer), &answer["user"]), ("login", &Value::from("ada")));
    ada.ok("whoelse");
}

#[test]
fn a_wrong_password_leaves_the_next_line_as_the_next_try() {
    let server = Server::usual();
    let mut ada = Client::start(&server, &["--json"]);
    ada.send("ada\nwrong\nwrong again\nfirst-program\nwhoelse");
    assert_refused(&ada.expect("login-failed"), "bad-credentials", false);
    assert_refused(&ada.expect("login-failed"), "bad-credentials", false);
    ada.expect("login");
    assert_eq!(ada.reply(1)["command"], "whoelse");
}

#[test]
fn a_wrong_password_from_elsewhere_is_final() {
    let server = Server::usual();
    let (mut by_variable, answer) = Client::try_login(&server, "ada", "wrong");
    assert_refused(&answer, "bad-credentials", true);
    assert_eq!(by_variable.wait_exit(), 3);

    let file = server.client_directory().join("password");
    fs::write(&file, "wrong\n").unwrap();
    let mut by_file =
        Client::start(&server, &["--json", "--user", "ada", "--password-file", file.to_str().unwrap()]);
    assert_refused(&by_file.expect("login-failed"), "bad-credentials", true);
    assert_eq!(by_file.wait_exit(), 3);
}

#[test]
fn the_end_of_input_before_a_right_password_is_a_refused_login() {
    let server = Server::usual();
    for typed in ["", "ada\n", "ada\nwrong\n"] {
        let mut client = Client::start(&server, &["--json"]);
        if !typed.is_empty() {
            client.send(typed.trim_end());
        }
        client.close_input();
        assert_eq!(client.wait_exit(), 3, "after {typed:?}");
    }
}

#[test]
fn the_third_wrong_password_locks_and_then_the_right_one_is_refused_too() {
    let server = Server::usual();
    let (mut ada, answer) = type_in(&server, "ada", &["wrong", "wrong", "wrong"]);
    assert_locked(&answer, 60);
    assert_eq!(ada.wait_exit(), 3);
    let (mut elsewhere, answer) = Client::try_login(&server, "ada", "first-program");
    assert_locked(&answer, 60);
    assert_eq!(elsewhere.wait_exit(), 3);
    // Nobody else is locked out with her.
    Client::login(&server, "bob").ok("whoelse");
}

#[test]
fn wrong_passwords_are_counted_over_connections() {
    let server = Server::usual();
    assert_refused(&Client::try_login(&server, "ada", "wrong").1, "bad-credentials", true);
    assert_refused(&Client::try_login(&server, "ada", "wrong").1, "bad-credentials", true);
    assert_locked(&Client::try_login(&server, "ada", "wrong").1, 60);
}

#[test]
fn a_right_password_resets_the_count() {
    let server = Server::usual();
    for _ in 0..2 {
        let (mut ada, answer) = type_in(&server, "ada", &["wrong", "wrong", "first-program"]);
        assert_eq!(kind(&answer), "login", "{answer}");
        ada.ok("logout");
        ada.expect_end("logout", 0);
    }
}

#[test]
fn an_unknown_username_is_answered_like_a_wrong_password() {
    let server = Server::usual();
    let answers = |user| {
        let (mut client, _) = type_in(&server, user, &["wrong", "wrong", "wrong"]);
        assert_eq!(client.wait_exit(), 3);
        let shape = |event: &Value| {
            let fields: Vec<_> = event.as_object().unwrap().keys().cloned().collect();
            (event["code"].clone(), event["final"].clone(), fields)
        };
        client.events().iter().map(shape).collect::<Vec<_>>()
    };
    assert_eq!(answers("ada"), answers("eve"));
    assert_locked(&Client::try_login(&server, "eve", "wrong").1, 60);
}

#[test]
fn a_lock_ends_by_itself() {
    let server = Server::start(&ServerSetup { block_duration: 2, ..ServerSetup::default() });
    assert_locked(&type_in(&server, "ada", &["wrong", "wrong", "wrong"]).1, 2);
    assert_locked(&Client::try_login(&server, "ada", "first-program").1, 2);
    let begin = Instant::now();
    loop {
        let (ada, answer) = Client::try_login(&server, "ada", "first-program");
        if kind(&answer) == "login" {
            break;
        }
        assert_locked(&answer, 2);
        if begin.elapsed() > PATIENCE {
            ada.fail("the end of a lock of 2 seconds");
        }
    }
}

#[test]
fn a_block_duration_of_zero_never_locks() {
    let server = Server::start(&ServerSetup { block_duration: 0, ..ServerSetup::default() });
    let (mut ada, answer) = type_in(&server, "ada", &["wrong", "wrong", "wrong", "wrong", "first-program"]);
    assert_eq!(kind(&answer), "login");
    ada.ok("logout");
    ada.expect_end("logout", 0);
    let failures = ada.events().into_iter().filter(|event| kind(event) == "login-failed");
    failures.for_each(|event| assert_refused(&event, "bad-credentials", false));
}

#[test]
fn a_second_login_of_someone_online_is_refused_and_the_first_lives_on() {
    let server = Server::usual();
    let mut first = Client::login(&server, "ada");
    let (mut second, answer) = type_in(&server, "ada", &["first-program"]);
    assert_refused(&answer, "already-online", true);
    assert_eq!(second.wait_exit(), 3);
    let (mut third, answer) = Client::try_login(&server, "ada", "first-program");
    assert_refused(&answer, "already-online", true);
    assert_eq!(third.wait_exit(), 3);
    // A guess tells nobody whether she is online.
    assert_refused(&Client::try_login(&server, "ada", "wrong").1, "bad-credentials", true);
    first.ok("whoelse");
}

#[test]
fn no_username_is_reserved() {
    let longest = "ß".repeat(32);
    let credentials: &[(&str, &str)] = &[
        ("server", "a"),
        ("server-p2p", "b"),
        ("server-p2p-file", "c"),
        ("Ωμέγα.7_-", "d"),
        (&longest, "e"),
    ];
    let server = Server::start(&ServerSetup { credentials, ..ServerSetup::default() });
    let mut sessions: Vec<_> = credentials.iter().map(|(user, _)| Client::login(&server, user)).collect();
    let (first, others) = sessions.split_first_mut().unwrap();
    for (other, (user, _)) in others.iter_mut().zip(&credentials[1..]) {
        assert_eq!(first.ok(&format!("message {user} hello"))["to"], *user);
        assert_eq!(other.expect("message")["from"], "server");
        assert_eq!(other.ok("message server and back")["to"], "server");
        assert_eq!(first.expect("message")["from"], *user);
    }
}
