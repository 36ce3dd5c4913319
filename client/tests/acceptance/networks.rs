//! Two clients whose computers do not reach each other, as most at home do not: the talk and the files go the other
//! way round, or through the server. And one whose network goes away without a word (threat 38).
//!
//! The networks are namespaces of this machine with cables between them, made by `ip` from iproute2. That needs root;
//! without it these tests say so and pass.

use std::process::{self, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Fellow, Server, ServerSetup, kind, noise};

/// Three networks: server and ada, server and bob, ada and bob.
struct Networks {
    /// What the names of all that is made begin with.
    name: String,
    /// The first three parts of all addresses, and the number of the test, to which a sixteenth of them belongs.
    prefix: (String, u8),
}

/// The ends of the networks: the last parts of their addresses.
const SERVER_TO_ADA: u8 = 1;
const ADA_TO_SERVER: u8 = 2;
const SERVER_TO_BOB: u8 = 5;
const BOB_TO_SERVER: u8 = 6;
const ADA_TO_BOB: u8 = 9;
const BOB_TO_ADA: u8 = 10;
/// Of nobody, in no network.
const NOBODY: u8 = 14;

impl Networks {
    /// Networks of their own for the test of that number; `None` where they cannot be made.
    fn make(number: u8) -> Option<Self> {
        let id = process::id();
        let prefix = format!("10.{}.{}", 64 + (id >> 8) % 128, id & 0xff);
        let networks = Self { name: format!("p{:x}{number}", id & 0xffff), prefix: (prefix, number) };
        for name in networks.namespaces() {
            if !ip(&["netns", "add", &name]) {
                eprintln!("skipped: no network namespace can be made here");
                return None;
            }
            done(&["-n", &name, "link", "set", "lo", "up"]);
        }
        let [ada, bob] = networks.namespaces();
        networks.cable("x", (None, SERVER_TO_ADA), (Some(&ada), ADA_TO_SERVER));
        networks.cable("y", (None, SERVER_TO_BOB), (Some(&bob), BOB_TO_SERVER));
        networks.cable("z", (Some(&ada), ADA_TO_BOB), (Some(&bob), BOB_TO_ADA));
        Some(networks)
    }

    /// A server that both reach, ada at its first address and bob at its second.
    #[track_caller]
    fn server(&self, args: &[&str]) -> Server {
        let binds = [self.address(SERVER_TO_ADA), self.address(SERVER_TO_BOB)];
        let binds = binds.each_ref().map(String::as_str);
        Server::start(&ServerSetup { binds: &binds, args, ..ServerSetup::default() })
    }

    #[track_caller]
    fn ada(&self, server: &Server, args: &[&str]) -> Fellow {
        Fellow::within(&self.namespaces()[0], (server, 0), "ada", &[&["--accept-new"], args].concat())
    }

    #[track_caller]
    fn bob(&self, server: &Server, args: &[&str]) -> Fellow {
        Fellow::within(&self.namespaces()[1], (server, 1), "bob", &[&["--accept-new"], args].concat())
    }

    /// Somebody else at bob's computer.
    #[track_caller]
    fn carol(&self, server: &Server) -> Fellow {
        Fellow::within(&self.namespaces()[1], (server, 1), "carol", &["--accept-new"])
    }

    /// Takes bob's computer off the server's network, or puts it back: nothing that either sends comes through, and
    /// neither is told.
    #[track_caller]
    fn set_bobs_link(&self, state: &str) {
        let [_, bob] = self.namespaces();
        done(&["-n", &bob, "link", "set", &self.link("y", 1), state]);
    }

    /// Ada's, bob's.
    fn namespaces(&self) -> [String; 2] {
        ["a", "b"].map(|letter| format!("{}{letter}", self.name))
    }

    fn address(&self, end: u8) -> String {
        let (prefix, number) = &self.prefix;
        format!("{prefix}.{}", number * 16 + end)
    }

    /// Lets what ada's computer sends to that address disappear without an answer.
    #[track_caller]
    fn swallow(&self, end: u8) {
        // The way leads over somebody who is not there.
        let (address, gone) = (self.address(end), self.address(NOBODY));
        let ([ada, _], link) = (self.namespaces(), self.link("z", 0));
        let way = ["route", "add", &address, "via", &gone, "dev", &link, "onlink"];
        done(&[&["-n", &ada], &way[..]].concat());
        let nobody = ["neigh", "add", &gone, "lladdr", "02:00:00:00:00:01", "dev", &link, "nud", "permanent"];
        done(&[&["-n", &ada], &nobody[..]].concat());
    }

    /// Connects two ends, each in its namespace or in none.
    #[track_caller]
    fn cable(&self, letter: &str, one: (Option<&str>, u8), other: (Option<&str>, u8)) {
        let links = [0, 1].map(|end| self.link(letter, end));
        done(&["link", "add", &links[0], "type", "veth", "peer", "name", &links[1]]);
        for ((namespace, number), link) in [one, other].into_iter().zip(&links) {
            if let Some(namespace) = namespace {
                done(&["link", "set", link, "netns", namespace]);
            }
            let within = namespace.map(|namespace| vec!["-n", namespace]).unwrap_or_default();
            let address = format!("{}/30", self.address(number));
            done(&[&within[..], &["address", "add", &address, "dev", link]].concat());
            done(&[&within[..], &["link", "set", link, "up"]].concat());
        }
    }

    fn link(&self, letter: &str, end: u8) -> String {
        format!("{}{letter}{end}", self.name)
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // With a namespace go its ends of the cables, and with one end the other.
        for name in self.namespaces() {
            ip(&["netns", "delete", &name]);
        }
    }
}

/// Whether `ip` has done that.
fn ip(args: &[&str]) -> bool {
    Command::new("ip").args(args).output().is_ok_and(|output| output.status.success())
}

#[track_caller]
fn done(args: &[&str]) {
    assert!(ip(args), "ip {args:?}");
}

/// Opens a talk, talks, and passes a file, all of it that way.
#[track_caller]
fn assert_together(ada: &mut Fellow, bob: &mut Fellow, way: &str) {
    ada.ok("startprivate bob");
    for (client, text) in [(&mut *ada, "by ada"), (&mut *bob, "by bob")] {
        assert_eq!(client.expect("private-opened")["way"], way, "seen {text}");
    }
    for number in 0..3 {
        ada.ok(&format!("private bob ping {number}"));
        assert_eq!(bob.expect("private")["text"], format!("ping {number}"));
        bob.ok(&format!("private ada pong {number}"));
        assert_eq!(ada.expect("private")["text"], format!("pong {number}"));
    }
    let bytes = noise(1, 300_000);
    bob.put("f", &bytes);
    bob.ok("register f 7");
    let download = ada.post("download f");
    ada.ok("private bob while it comes");
    let ok = ada.reply(download);
    assert_eq!((kind(&ok), &ok["complete"], &ok["sources"]), ("ok", &json!(true), &json!(["bob"])), "{ok}");
    assert_eq!(ada.read("f"), bytes);
    let bytes = noise(2, 300_000);
    ada.put("g", &bytes);
    ada.ok("register g 3");
    bob.ok("download g");
    assert_eq!(bob.read("g"), bytes);
    ada.ok("stopprivate bob");
    for client in [ada, bob] {
        assert_eq!(client.expect("private-closed")["reason"], "stopped");
    }
}

/// The texts of all messages shown, once this one has been.
#[track_caller]
fn texts_until(client: &mut Fellow, last: &str) -> Vec<String> {
    let is_message = |event: &Value| kind(event) == "message";
    client.expect_event("the last message", |event| is_message(event) && event["text"] == last);
    let events = client.events().into_iter().filter(is_message);
    events.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn who_cannot_reach_each_other_at_all_goes_through_the_server() {
    let Some(networks) = Networks::make(0) else { return };
    let server = networks.server(&[]);
    let (mut ada, mut bob) = (networks.ada(&server, &[]), networks.bob(&server, &[]));
    assert_together(&mut ada, &mut bob, "relay");
    // The files' notice that it is slow.
    let notice = ada.expect("notice");
    assert!(notice["text"].as_str().is_some_and(|text| text.contains("through the server")), "{notice}");
    // A talk over the server ends with it.
    ada.ok("startprivate bob");
    server.kill();
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.expect("private-closed")["reason"], "lost");
    }
}

#[test]
fn packets_that_vanish_are_waited_for_only_a_moment() {
    let Some(networks) = Networks::make(1) else { return };
    let server = networks.server(&[]);
    networks.swallow(BOB_TO_SERVER);
    let (mut ada, mut bob) = (networks.ada(&server, &[]), networks.bob(&server, &[]));
    assert_together(&mut ada, &mut bob, "relay");
}

#[test]
fn who_cannot_be_dialled_dials_back() {
    let Some(networks) = Networks::make(2) else { return };
    let server = networks.server(&[]);
    // Bob can dial ada over the network of the two; she knows only of his address in the other one.
    let mut ada = networks.ada(&server, &["--listen", &networks.address(ADA_TO_BOB)]);
    let mut bob = networks.bob(&server, &[]);
    assert_together(&mut ada, &mut bob, "direct");
    assert!(ada.events().iter().all(|event| kind(event) != "notice"));
}

#[test]
fn who_vanishes_when_dialled_dials_back() {
    let Some(networks) = Networks::make(3) else { return };
    let server = networks.server(&[]);
    networks.swallow(BOB_TO_SERVER);
    let mut ada = networks.ada(&server, &["--listen", &networks.address(ADA_TO_BOB)]);
    let mut bob = networks.bob(&server, &[]);
    assert_together(&mut ada, &mut bob, "direct");
}

#[test]
fn a_network_of_the_two_is_used_where_they_listen_there() {
    let Some(networks) = Networks::make(4) else { return };
    let server = networks.server(&[]);
    let mut ada = networks.ada(&server, &["--listen", &networks.address(ADA_TO_BOB)]);
    let mut bob = networks.bob(&server, &["--listen", &networks.address(BOB_TO_ADA)]);
    assert_together(&mut ada, &mut bob, "direct");
    server.kill();
    ada.expect("reconnecting");
}

#[test]
fn without_a_relay_there_is_no_way() {
    let Some(networks) = Networks::make(5) else { return };
    let server = networks.server(&["--no-relay"]);
    let (mut ada, mut bob) = (networks.ada(&server, &[]), networks.bob(&server, &[]));
    let last = ada.post_all(&["startprivate bob", "private bob hello"]);
    assert_eq!(ada.reply(last - 1)["code"], "unreachable");
    assert_eq!(ada.reply(last)["code"], "no-private");
    bob.put("f", &noise(1, 1000));
    bob.ok("register f 2");
    assert_eq!(ada.error("download f"), "not-available");
    assert_eq!(ada.ok("message bob then like this")["state"], "delivered");
    bob.expect_none("private-opened");
}

#[test]
fn who_vanishes_without_a_word_is_found_and_gets_everything_once() {
    /// Within these a dead connection is found.
    const FOUND: Duration = Duration::from_secs(60);
    /// For a machine that is busy.
    const SLACK: Duration = Duration::from_secs(15);
    let Some(networks) = Networks::make(6) else { return };
    let server = networks.server(&[]);
    let mut ada = networks.ada(&server, &[]);
    // Messages on their way to bob give him away; carol is only asked whether she lives.
    let (mut bob, mut carol) = (networks.bob(&server, &[]), networks.carol(&server));
    assert_eq!(ada.ok("message bob 0")["state"], "delivered");
    assert_eq!(bob.expect("message")["text"], "0");

    networks.set_bobs_link("down");
    let down = Instant::now();
    let last = ada.post_all(&["message bob 1", "message bob 2", "message bob 3"]);
    for number in last - 2..=last {
        assert_eq!(ada.reply(number)["state"], "stored");
    }
    let is_lost = |event: &Value| kind(event) == "presence" && event["online"] == false;
    assert!(!ada.events().iter().any(is_lost), "they are kept before anybody knows that he is gone");
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let left = (FOUND + SLACK).saturating_sub(down.elapsed());
        let Some(event) = ada.wait_for(left, is_lost) else { ada.fail("that both are found to be gone") };
        assert_eq!(event["reason"], "lost");
        gone.push(event["user"].as_str().unwrap().to_owned());
        eprintln!("{} was found to be gone after {:?}", gone.last().unwrap(), down.elapsed());
    }
    gone.sort();
    assert_eq!(gone, ["bob", "carol"]);
    assert_eq!(ada.ok("message bob 4")["state"], "stored");
    assert_eq!(ada.ok("message carol 5")["state"], "stored");

    networks.set_bobs_link("up");
    // Their clients find out by themselves that the server has given them up, at the latest when it asks nothing.
    for (client, name) in [(&mut bob, "bob"), (&mut carol, "carol")] {
        let is_back = client.wait_for(FOUND, |event| kind(event) == "reconnected").is_some();
        assert!(is_back, "{name}'s client came back");
    }
    assert_eq!(ada.ok("message bob 6")["state"], "delivered");
    assert_eq!(texts_until(&mut bob, "6"), ["0", "1", "2", "3", "4", "6"]);
    assert_eq!(ada.ok("message carol 7")["state"], "delivered");
    assert_eq!(texts_until(&mut carol, "7"), ["5", "7"]);
}
