//! What a person or a program meets: events worded three ways, and the line edited at a terminal.
//!
//! Pure: nothing here reads, writes or asks for the time.

mod files;
pub mod json;
pub mod key;
pub mod line_editor;
pub mod plain;
pub mod wrap;

/// The longest line taken from a person, in bytes without its line end.
///
/// Four times the longest text that may be sent, so that a text which is too long is still told apart from a
/// flood.
pub const LINE_LEN_MAX: usize = 64 * 1024;

/// When something happened, as the faces write it: RFC 3339 in UTC, with milliseconds.
fn time(at: protocol::time::UnixMs) -> humantime::Rfc3339Timestamp {
    /// The end of the year 9999, the last that the format can write.
    const LAST_MS: u64 = 253_402_300_799_999;
    let since = core::time::Duration::from_millis(at.0.min(LAST_MS));
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since)
}
