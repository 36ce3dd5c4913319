//! Standard input as an event source of the run loop.
//!
//! Owns how lines and keys are read on each platform. Must not know what they mean.
//!
//! ```text
//! if stdin.always_ready() { poll with no wait } else { poll until stdin.poll_timeout() }
//! if an event bears stdin's token, or stdin.always_ready() { stdin.read() }
//! stdin.handle_timeout(now)
//! ```
//!
//! Any event with the token counts: the end of a pipe is told as a hang-up, not as something to read.

#[cfg(unix)]
mod escape;
mod lines;
#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use other::Stdin;
#[cfg(unix)]
pub use unix::Stdin;

pub use crate::face::LINE_LEN_MAX;
use crate::face::key::Key;

/// Most bytes taken from standard input in one turn of the loop.
const READ_LEN_MAX: usize = 8 * 1024;

/// What standard input is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Lines of text.
    Lines,
    /// The keys of a terminal in raw mode.
    Keys,
}

/// Something that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line without its line end.
    Line(String),
    /// A line that is not UTF-8.
    NotText,
    /// A line longer than [`LINE_LEN_MAX`], told once; the rest of it is thrown away.
    TooLong {
        /// What its first 64 bytes say.
        start: String,
    },
    /// A key, in [`Mode::Keys`].
    Key(Key),
    /// The window has another size. Windows only: Unix sends a signal.
    Resized,
    /// Nothing more will come: end of input, or the terminal went away.
    End,
}
