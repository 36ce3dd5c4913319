//! Where the client meets the operating system.
pub mod screen;
pub mod stdin;
