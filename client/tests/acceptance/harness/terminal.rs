//! A client at a terminal: what it prints, and keys typed to it.
//!
//! Owns the terminal, which `script` from util-linux makes; must not know what is asked there.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::home::Home;
use super::program::Program;
use super::{PATIENCE, binaries};

/// A client that takes its standard streams for a terminal.
pub(crate) struct Terminal {
    program: Program,
}

impl Terminal {
    /// Starts a client with these options and this password; `None` on a machine that cannot make a terminal.
    #[track_caller]
    pub(crate) fn start(home: &Home, address: SocketAddr, args: &[&str], password: &str) -> Option<Self> {
        let version = Command::new("script").arg("--version").output().ok()?;
        if !String::from_utf8_lossy(&version.stdout).contains("util-linux") {
            return None;
        }
        let (ip, port) = (address.ip(), address.port());
        // Wide enough that no sentence is broken.
        let line = format!("stty cols 500 rows 40; exec \"$PROGRAM\" {} {ip} {port}", args.join(" "));
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"])
            .current_dir(home.path())
            .env("PROGRAM", binaries::client())
            .env("PARLOUR_CONFIG_DIR", home.config())
            .env("PARLOUR_PASSWORD", password)
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm");
        Some(Self { program: Program::spawn(&mut command, Stdio::piped()) })
    }

    /// Types these keys.
    pub(crate) fn type_in(&self, keys: &str) {
        self.program.write(keys);
    }

    /// Waits for a line that contains `part`, from line `index` on; the number of the line after it.
    #[track_caller]
    pub(crate) fn expect_line(&self, index: usize, part: &str) -> usize {
        let deadline = Instant::now() + PATIENCE;
        let found = (index..)
            .map_while(|at| self.program.out.line(at, deadline).map(|line| (at, line)))
            .find(|(_, line)| line.contains(part));
        match found {
            Some((at, _)) => at + 1,
            None => panic!("awaited of process {}: `{part}` on the terminal", self.program.id()),
        }
    }

    /// Waits for the end, and returns the client's exit code.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> i32 {
        self.program.wait_exit()
    }
}
