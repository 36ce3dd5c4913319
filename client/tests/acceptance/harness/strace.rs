//! System calls of a running program that fail, by `strace`.
//!
//! Owns the tracer and its arguments. Must not know which program it is, nor what a failure should lead to.

use std::process::{Command, Stdio};
use std::time::Instant;

use super::PATIENCE;
use super::program::Program;

/// Failures that happen to a program until this is dropped.
pub(crate) struct Strace {
    program: Program,
}

impl Strace {
    /// Lets calls of the process `id` fail: each of `faults` is names with commas between them and what happens to
    /// them, such as `read,write:error=EINTR:when=2+5` for the second call and each fifth after it, counted for every
    /// call and thread by itself. `None`, and said so, where nobody lets us.
    pub(crate) fn attach(id: u32, faults: &[&str]) -> Option<Self> {
        let traced = Self::try_attach(id, faults);
        if traced.is_none() {
            eprintln!("skipped {faults:?}: strace cannot be had here");
        }
        traced
    }

    /// How many calls were made to fail up to now.
    pub(crate) fn injected(&self) -> usize {
        self.program.err.lines().iter().filter(|line| line.contains("(INJECTED)")).count()
    }

    fn try_attach(id: u32, faults: &[&str]) -> Option<Self> {
        let version = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &id.to_string()]);
        let mut traced = Vec::new();
        for fault in faults {
            let (names, what) = fault.split_once(':').expect("names, and what happens to them");
            // Not every architecture has every call.
            let names = names.split(',').map(|name| format!("?{name}")).collect::<Vec<_>>().join(",");
            command.args(["-e", &format!("inject={names}:{what}")]);
            traced.push(names);
        }
        command.args(["-e", &format!("trace={}", traced.join(","))]);
        let program = Program::spawn(&mut command, Stdio::null());
        // Said once all threads are caught.
        let is_attached = |line: &str| line.contains("attached");
        program.err.find(0, Instant::now() + PATIENCE, is_attached)?;
        Some(Self { program })
    }
}

/// Asked, it lets go of the program in good order. If it were killed in the middle of a call, that call would fail in a
/// way in which none ever does.
impl Drop for Strace {
    fn drop(&mut self) {
        self.program.signal("TERM");
        self.program.err.await_end(Instant::now() + PATIENCE);
    }
}
