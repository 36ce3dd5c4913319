//! The Parlour client.
pub mod face;
pub mod shell;
