//! The Parlour client: a pure core, and a shell that gives it a socket, a clock and a user.
//!
//! [`core`] decides everything and touches nothing; [`shell`] touches everything and decides nothing;
//! [`face`] words what is to be shown.

pub mod core;
pub mod face;
pub mod options;
pub mod shell;
