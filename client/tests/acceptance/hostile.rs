//! Peers that send garbage, too much or nothing, and readers that do not read: nobody else may feel them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::harness::{Client, PATIENCE, Server, kind, noise};

/// A bare connection to the server that fails a test rather than hang it.
fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `bytes` and then nothing more; the server may have hung up before, which is its right.
fn throw(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(server);
    drop(stream.write_all(bytes));
    stream
}

/// Asserts that two users can log in and talk.
#[track_caller]
fn assert_serving(server: &Server) {
    let mut ada = Client::login(server, "ada");
    let mut bob = Client::login(server, "bob");
    assert_eq!(ada.ok("message bob still there?")["state"], "delivered");
    assert_eq!(bob.expect("message")["text"], "still there?");
}

#[test]
fn garbage_on_the_port_harms_nobody() {
    for server in [Server::plain(), Server::usual()] {
        let mut held = Vec::new();
        for size in [1, 3, 5, 17, 1_000, 100_000, 1_000_000] {
            held.push(throw(&server, &noise(1, size)));
        }
        for line in [
            "GET / HTTP/1.1\r\nHost: parlour\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{2}",
            "login ada first-program\n",
            "\n\n\n",
        ] {
            held.push(throw(&server, line.as_bytes()));
        }
        // While they stand, and after they are gone.
        assert_serving(&server);
        drop(held);
        assert_serving(&server);
    }
}

#[test]
fn a_huge_length_is_cut_off() {
    for server in [Server::plain(), Server::usual()] {
        for length in [u32::MAX, 0x7fff_ffff, 64 * 1024 * 1024] {
            let mut stream = throw(&server, &length.to_be_bytes());
            drop(stream.write_all(&[b'x'; 1024]));
            // The end of the connection or its reset; a time-out fails.
            let end = stream.read_to_end(&mut Vec::new());
            let waiting = end.is_err_and(|error| matches!(error.kind(), std::io::ErrorKind::WouldBlock));
            assert!(!waiting, "a frame of {length} bytes is still awaited");
        }
        assert_serving(&server);
    }
}

#[test]
fn half_frames_and_empty_ones_harm_nobody() {
    for server in [Server::plain(), Server::usual()] {
        for bytes in [&[0, 0, 0, 0][..], &[0; 4_000], &[0, 0], &[0, 0, 0, 100, b'h', b'e'], &[0, 0, 1, 0]] {
            throw(&server, bytes).shutdown(Shutdown::Both).ok();
            throw(&server, bytes).shutdown(Shutdown::Write).ok();
        }
        let waiting = throw(&server, &[0, 0, 0, 100, b'h']);
        assert_serving(&server);
        drop(waiting);
        assert_serving(&server);
    }
}

#[test]
fn connections_that_come_to_nothing_leave_the_server_idle_and_serving() {
    let server = Server::usual();
    for _ in 0..200 {
        drop(connect(&server));
        drop(throw(&server, b"x"));
    }
    assert_serving(&server);
    assert_idle(&server);
}

/// Asserts that the server takes next to no processor time while nothing happens.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_idle(server: &Server) {
    use std::time::Duration;

    // User and system time, in ticks of 10 ms, are the 12th and 13th fields after the program's name in brackets.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum::<u64>()
    };
    let mut ada = Client::login(server, "ada");
    let before = ticks();
    ada.wait_for(Duration::from_secs(1), |_| false);
    let spent = ticks() - before;
    assert!(spent < 20, "{spent} ticks of 10 ms spent in an idle second");
}

/// Nothing to read the time from.
#[cfg(not(target_os = "linux"))]
fn assert_idle(server: &Server) {
    assert_ne!(server.id(), 0);
}

#[test]
fn input_lines_of_ten_megabytes_are_refused_and_the_next_one_is_heard() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let long = "x".repeat(10_000_000);
    assert_eq!(ada.error(&format!("message bob {long}")), "too-long");
    let code = ada.error(&long);
    assert!(["too-long", "unknown-command"].contains(&code.as_str()), "{code}");
    assert_eq!(ada.ok("message bob short")["state"], "stored");
}

#[test]
fn a_reader_that_stops_holds_up_nobody_else() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let mut carol = Client::login(&server, "carol");
    carol.ok("whoelse");
    carol.signal("STOP");
    let texts: Vec<_> = (0..100).map(|number| format!("{number} {}", "x".repeat(4_000))).collect();
    let to_carol = ada.post("message carol take your time");
    ada.post_all(&texts.iter().map(|text| format!("broadcast {text}")).collect::<Vec<_>>());
    for text in &texts {
        assert_eq!(bob.expect("broadcast")["text"], *text);
    }
    assert_eq!(ada.ok("message bob you first")["state"], "delivered");
    assert_eq!(bob.expect("message")["text"], "you first");
    assert_eq!(bob.ok("message ada thanks")["state"], "delivered");
    // Nobody has been told that she has it, for she has not.
    let early = ada.events().into_iter().find(|event| event["re"] == to_carol);
    assert_eq!(early, None);

    carol.signal("CONT");
    assert_eq!(ada.reply(to_carol)["state"], "delivered");
    assert_eq!(carol.expect("message")["text"], "take your time");
    for text in &texts {
        assert_eq!(carol.expect("broadcast")["text"], *text);
    }
}

#[test]
fn a_sender_that_floods_is_slowed_and_holds_up_nobody_else() {
    let server = Server::usual();
    let mut ada = Client::login(&server, "ada");
    let mut bob = Client::login(&server, "bob");
    let mut carol = Client::login(&server, "carol");
    let flood = ada.post_all(&vec![format!("broadcast {}", "f".repeat(1_000)); 300]);
    assert_eq!(bob.ok("message carol through the flood")["state"], "delivered");
    carol.expect("message");
    for number in 1..=flood {
        assert_eq!(kind(&ada.reply(number)), "ok");
    }
}
