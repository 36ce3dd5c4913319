//! What the server and the client must agree on, and nothing else: frames, tags, names, codes, log-in messages.
//!
//! No sockets, no clock, no randomness, no threads: everything here is a function of its arguments.

pub mod random;
pub mod scram;
pub mod time;
