//! Something for everyone, when everyone is many (threat 29): it exists once, and does not stand in front of an answer.

use protocol::{ClientFrame, MessageId, RequestId, limits::TEXT_LEN_MAX};
use server::hub::{ConnId, Lane, Limits};

use crate::rig::{Rig, verifier};

const AUDIENCE: usize = 1_000;

/// Everyone is in, and has heard what there was to hear.
fn full_house() -> (Rig, Vec<ConnId>) {
    let limits = Limits { outbox_len_soft: 8 << 20, outboxes_len_max: usize::MAX, ..Limits::default() };
    let keys = verifier();
    let names: Vec<String> = (0..AUDIENCE).map(|number| format!("user-{number:04}")).collect();
    let credentials = names.iter().map(|name| (name.parse().unwrap(), keys.clone())).collect();
    let mut rig = Rig::with(limits, credentials);
    let conns: Vec<_> = names.iter().map(|name| rig.log_in(name)).collect();
    for &conn in &conns {
        rig.heard(conn);
    }
    while rig.next_dirty(Lane::Direct).or(rig.next_dirty(Lane::Bulk)).is_some() {}
    (rig, conns)
}

fn broadcast(rig: &mut Rig, conn: ConnId, number: u32) {
    let text = "x".repeat(TEXT_LEN_MAX);
    let frame =
        ClientFrame::Broadcast { request: RequestId(number), id: MessageId(number.into()), text: &text };
    rig.throw(conn, frame.encode().as_bytes());
}

#[test]
fn an_answer_does_not_wait_behind_what_is_for_everyone() {
    let (mut rig, conns) = full_house();
    broadcast(&mut rig, conns[0], 1);
    rig.throw(conns[1], ClientFrame::Ping.encode().as_bytes());
    let direct: Vec<_> = std::iter::from_fn(|| rig.next_dirty(Lane::Direct)).collect();
    assert_eq!(direct, conns[..2], "who has an answer of his own");
    let bulk: Vec<_> = std::iter::from_fn(|| rig.next_dirty(Lane::Bulk)).collect();
    assert!(bulk == conns[2..], "everyone else, once");
    for &conn in &conns[1..] {
        let heard = rig.heard(conn);
        assert_eq!(heard.iter().filter(|frame| frame.starts_with("announce ")).count(), 1);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_waits_for_everyone_is_kept_once() {
    let (mut rig, conns) = full_house();
    let before = memory_len();
    for number in 0..100 {
        broadcast(&mut rig, conns[0], number);
    }
    let waiting_len: usize = conns.iter().map(|&conn| rig.waiting_len(conn)).sum();
    assert!(waiting_len > 100 * TEXT_LEN_MAX * (AUDIENCE - 1), "only {waiting_len} bytes wait");
    // A copy each would be 1.6 GB.
    let grown = memory_len().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for {waiting_len} that wait");
}

/// Resident memory of this process. Other tests in it are small.
#[cfg(target_os = "linux")]
fn memory_len() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
