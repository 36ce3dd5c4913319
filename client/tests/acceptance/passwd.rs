//! Stored verifiers and the file that holds them: `parlour-server passwd`, what the server says about a file that
//! too many can read, and names that look alike (rows 18, 19 and 46 of the list of attacks).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Client, Finished, Server, ServerSetup, kind, run_server, run_server_with_input};

/// What `PostgreSQL` stores for "pencil".
const PENCIL: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                      wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

/// Runs `passwd` with this standard input; neither stream may show the password, which is "sesame" everywhere.
#[track_caller]
fn passwd(directory: &Path, args: &[&str], input: &str) -> Finished {
    let finished = run_server_with_input(directory, &[&["passwd"], args].concat(), input);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(!said.contains("sesame"), "a password shows: {said}");
    finished
}

#[track_caller]
fn assert_done(finished: &Finished) {
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{}", finished.stdout);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_printed_line_logs_in() {
    let directory = TempDir::new().unwrap();
    let made = passwd(directory.path(), &["zoë"], "sesame street\n");
    assert_done(&made);
    let (user, verifier) = made.stdout.trim_end().split_once(' ').unwrap();
    assert!(user == "zoë" && verifier.starts_with("SCRAM-SHA-256$100000:"), "{}", made.stdout);
    assert_eq!(made.stdout.lines().count(), 1);

    let server = Server::start(&ServerSetup { credentials: &[(user, verifier)], ..ServerSetup::default() });
    assert_eq!(kind(&Client::try_login(&server, "zoë", "sesame").1), "login-failed");
    assert_eq!(kind(&Client::try_login(&server, "zoë", "sesame street").1), "login");
    assert!(!server.log().lines().concat().contains("sesame"));
    assert!(!server.log().lines().concat().contains("stored as they are typed"));
}

#[test]
fn an_update_logs_in_after_a_hangup_and_keeps_the_rest() {
    let server = Server::usual();
    let path = server.credentials_path();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::read_to_string(&path).unwrap();
    let directory = server.client_directory();
    assert_done(&passwd(
        &directory,
        &["bob", "--iterations", "5000", "--update", path.to_str().unwrap()],
        "sesame\n",
    ));
    assert_done(&passwd(&directory, &["--update", path.to_str().unwrap(), "eve"], "sesame"));

    let after = fs::read_to_string(&path).unwrap();
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    assert_eq!(new.len(), old.len() + 1);
    for (old, new) in old.iter().zip(&new) {
        if old.starts_with("bob ") {
            assert!(new.starts_with("bob SCRAM-SHA-256$5000:"), "{new}");
        } else {
            assert_eq!(old, new);
        }
    }
    assert!(new.last().unwrap().starts_with("eve SCRAM-SHA-256$100000:"));
    assert_eq!(mode(&path), 0o640);
    assert!(!after.contains("sesame"));

    let begin = server.log().lines().len();
    server.hangup();
    server.expect_log(begin, "5 accounts");
    assert_eq!(kind(&Client::try_login(&server, "bob", "two words").1), "login-failed");
    for (user, password) in [("bob", "sesame"), ("eve", "sesame"), ("ada", "first-program")] {
        assert_eq!(kind(&Client::try_login(&server, user, password).1), "login", "{user}");
    }
    assert!(!server.log().lines().concat().contains("sesame"));
}

#[test]
fn an_update_leaves_a_link_a_link_and_nothing_half_written() {
    let directory = TempDir::new().unwrap();
    let (real, link) = (directory.path().join("real.txt"), directory.path().join("link.txt"));
    fs::write(&real, "# accounts\r\nada old\r\n").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
    symlink("real.txt", &link).unwrap();
    assert_done(&passwd(directory.path(), &["ada", "-u", "link.txt"], "sesame\n"));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let text = fs::read_to_string(&real).unwrap();
    assert!(text.starts_with("# accounts\r\nada SCRAM-SHA-256$") && text.ends_with("=\r\n"), "{text}");
    assert_eq!(mode(&real), 0o600);

    assert_done(&passwd(directory.path(), &["ada", "-u", "new.txt"], "sesame\n"));
    assert_eq!(mode(&directory.path().join("new.txt")), 0o600);
    let mut names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["link.txt", "new.txt", "real.txt"]);
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    file("good.txt", "ada x\n");
    file("bad.txt", "ada x\nalan\n");
    file("alike.txt", "alan x\n\u{430}\u{501}\u{430} x\n");
    file("busy.txt", "ada x\n");
    file(".busy.txt.new", "");
    symlink("nowhere", directory.path().join("dangling.txt")).unwrap();
    let refused = |args: &[&str], input: &str, code: i32, clues: &[&str]| {
        passwd(directory.path(), args, input).assert_refused(code, clues);
    };
    refused(&[], "sesame\n", 2, &["usage"]);
    refused(&["ada", "sesame"], "sesame\n", 2, &["got 2"]);
    refused(&["ada", "--nope"], "sesame\n", 2, &["nope"]);
    refused(&["ada", "--iterations", "4095"], "sesame\n", 2, &["4095"]);
    refused(&["a/b"], "sesame\n", 2, &["username"]);
    refused(&["\u{430}da"], "sesame\n", 2, &["scripts"]);
    refused(&["ada", "-u", "good.txt"], "\n", 2, &["empty"]);
    refused(&["ada", "-u", "good.txt"], "", 2, &["empty"]);
    refused(&["ada", "-u", "bad.txt"], "sesame\n", 2, &["bad.txt, line 2"]);
    refused(&["ada", "-u", "alike.txt"], "sesame\n", 2, &["alike.txt, line 3"]);
    refused(&["ada", "-u", "."], "sesame\n", 1, &["no ordinary file"]);
    refused(&["ada", "-u", "dangling.txt"], "sesame\n", 1, &["no ordinary file"]);
    refused(&["ada", "-u", "missing/file.txt"], "sesame\n", 1, &["missing"]);
    refused(&["ada", "-u", "busy.txt"], "sesame\n", 1, &[".busy.txt.new"]);
    for (name, text) in [("good.txt", "ada x\n"), ("bad.txt", "ada x\nalan\n"), ("busy.txt", "ada x\n")] {
        assert_eq!(fs::read_to_string(directory.path().join(name)).unwrap(), text);
    }
    assert!(directory.path().join(".busy.txt.new").exists(), "somebody else's is left alone");
}

#[test]
fn help_is_on_standard_output() {
    let directory = TempDir::new().unwrap();
    let help = run_server(directory.path(), &["passwd", "--help"]);
    assert_done(&help);
    for word in ["--update", "--iterations", "SCRAM-SHA-256", "standard input", "Exit codes"] {
        assert!(help.stdout.contains(word), "{word}");
    }
    assert!(run_server(directory.path(), &["--help"]).stdout.contains("parlour-server passwd"));
}

#[test]
fn a_verifier_of_postgresql_logs_in() {
    let server = Server::start(&ServerSetup { credentials: &[("ada", PENCIL)], ..ServerSetup::default() });
    assert_eq!(kind(&Client::try_login(&server, "ada", "pencil").1), "login");
    assert_eq!(kind(&Client::try_login(&server, "ada", "pencils").1), "login-failed");
}

#[test]
fn a_file_that_everybody_can_read_is_warned_of() {
    let server = Server::usual();
    let path = server.credentials_path();
    for (mode, wanted) in [(0o604, "can read"), (0o602, "can change"), (0o666, "can read and change")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let begin = server.log().lines().len();
        server.hangup();
        server.expect_log(begin, wanted);
        server.expect_log(begin, "accounts read again");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
    let begin = server.log().lines().len();
    server.hangup();
    server.expect_log(begin, "accounts read again");
    // The warning comes before the other line.
    let log = server.log().lines();
    let warned = log[begin..].iter().any(|line| line.contains("every user of this machine"));
    assert!(!warned, "who is in the group may");
}

#[test]
fn names_that_look_alike_are_refused_at_start_and_change_nothing_at_a_hangup() {
    let start = |text: &str, clues: &[&str]| {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("Accounts.txt"), text).unwrap();
        let finished = run_server(directory.path(), &["--credentials", "Accounts.txt", "0", "60", "300"]);
        for clue in clues {
            finished.assert_refused(2, &[clue]);
        }
        assert!(!finished.stderr.contains("sesame"), "{}", finished.stderr);
    };
    let cyrillic = "\u{430}\u{501}\u{430}";
    start(
        &format!("ada sesame\n#\n{cyrillic} sesame\n"),
        &["Accounts.txt, line 3", "'ada' of line 1", cyrillic],
    );
    start("user1 sesame\nuserl sesame\n", &["line 2", "'user1' of line 1", "'userl'"]);
    start("ad\u{430} sesame\n", &["line 1", "scripts"]);
    start("\u{212b}sa sesame\n", &["line 1", "composed"]);

    let server = Server::start(&ServerSetup {
        credentials: &[
            ("ada", "a"),
            ("Ada", "b"),
            ("Алиса", "c"),
            ("Ωμέγα", "d"),
            ("山田", "e"),
            ("محمد", "f"),
        ],
        ..ServerSetup::default()
    });
    let path = server.credentials_path();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{cyrillic} g\n")).unwrap();
    let begin = server.log().lines().len();
    server.hangup();
    server.expect_log(begin, "line 9");
    for (user, password) in [("ada", "a"), ("Ada", "b"), ("محمد", "f")] {
        assert_eq!(kind(&Client::try_login(&server, user, password).1), "login", "{user}");
    }
}
