//! An ordinary evening under system calls that fail now and then: what is passing is not noticed by anybody, and what
//! cannot be written is refused by name (threats 24, 25, 37).
//!
//! The calls are made to fail by `strace`; without it these tests say so and pass. Calls of `futex` are left alone: one
//! that wakes somebody is not done at all when it is made to fail, which no kernel does.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::durable::{assert_sound, texts, users};
use crate::harness::{Client, ClientSetup, Home, PATIENCE, Server, ServerSetup, Strace, kind};

/// Calls that a signal may interrupt, those of the loop and of all its connections.
const INTERRUPTED: &str = "epoll_wait,epoll_pwait,poll,ppoll,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,\
                           accept,accept4:error=EINTR";

/// Offline messages in a scene, each of which is a write of its own to the disk.
const ROUNDS: usize = 8;

/// What somebody was promised in a scene.
#[derive(Default)]
struct Promised {
    /// The texts of the messages that are to wait for bob.
    stored: Vec<String>,
    /// Whom carol blocks.
    blocked: Vec<&'static str>,
    /// The files that ada shares.
    registered: Vec<&'static str>,
    /// How much was refused.
    refused: usize,
}

impl Promised {
    /// Asks for something that has to be written, and tells whether it was; if not, it was refused as it should be.
    #[track_caller]
    fn ask(&mut self, client: &mut Client, line: &str) -> bool {
        let number = client.post(line);
        let reply = client.reply(number);
        if kind(&reply) == "ok" {
            return true;
        }
        assert_eq!(reply["code"], "store-failed", "{line}: {reply}");
        self.refused += 1;
        false
    }

    /// Ada and carol do what people do.
    #[track_caller]
    fn play(&mut self, ada: &mut Client, carol: &mut Client) {
        for round in 0..ROUNDS {
            let (there, back) = (format!("ping {round}"), format!("pong {round}"));
            assert_eq!(ada.ok(&format!("message carol {there}"))["state"], "delivered");
            assert_eq!(carol.expect("message")["text"], there);
            assert_eq!(carol.ok(&format!("message ada {back}"))["state"], "delivered");
            assert_eq!(ada.expect("message")["text"], back);
            let text = format!("for later {round}");
            if self.ask(ada, &format!("message bob {text}")) {
                self.stored.push(text);
            }
        }
        for user in ["bob", "dave"] {
            if self.ask(carol, &format!("block {user}")) {
                self.blocked.push(user);
            }
        }
        assert_eq!(ada.ok("broadcast to all")["delivered"], 1);
        assert_eq!(carol.expect("broadcast")["text"], "to all");
        for name in ["f", "g"] {
            if self.ask(ada, &format!("register {name} 2")) {
                self.registered.push(name);
            }
        }
        for client in [ada, carol] {
            client.ok("logout");
            client.expect_end("logout", 0);
        }
    }

    /// Ends the server without a chance to write anything more, and asks the next one for all that was promised.
    #[track_caller]
    fn assert_kept(mut self, server: Server, data: &TempDir) {
        // Nothing fails any more.
        let mut ada = Client::login(&server, "ada");
        assert_eq!(ada.ok("message bob the last")["state"], "stored");
        self.stored.push("the last".to_owned());
        let log = server.log().lines();
        assert!(!log.iter().any(|line| line.contains("panicked")), "{log:#?}");
        server.kill();
        drop(server);

        let server = start(data);
        let mut bob = Client::login(&server, "bob");
        assert_eq!(texts(&mut bob), self.stored);
        let files = bob.ok("files");
        let mut names: Vec<_> = files["files"].as_array().unwrap().iter().map(|file| &file["file"]).collect();
        names.sort_by_key(|name| name.as_str());
        assert_eq!(names, self.registered);
        let mut blocked = Client::login(&server, "carol").ok("blocklist");
        blocked["users"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        assert_eq!(users(&blocked), self.blocked);
        drop(server);
        assert_sound(data.path());
    }
}

fn start(data: &TempDir) -> Server {
    Server::start(&ServerSetup { data_dir: Some(data.path()), ..ServerSetup::default() })
}

/// Ada's place, with her files, and carol's.
fn homes() -> [Home; 2] {
    let homes = [Home::new(), Home::new()];
    for name in ["f", "g"] {
        fs::write(homes[0].path().join(name), format!("what {name} holds")).unwrap();
    }
    homes
}

/// Plays the scene while those calls of the server fail; how many did and what was promised, `None` where no call can be
/// made to.
#[track_caller]
fn play_with(server: &Server, fault: &str) -> Option<(usize, Promised)> {
    let homes = homes();
    let strace = Strace::attach(server.id(), &[fault])?;
    let [mut ada, mut carol] =
        [("ada", &homes[0]), ("carol", &homes[1])].map(|(user, home)| enter(server, user, home));
    let mut promised = Promised::default();
    promised.play(&mut ada, &mut carol);
    let injected = strace.injected();
    assert!(injected > 0, "{fault} never happened");
    Some((injected, promised))
}

/// A client who is logged in, after a few tries at worst: his connection may be one that is dropped.
#[track_caller]
fn enter(server: &Server, user: &str, home: &Home) -> Client {
    let dir = home.path().to_str().unwrap();
    for _ in 0..3 {
        let mut client = home.visit(server.address(), user, &["--dir", dir]);
        if client.wait_for(PATIENCE, |event| kind(event) == "login").is_some() {
            return client;
        }
        assert_eq!(client.wait_exit(), 1, "the connection failed, and nothing worse");
    }
    panic!("awaited of process {}: that it lets {user} in", server.id());
}

#[test]
fn a_server_whose_calls_are_interrupted_goes_on_as_if_nothing_was() {
    let data = TempDir::new().unwrap();
    let server = start(&data);
    let Some((injected, promised)) = play_with(&server, &format!("{INTERRUPTED}:when=2+5")) else { return };
    eprintln!("{injected} calls were interrupted");
    assert_eq!(promised.refused, 0);
    promised.assert_kept(server, &data);
}

#[test]
fn a_server_that_is_short_of_descriptors_now_and_then_drops_a_newcomer_at_worst() {
    let data = TempDir::new().unwrap();
    let server = start(&data);
    let Some((_, promised)) = play_with(&server, "accept,accept4:error=EMFILE:when=3+7") else { return };
    assert_eq!(promised.refused, 0);
    server.expect_log(0, "out of descriptors");
    promised.assert_kept(server, &data);
}

#[test]
fn a_disk_that_fails_now_and_then_loses_nothing_that_was_promised() {
    let mut refused = 0;
    for fault in [
        "fsync,fdatasync:error=EIO:when=5+3",
        "pwrite64:error=EIO:when=5+3",
        "pwrite64:error=ENOSPC:when=4+11",
    ] {
        let data = TempDir::new().unwrap();
        let server = start(&data);
        let Some((injected, promised)) = play_with(&server, fault) else { return };
        eprintln!("{fault}: {injected} failed, {} requests were refused", promised.refused);
        refused += promised.refused;
        promised.assert_kept(server, &data);
    }
    assert!(refused > 0, "no failure was ever in the way");
}

#[test]
fn a_client_whose_calls_are_interrupted_goes_on_as_if_nothing_was() {
    let server = Server::usual();
    let homes = homes();
    let mut straces = Vec::new();
    let mut people = Vec::new();
    for (user, home) in ["ada", "carol"].into_iter().zip(&homes) {
        // He waits for his name meanwhile.
        let args = ["--json", "--dir", home.path().to_str().unwrap()];
        let client =
            ClientSetup { args: &args, ..ClientSetup::default() }.start_in(home.path(), server.address());
        let Some(strace) = Strace::attach(client.id(), &[&format!("{INTERRUPTED}:when=2+5")]) else { return };
        client.send(user);
        client.send(server.password_of(user));
        straces.push(strace);
        people.push(client);
    }
    let [ada, carol] = &mut people[..] else { unreachable!() };
    for client in [&mut *ada, &mut *carol] {
        client.expect("login");
    }
    let mut promised = Promised::default();
    promised.play(ada, carol);
    assert_eq!(promised.refused, 0);
    assert_eq!(texts(&mut Client::login(&server, "bob")), promised.stored);
    assert!(straces.iter().all(|strace| strace.injected() > 0));
}
