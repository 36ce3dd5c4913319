//! Starts the programs, talks with them, and tells the whole conversation when something awaited does not come.
//!
//! Owns processes, their streams and their directories. Must not know the wire or any promise under test.

mod binaries;
mod client;
mod home;
mod program;
mod server;
mod terminal;
mod transcript;

use std::time::Duration;

pub(crate) use self::client::{Client, ClientSetup, kind};
pub(crate) use self::home::Home;
pub(crate) use self::program::{Finished, Program, run_client, run_server, run_server_with_input};
pub(crate) use self::server::{PEOPLE, Server, ServerSetup, write_credentials};
pub(crate) use self::terminal::Terminal;

/// How long anything awaited may take: far more than it needs, so that only a lost answer runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
