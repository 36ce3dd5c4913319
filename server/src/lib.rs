//! The Parlour server: a pure hub, and a shell that gives it sockets, a clock and files.
//!
//! [`hub`] decides everything and touches nothing; [`shell`] touches everything and decides nothing. [`store`] keeps what must
//! outlive the process.

pub mod check;
pub mod credentials;
pub mod hub;
pub mod lookalikes;
pub mod options;
pub mod passwd;
mod private;
mod quiet;
pub mod shell;
pub mod store;
