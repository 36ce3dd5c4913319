//! The real server under attack from outside, in small; `scripts/attack.sh` does the same at length. What is looked at
//! is in `/proc`, so only on Linux.
#![cfg(target_os = "linux")]
// A test that cannot go on stops: panics are its way to say so, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod descriptors;
mod fanout;
mod resets;

const PROGRAM: &str = env!("CARGO_BIN_EXE_parlour-server");
