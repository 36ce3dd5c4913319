//! Arguments, options and the files they name: what is refused, how, and what is said about it.

use std::fs;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::harness::{Client, Finished, PEOPLE, Server, ServerSetup, run_client, run_server};

/// Runs the server with `args` after good options; it must end by itself.
#[track_caller]
fn server(args: &[&str]) -> Finished {
    server_with("ada first-program\n", args)
}

/// Runs the server with such a credentials file, `Accounts.txt`.
#[track_caller]
fn server_with(credentials: &str, args: &[&str]) -> Finished {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("Accounts.txt"), credentials).unwrap();
    run_server(directory.path(), &[&["--credentials", "Accounts.txt"], args].concat())
}

#[track_caller]
fn client(args: &[&str]) -> Finished {
    let directory = TempDir::new().unwrap();
    run_client(directory.path(), args)
}

#[test]
fn server_refuses_missing_arguments() {
    server(&[]).assert_refused(2, &["server_port", "usage"]);
    server(&["0"]).assert_refused(2, &["block_duration"]);
    server(&["0", "60"]).assert_refused(2, &["timeout"]);
}

#[test]
fn server_refuses_an_argument_too_many() {
    server(&["0", "60", "300", "surplus"]).assert_refused(2, &["surplus", "too many", "4"]);
}

#[test]
fn server_refuses_what_is_no_number() {
    server(&["eighty", "60", "300"]).assert_refused(2, &["eighty"]);
    server(&["0", "soon", "300"]).assert_refused(2, &["soon"]);
    server(&["0", "60", "never"]).assert_refused(2, &["never"]);
    server(&["0", "1.5", "300"]).assert_refused(2, &["1.5"]);
    server(&["", "60", "300"]).assert_refused(2, &["server_port"]);
}

#[test]
fn server_refuses_numbers_out_of_range() {
    server(&["70000", "60", "300"]).assert_refused(2, &["70000"]);
    server(&["0", "99999999999999999999999", "300"]).assert_refused(2, &["99999999999999999999999"]);
    // A dash may be taken for an option's beginning; either way the message shows what follows it.
    server(&["-7", "60", "300"]).assert_refused(2, &["7"]);
    server(&["0", "-7", "300"]).assert_refused(2, &["7"]);
    server(&["0", "60", "-7"]).assert_refused(2, &["7"]);
}

#[test]
fn server_refuses_unknown_options_and_bad_values() {
    server(&["--colour", "0", "60", "300"]).assert_refused(2, &["colour"]);
    server(&["--bind", "nowhere at all", "0", "60", "300"]).assert_refused(2, &["nowhere at all"]);
    server(&["0", "60", "300", "--bind"]).assert_refused(2, &["bind"]);
}

#[test]
fn both_programs_show_help_and_version_on_standard_output() {
    let directory = TempDir::new().unwrap();
    let both = |args: &[&str]| [run_server(directory.path(), args), run_client(directory.path(), args)];
    for flag in ["-h", "--help"] {
        let [server, client] = both(&[flag]);
        for word in
            ["server_port", "block_duration", "timeout", "--bind", "--credentials", "--data-dir", "--no-tls"]
        {
            assert!(server.stdout.contains(word), "the server's help lacks {word}: {}", server.stdout);
        }
        for word in ["server_ip", "server_port", "--json", "--plain", "--user", "--password-file", "--no-tls"]
        {
            assert!(client.stdout.contains(word), "the client's help lacks {word}: {}", client.stdout);
        }
        assert_eq!((server.code, server.stderr.as_str()), (0, ""));
        assert_eq!((client.code, client.stderr.as_str()), (0, ""));
    }
    for flag in ["-V", "--version"] {
        for program in both(&[flag]) {
            assert_eq!((program.code, program.stderr.as_str()), (0, ""));
            assert!(program.stdout.contains(env!("CARGO_PKG_VERSION")), "no version in {}", program.stdout);
        }
    }
}

#[test]
fn server_names_a_credentials_file_that_is_not_there() {
    let directory = TempDir::new().unwrap();
    let args = ["--credentials", "Nowhere.txt", "0", "60", "300"];
    run_server(directory.path(), &args).assert_refused(2, &["Nowhere.txt"]);
    let default = ["0", "60", "300"];
    run_server(directory.path(), &default).assert_refused(2, &["Credentials.txt"]);
}

#[test]
fn server_names_file_and_line_of_an_unusable_account() {
    let long = format!("{} password", "n".repeat(33));
    for bad in
        ["nobody", "bad!name password", "bad\u{1b}name password", &long, "ada another", " spaced password"]
    {
        // A line number that no time of day or path is likely to contain.
        let credentials = format!("ada first-program\n{}{bad}\n", "# a comment\n".repeat(5_710));
        let refused = server_with(&credentials, &["0", "60", "300"]);
        refused.assert_refused(2, &["Accounts.txt"]);
        refused.assert_refused(2, &["5712"]);
        assert!(!refused.stderr.contains('\u{1b}'), "the name is shown raw: {:?}", refused.stderr);
    }
}

#[test]
fn server_skips_comments_and_blank_lines_and_takes_any_letters() {
    let longest = "я".repeat(32);
    let accounts: &[(&str, &str)] =
        &[("a.b-c_1", "x"), (&longest, "y"), ("ουρανός", "z"), ("名前", "# not a comment")];
    // The harness puts a comment and a blank line before them.
    let server = Server::start(&ServerSetup { credentials: accounts, ..ServerSetup::default() });
    let mut sessions: Vec<_> = accounts.iter().map(|(user, _)| Client::login(&server, user)).collect();
    let others = sessions[0].ok("whoelse")["users"].as_array().map(Vec::len);
    assert_eq!(others, Some(3));
}

#[test]
fn server_gives_up_on_a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    server(&[&port, "60", "300"]).assert_refused(1, &[&port]);
}

#[test]
fn server_announces_every_address_it_listens_on() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("not tested: this machine has no IPv6");
        return;
    }
    let binds = &["[::1]", "127.0.0.1"];
    let server = Server::start(&ServerSetup { binds, ..ServerSetup::default() });
    let hosts: Vec<_> = server.addresses().iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(hosts, ["::1", "127.0.0.1"]);
    assert!(server.addresses().iter().all(|address| address.port() != 0));
    // The harness goes to the first, so this is a client over IPv6.
    Client::login(&server, "ada").ok("whoelse");
}

#[test]
fn client_refuses_wrong_usage() {
    client(&[]).assert_refused(2, &["server_ip", "usage"]);
    client(&["127.0.0.1"]).assert_refused(2, &["server_port"]);
    client(&["127.0.0.1", "1", "surplus"]).assert_refused(2, &["surplus", "too many", "3"]);
    client(&["127.0.0.1", "eighty"]).assert_refused(2, &["eighty"]);
    client(&["127.0.0.1", "70000"]).assert_refused(2, &["70000"]);
    client(&["127.0.0.1", "-7"]).assert_refused(2, &["7"]);
    client(&["--colour", "127.0.0.1", "1"]).assert_refused(2, &["colour"]);
    client(&["127.0.0.1", "1", "--user"]).assert_refused(2, &["user"]);
}

#[test]
fn client_refuses_a_password_file_it_cannot_read() {
    let with_file = |file| client(&["--plain", "--user", "ada", "--password-file", file, "127.0.0.1", "1"]);
    with_file("No such file.txt").assert_refused(2, &["No such file.txt"]);
    // The directory the client runs in.
    with_file("../.").assert_refused(2, &["../."]);
}

#[test]
fn client_gives_up_on_a_server_that_is_not_there() {
    let (user, password) = PEOPLE[0];
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("password"), password).unwrap();
    let options = ["--plain", "--user", user, "--password-file", "password"];
    let to = |place: &[&str]| run_client(directory.path(), &[&options, place].concat());
    // Nothing listens on TCP port 1, and no name ends in `.invalid` (RFC 6761).
    for (host, port) in [("127.0.0.1", "1"), ("parlour.invalid", "8080")] {
        let gone = to(&[host, port]);
        let said = format!("{}{}", gone.stdout, gone.stderr);
        assert!(gone.code == 1 && said.contains(host), "exit code {} with: {said}", gone.code);
    }
}
