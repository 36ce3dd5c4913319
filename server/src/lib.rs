//! The Parlour server.
pub mod hub;
