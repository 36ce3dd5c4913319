//! Parts for measuring a server from outside: it as a child process, connections to it by the thousand, honest
//! users and attackers. Everything stays on the loopback interface of this machine.
//!
//! The server's figures come from `/proc`, so there are none elsewhere than on Linux.

pub mod attackers;
pub mod chat;
pub mod clock;
pub mod honest;
pub mod liar;
pub mod resets;
pub mod room;
pub mod sample;
pub mod server;
pub mod swarm;
pub mod torture;
pub mod wire;

use std::io;

use ring::rand::{SecureRandom, SystemRandom};

/// The password of every account.
pub const PASSWORD: &str = "a password like any other";

/// Random bytes from the system.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system has no randomness"))?;
    Ok(bytes)
}
