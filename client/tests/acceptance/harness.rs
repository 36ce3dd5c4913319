//! Starts the programs, talks with them, and tells the whole conversation when something awaited does not come.
//!
//! Owns processes, their streams and their directories. Must not know the wire or any promise under test.

mod binaries;
mod client;
mod fellow;
mod home;
mod program;
mod server;
mod terminal;
mod transcript;

use std::net::TcpListener;
use std::time::Duration;

pub(crate) use self::client::{Client, ClientSetup, kind};
pub(crate) use self::fellow::Fellow;
pub(crate) use self::home::Home;
pub(crate) use self::program::{Finished, Program, run_client, run_server, run_server_with_input};
pub(crate) use self::server::{PEOPLE, Server, ServerSetup, write_credentials};
pub(crate) use self::terminal::Terminal;

/// A loopback address of a test's own, so that a port which was free there stays free until it is used.
pub(crate) fn own_address(network: u8, number: u8) -> String {
    // Linux has all of 127.0.0.0/8; elsewhere the port is only very likely to be free.
    let own = format!("127.{network}.0.{number}");
    if TcpListener::bind((own.as_str(), 0)).is_ok() { own } else { "127.0.0.1".to_owned() }
}

/// Bytes without a pattern, but the same for the same seed (xorshift).
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// How long anything awaited may take: far more than it needs, so that only a lost answer runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
