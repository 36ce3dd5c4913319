//! What a person meets: keys and the line edited with them.
//!
//! Pure: nothing here reads, writes or asks for the time.
pub mod key;
pub mod line_editor;

/// The longest line taken from a person, in bytes without its line end.
///
/// Four times the longest text that may be sent, so that a text which is too long is still told apart from a
/// flood.
pub const LINE_LEN_MAX: usize = 64 * 1024;
