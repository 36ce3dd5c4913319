//! The terminal as the editor needs it, given back as it was.
//!
//! Owns raw mode and the way to standard output. Must not know what is drawn.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

/// Standard output without a buffer, so that what is drawn at once arrives at once.
#[cfg(unix)]
type Output = std::fs::File;
/// A console takes UTF-16, and the standard library translates.
#[cfg(not(unix))]
type Output = io::Stdout;

const PASTE_ON: &str = "\x1b[?2004h";
const PASTE_OFF: &str = "\x1b[?2004l";
/// Columns and rows of a terminal that does not tell.
const SIZE_DEFAULT: (u16, u16) = (80, 24);
/// How long to wait before a full terminal is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// A terminal in raw mode with bracketed paste; both end with this value.
#[derive(Debug)]
pub struct Screen {
    output: Output,
}

impl Screen {
    /// Takes the terminal over.
    pub fn enter() -> io::Result<Self> {
        // Asking whether the console knows escape sequences is what switches them on.
        #[cfg(windows)]
        if !crossterm::ansi_support::supports_ansi() {
            return Err(io::Error::new(ErrorKind::Unsupported, "this console knows no escape sequences"));
        }
        let mut screen = Self { output: output()? };
        screen.resume()?;
        Ok(screen)
    }

    /// The window's columns and rows.
    pub fn size(&self) -> (u16, u16) {
        match crossterm::terminal::size() {
            Ok((cols, rows)) if cols > 0 && rows > 0 => (cols, rows),
            _ => SIZE_DEFAULT,
        }
    }

    /// Writes all of `text` to standard output.
    pub fn write_all(&mut self, text: &str) -> io::Result<()> {
        write_patiently(&mut self.output, text.as_bytes())
    }

    /// Gives the terminal back for a while, before the program stops.
    pub fn suspend(&mut self) -> io::Result<()> {
        let written = self.write_all(PASTE_OFF);
        crossterm::terminal::disable_raw_mode()?;
        written
    }

    /// Takes the terminal over again, whatever mode it was left in.
    pub fn resume(&mut self) -> io::Result<()> {
        // A program that was stopped without a warning still believes in its raw mode, which the shell has ended.
        crossterm::terminal::disable_raw_mode()?;
        crossterm::terminal::enable_raw_mode()?;
        self.write_all(PASTE_ON)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone: then there is nothing to give back.
        let _ = self.suspend();
    }
}

#[cfg(unix)]
fn output() -> io::Result<Output> {
    use std::os::fd::AsFd as _;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
fn output() -> io::Result<Output> {
    Ok(io::stdout())
}

/// Writes and flushes. A terminal that is full, because someone else made it non-blocking, is waited for.
fn write_patiently(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    loop {
        let step = if bytes.is_empty() { out.flush().map(|()| 0) } else { out.write(bytes) };
        match step {
            Ok(_) if bytes.is_empty() => return Ok(()),
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_survives_interruptions_and_a_full_terminal() {
        let mut out = Reluctant::default();
        write_patiently(&mut out, "größer".as_bytes()).unwrap();
        assert_eq!(out.taken, "größer".as_bytes());
        assert!(out.flushed);
    }

    #[test]
    fn a_terminal_that_takes_nothing_is_an_error() {
        let error = write_patiently(&mut [0_u8; 0].as_mut_slice(), b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    }

    /// Takes a byte at a time, and refuses every other call in turn for one reason or the other.
    #[derive(Default)]
    struct Reluctant {
        calls: usize,
        taken: Vec<u8>,
        flushed: bool,
    }

    impl Reluctant {
        fn refuse(&mut self) -> io::Result<()> {
            self.calls += 1;
            match self.calls % 4 {
                1 => Err(ErrorKind::Interrupted.into()),
                3 => Err(ErrorKind::WouldBlock.into()),
                _ => Ok(()),
            }
        }
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.refuse()?;
            self.taken.extend(bytes.iter().take(1));
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.refuse()?;
            self.flushed = true;
            Ok(())
        }
    }
}
