//! What the programs promise to users and scripts, asked of the real binaries.
//!
//! Everything here goes through arguments, standard streams, signals and exit codes; nothing looks inside.
#![cfg(unix)]
// A test that cannot go on stops with the whole conversation on the screen: panics are its way to say so, and the
// lints' exemption for tests does not reach the helpers outside `#[test]`.
#![allow(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod arguments;
mod broadcast;
mod commands;
mod durable;
mod faces;
mod files;
mod harness;
mod hostile;
mod identity;
mod lists;
mod login;
mod messages;
mod mitm;
mod networks;
mod passwd;
mod presence;
mod private;
mod reconnect;
mod restart;
mod shutdown;
mod swarm;
