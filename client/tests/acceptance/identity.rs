//! Who the server is: the key it shows, where that comes from, and what clients make of it.
//!
//! Rows 49 (for servers) and 62 of the threat list.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use protocol::Fingerprint;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData,
};
use tempfile::TempDir;

use crate::harness::{
    Client, ClientSetup, Home, Server, ServerSetup, Terminal, run_server, write_credentials,
};

const NOBODY: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

/// A loopback address that no other test uses, so that a port there is free again after its server.
fn quiet_address() -> &'static str {
    // Linux has all of 127.0.0.0/8; elsewhere the port is only very likely to be free.
    if TcpListener::bind("127.83.0.1:0").is_ok() { "127.83.0.1" } else { "127.0.0.1" }
}

fn server_with_data(data_dir: &Path) -> Server {
    Server::start(&ServerSetup { data_dir: Some(data_dir), ..ServerSetup::default() })
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn port_of(server: &Server) -> u16 {
    server.address().port()
}

/// Asserts that nobody but `bob`, who comes now, has tried to log in.
#[track_caller]
fn assert_untouched(server: &Server) {
    drop(Client::login(server, "bob"));
    server.expect_log(0, "bob logged in");
    let log = server.log().lines().concat();
    assert!(!log.contains("log-in") && !log.contains("ada"), "somebody has tried to log in: {log}");
}

// The server's side.

#[test]
fn the_servers_key_is_made_once_and_kept_from_others() {
    let directory = TempDir::new().unwrap();
    let [kept, other] = ["kept", "other"].map(|name| directory.path().join(name));
    let first = server_with_data(&kept).fingerprint();
    assert!(first.parse::<Fingerprint>().is_ok(), "{first}");
    assert_eq!(server_with_data(&kept).fingerprint(), first);
    assert_ne!(server_with_data(&other).fingerprint(), first);
    assert_eq!((mode_of(&kept), mode_of(&kept.join("key.pem"))), (0o700, 0o600));
    fs::remove_file(kept.join("certificate.pem")).unwrap();
    assert_eq!(server_with_data(&kept).fingerprint(), first, "the key is what counts");
}

#[test]
fn no_fingerprint_without_tls() {
    let mut server = Server::plain();
    server.terminate_with("TERM");
    assert_eq!(server.wait(), 0);
    assert_eq!(server.output(), format!("listening {}\n", server.address()));
}

/// The texts of a certificate signed by another, of both in a chain, and of the key; and what clients see of it.
struct Pem {
    leaf: String,
    chain: String,
    key: String,
    fingerprint: String,
}

fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Pem {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate_for(algorithm).unwrap();
    let fingerprint = Fingerprint::of_key(&key.subject_public_key_info()).to_string();
    let params = CertificateParams::new(["chat.example".to_owned()]).unwrap();
    let leaf = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap().pem();
    Pem { chain: format!("{leaf}{root}"), leaf, key: key.serialize_pem(), fingerprint }
}

#[test]
fn a_given_certificate_is_shown_alone_or_in_a_chain() {
    let directory = TempDir::new().unwrap();
    let [cert, key] = ["cert", "key"].map(|name| directory.path().join(name).display().to_string());
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let pem = certificate(algorithm);
        for certificates in [&pem.leaf, &pem.chain] {
            fs::write(&cert, certificates).unwrap();
            fs::write(&key, &pem.key).unwrap();
            let args = &["--cert", &cert, "--key", &key];
            let server = Server::start(&ServerSetup { args, ..ServerSetup::default() });
            assert_eq!(server.fingerprint(), pem.fingerprint);
            let args = ["--fingerprint", &pem.fingerprint];
            Home::new().visit(server.address(), "ada", &args).expect("login");
        }
    }
}

#[test]
fn an_unusable_certificate_or_key_is_named() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write_credentials(&directory.path().join("Credentials.txt"), &[("ada", "first-program")]);
    let [mine, yours] = [certificate(&PKCS_ECDSA_P256_SHA256), certificate(&PKCS_ECDSA_P256_SHA256)];
    write("mine.crt", &mine.leaf);
    write("mine.key", &mine.key);
    write("yours.key", &yours.key);
    write("garbage.pem", "garbage\n");
    write("damaged.pem", &mine.leaf.replace('M', "A"));
    write("empty.pem", "");
    // The files given, and those that the message names: the ones at fault.
    let cases: &[(&str, &str, &[&str])] = &[
        ("mine.crt", "yours.key", &["mine.crt", "yours.key"]),
        ("missing.crt", "mine.key", &["missing.crt"]),
        ("mine.crt", "missing.key", &["missing.key"]),
        ("garbage.pem", "mine.key", &["garbage.pem"]),
        ("damaged.pem", "mine.key", &["damaged.pem"]),
        ("empty.pem", "mine.key", &["empty.pem"]),
        ("mine.crt", "garbage.pem", &["garbage.pem"]),
        ("mine.crt", "empty.pem", &["empty.pem"]),
        // Each for the other.
        ("mine.key", "mine.crt", &["mine.key"]),
    ];
    for (cert, key, named) in cases {
        let refused = run_server(directory.path(), &["--cert", cert, "--key", key, "0", "60", "300"]);
        refused.assert_refused(2, &["parlour-server: "]);
        for name in [cert, key] {
            assert_eq!(refused.stderr.contains(name), named.contains(name), "{name}: {}", refused.stderr);
        }
    }
    for half in [["--cert", "mine.crt"], ["--key", "mine.key"]] {
        let args = [&half[..], &["0", "60", "300"]].concat();
        run_server(directory.path(), &args).assert_refused(2, &["go together"]);
    }
}

#[test]
fn a_data_directory_that_cannot_be_used_is_named() {
    let directory = TempDir::new().unwrap();
    write_credentials(&directory.path().join("Credentials.txt"), &[("ada", "first-program")]);
    fs::write(directory.path().join("occupied"), "a file").unwrap();
    let args = ["--data-dir", "occupied", "0", "60", "300"];
    run_server(directory.path(), &args).assert_refused(2, &["occupied"]);

    fs::create_dir(directory.path().join("half")).unwrap();
    fs::write(directory.path().join("half/certificate.pem"), "garbage").unwrap();
    let args = ["--data-dir", "half", "0", "60", "300"];
    run_server(directory.path(), &args).assert_refused(2, &["half/key.pem"]);
    fs::write(directory.path().join("half/key.pem"), "garbage").unwrap();
    run_server(directory.path(), &args).assert_refused(2, &["half/certificate.pem"]);
}

// What clients remember.

#[test]
fn an_unknown_server_on_loopback_is_remembered_after_a_right_log_in_only() {
    let (server, home) = (Server::usual(), Home::new());
    let wrong = ClientSetup { args: &["--json", "--user", "ada"], password: Some("wrong"), input: None };
    assert_eq!(wrong.start_in(home.path(), server.address()).wait_exit(), 3);
    assert!(!home.known_hosts_path().exists(), "remembered: {}", home.known_hosts());

    let line = format!("{} {}\n", server.address(), server.fingerprint());
    for _ in 0..2 {
        home.visit(server.address(), "ada", &[]).expect("login");
        assert_eq!(home.known_hosts(), line);
    }
    assert_eq!(mode_of(&home.known_hosts_path()), 0o600);
}

#[test]
fn a_changed_key_is_refused_whatever_is_asked_for() {
    let home = Home::new();
    let binds = &[quiet_address()];
    let mut server = Server::start(&ServerSetup { binds, ..ServerSetup::default() });
    let (address, old) = (server.address(), server.fingerprint());
    home.visit(address, "ada", &[]).expect("login");
    let remembered = home.known_hosts();
    server.terminate_with("TERM");
    assert_eq!(server.wait(), 0);

    let changed = Server::start(&ServerSetup { binds, port: address.port(), ..ServerSetup::default() });
    let new = changed.fingerprint();
    let file = home.known_hosts_path().display().to_string();
    for args in [&[][..], &["--accept-new"], &["--fingerprint", &new], &["--fingerprint", &old]] {
        home.assert_turned_away(address, args, 5, &[&old, &new, &file, "HAS CHANGED", "Nothing was sent"]);
    }
    assert_eq!(home.known_hosts(), remembered);
    assert_untouched(&changed);

    // As the words say: without that line it is a new server.
    home.write_known_hosts("");
    home.visit(address, "ada", &["--fingerprint", &new]).expect("login");
    assert_eq!(home.known_hosts(), format!("{address} {new}\n"));
}

#[test]
fn a_fingerprint_on_the_command_line_must_fit() {
    let (server, home) = (Server::usual(), Home::new());
    let right = server.fingerprint();
    for args in [&["--fingerprint", NOBODY][..], &["--accept-new", "--fingerprint", NOBODY]] {
        let clues = [NOBODY, &right, "--fingerprint", "Nothing was sent"];
        home.assert_turned_away(server.address(), args, 5, &clues);
    }
    assert_eq!(home.known_hosts(), "");
    assert_untouched(&server);
    home.visit(server.address(), "ada", &["--fingerprint", &right]).expect("login");
    // A known server too.
    home.assert_turned_away(server.address(), &["--fingerprint", NOBODY], 5, &[NOBODY, &right]);
    home.assert_turned_away(server.address(), &["--fingerprint", "SHA256:short"], 2, &["--fingerprint"]);
}

#[test]
fn a_line_that_makes_no_sense_is_named_and_others_are_not_minded() {
    let (server, home) = (Server::usual(), Home::new());
    let right = server.fingerprint();
    let cut = &right[..right.len() - 1];
    for bad in [
        "host",
        "host:1 ",
        "host:1 MD5:00",
        &format!("host:1 {cut}"),
        &format!("host:1  x {right}"),
        "\u{feff}",
    ] {
        home.write_known_hosts(format!("# Servers.\n\nhost:2 {NOBODY}\r\n{bad}\nhost:3 {NOBODY}\n"));
        let file = home.known_hosts_path().display().to_string();
        home.assert_turned_away(server.address(), &[], 2, &[&file, "line 4"]);
    }
    home.write_known_hosts(b"# \xff\nhost:1 \xff\n");
    home.assert_turned_away(server.address(), &[], 2, &["known_hosts, line 2"]);
    assert_untouched(&server);

    let others = format!("# Servers.\n\nhost:2 {NOBODY}\r\n127.0.0.1:1{} {NOBODY}\n", port_of(&server));
    home.write_known_hosts(&others);
    home.visit(server.address(), "ada", &[]).expect("login");
    assert_eq!(home.known_hosts(), format!("{others}{} {right}\n", server.address()));
}

#[test]
fn a_last_line_without_its_end_is_not_run_into() {
    let (server, home) = (Server::usual(), Home::new());
    home.write_known_hosts(format!("host:1 {NOBODY}"));
    home.visit(server.address(), "ada", &[]).expect("login");
    let line = format!("{} {}", server.address(), server.fingerprint());
    assert_eq!(home.known_hosts(), format!("host:1 {NOBODY}\n{line}\n"));
    home.visit(server.address(), "ada", &[]).expect("login");
}

#[test]
fn a_file_of_keys_that_cannot_be_read_is_named() {
    let server = Server::usual();
    let home = Home::new();
    fs::create_dir_all(home.known_hosts_path()).unwrap();
    let file = home.known_hosts_path().display().to_string();
    home.assert_turned_away(server.address(), &[], 2, &["cannot read", &file]);

    let home = Home::new();
    fs::write(home.config(), "a file").unwrap();
    let file = home.known_hosts_path().display().to_string();
    home.assert_turned_away(server.address(), &[], 2, &["cannot read", &file]);
    assert_untouched(&server);
}

#[test]
fn a_file_of_keys_that_cannot_be_written_is_named_and_the_log_in_stands() {
    let (server, home) = (Server::usual(), Home::new());
    // Not even root can make a directory behind this.
    symlink(home.path().join("missing/place"), home.config()).unwrap();
    let mut ada = home.visit(server.address(), "ada", &[]);
    for file in ["identity.pem", "known_hosts"] {
        let notice = ada.expect("notice")["text"].to_string();
        assert!(notice.contains("cannot write") && notice.contains(file), "{notice}");
    }
    ada.expect("login");
    ada.ok("whoelse");
}

// A server that is not on loopback.

/// Runs `body` with an address of this machine that is not loopback. Where there is none, runs the test `name` once
/// more in a network namespace that has one and vanishes with it, if that is permitted.
fn with_distant_address(name: &str, body: impl FnOnce(IpAddr)) {
    if let Some(address) = distant_address() {
        return body(address);
    }
    let inside = |program: &str, args: &[&str]| {
        let mut command = Command::new("unshare");
        let script = r#"ip link set lo up && ip addr add 198.51.100.7/24 dev lo && exec "$0" "$@""#;
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", script, program]).args(args);
        command.status().is_ok_and(|status| status.success())
    };
    if !inside("true", &[]) {
        return eprintln!(
            "not tested: this machine has no address but loopback, and no namespace can be made"
        );
    }
    let this = std::env::current_exe().unwrap().display().to_string();
    assert!(inside(&this, &["--exact", name, "--nocapture"]), "it failed in a network namespace");
}

/// From where this machine would talk to another one; nothing is sent to find out.
fn distant_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Reserved for documentation (RFC 5737).
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

fn distant_server(address: IpAddr) -> Server {
    Server::start(&ServerSetup { binds: &[&address.to_string()], ..ServerSetup::default() })
}

#[test]
fn an_unknown_server_elsewhere_needs_a_word_from_somebody() {
    with_distant_address("identity::an_unknown_server_elsewhere_needs_a_word_from_somebody", |address| {
        let (server, home) = (distant_server(address), Home::new());
        let shown = server.fingerprint();
        let clues = [&shown, "not known", "--accept-new", "Nothing was sent"];
        home.assert_turned_away(server.address(), &[], 5, &clues);
        assert_eq!(home.known_hosts(), "");
        let line = format!("{} {shown}\n", server.address());
        for args in [&["--accept-new"][..], &["--fingerprint", &shown]] {
            let home = Home::new();
            home.visit(server.address(), "ada", args).expect("login");
            assert_eq!(home.known_hosts(), line);
            // From now on it needs no word.
            home.visit(server.address(), "ada", &[]).expect("login");
        }
    });
}

#[test]
fn a_person_at_a_terminal_is_asked_about_an_unknown_server_elsewhere() {
    with_distant_address(
        "identity::a_person_at_a_terminal_is_asked_about_an_unknown_server_elsewhere",
        |address| {
            let (server, home) = (distant_server(address), Home::new());
            let shown = server.fingerprint();
            let start = || Terminal::start(&home, server.address(), &["--user", "ada"], "first-program");
            let Some(mut refusing) = start() else {
                return eprintln!("not tested: there is no `script` from util-linux to make a terminal");
            };
            let next = refusing.expect_line(0, &shown);
            // Neither yes nor no: asked again.
            refusing.type_in("perhaps\r");
            refusing.expect_line(next, &shown);
            refusing.type_in("no\r");
            assert_eq!(refusing.wait_exit(), 5);
            assert_eq!(home.known_hosts(), "");

            let mut trusting = start().unwrap();
            trusting.expect_line(0, &shown);
            trusting.type_in("yes\r");
            trusting.expect_line(0, "ada");
            server.expect_log(0, "ada logged in");
            trusting.type_in("logout\r");
            assert_eq!(trusting.wait_exit(), 0);
            assert_eq!(home.known_hosts(), format!("{} {shown}\n", server.address()));

            // Not asked any more.
            let mut known = start().unwrap();
            known.type_in("logout\r");
            assert_eq!(known.wait_exit(), 0);
        },
    );
}

// With and without TLS.

#[test]
fn a_client_and_a_server_that_differ_about_tls_part_with_advice() {
    let (plain, encrypted) = (Server::plain(), Server::usual());
    let home = Home::new();
    let place = |address: SocketAddr| address.to_string();
    let said = home.assert_turned_away(plain.address(), &[], 1, &[&place(plain.address()), "--no-tls"]);
    // It does run.
    assert!(!said.contains("running there"), "{said}");
    home.assert_turned_away(encrypted.address(), &["--no-tls"], 1, &["leave out --no-tls"]);
    for server in [&plain, &encrypted] {
        assert_untouched(server);
    }
}
