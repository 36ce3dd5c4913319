//! The Parlour server: a pure hub, and a shell that gives it sockets, a clock and files.
//!
//! [`hub`] decides everything and touches nothing; [`shell`] touches everything and decides nothing.

pub mod credentials;
pub mod hub;
pub mod lookalikes;
pub mod options;
pub mod passwd;
mod quiet;
pub mod shell;
