//! A running program: its streams, signals and end.
//!
//! Owns the child process and ends it with itself; must not know which program it is.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::transcript::Transcript;
use super::{PATIENCE, binaries};

/// A program that has been started and is killed when dropped.
pub(crate) struct Program {
    title: String,
    child: Child,
    input: Option<Sender<Vec<u8>>>,
    /// Standard output.
    pub(crate) out: Transcript,
    /// Standard error.
    pub(crate) err: Transcript,
}

/// What a program left when it had ended by itself.
pub(crate) struct Finished {
    /// The exit code.
    pub(crate) code: i32,
    /// All of standard output.
    pub(crate) stdout: String,
    /// All of standard error.
    pub(crate) stderr: String,
}

/// Runs the server with exactly these arguments in `directory` and waits for its end.
#[track_caller]
pub(crate) fn run_server(directory: &Path, args: &[&str]) -> Finished {
    run(server_command(directory).args(args))
}

/// Runs the server's program with this standard input and waits for its end.
#[track_caller]
pub(crate) fn run_server_with_input(directory: &Path, args: &[&str], input: &str) -> Finished {
    let mut program = Program::spawn(server_command(directory).args(args), Stdio::piped());
    program.write(input);
    program.close_input();
    finish(&mut program)
}

/// Runs the client with exactly these arguments in `directory` and waits for its end; its input is empty.
#[track_caller]
pub(crate) fn run_client(directory: &Path, args: &[&str]) -> Finished {
    run(client_command(directory).args(args))
}

/// The server's program with an environment that holds nothing of the tester's.
pub(super) fn server_command(directory: &Path) -> Command {
    let mut command = Command::new(binaries::server());
    command.current_dir(directory).env("RUST_LOG", "info");
    command
}

/// The client's program with an environment that holds nothing of the tester's.
pub(super) fn client_command(directory: &Path) -> Command {
    with_environment(Command::new(binaries::client()), directory)
}

/// The same in a network namespace, by `ip` from iproute2.
pub(super) fn client_command_within(namespace: &str, directory: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(binaries::client());
    with_environment(command, directory)
}

fn with_environment(mut command: Command, directory: &Path) -> Command {
    command
        .current_dir(directory)
        .env("PARLOUR_CONFIG_DIR", directory.join("config"))
        .env_remove("PARLOUR_PASSWORD")
        .env_remove("RUST_LOG");
    command
}

impl Finished {
    /// Asserts that the program gave up with `code`, wrote nothing to standard output, and named the trouble on
    /// standard error with one of `clues` at least (matched without regard to case).
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: i32, clues: &[&str]) {
        let said = self.stderr.to_lowercase();
        let named = clues.iter().any(|clue| said.contains(&clue.to_lowercase()));
        assert!(
            self.code == code && self.stdout.is_empty() && named,
            "awaited: exit code {code}, nothing on standard output, and one of {clues:?} on standard error\n\
             exit code: {}\nstandard output: {}\nstandard error: {}",
            self.code,
            self.stdout,
            self.stderr,
        );
    }
}

impl Program {
    /// Starts `command`; `input` is its standard input, which `write` reaches if it is a pipe.
    pub(crate) fn spawn(command: &mut Command, input: Stdio) -> Self {
        let title = format!("{command:?}");
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{title} does not start: {error}"));
        let out = Transcript::of(child.stdout.take().expect("standard output is piped"));
        let err = Transcript::of(child.stderr.take().expect("standard error is piped"));
        // A thread of its own: a program that stops reading must fail its test, not hang it.
        let input = child.stdin.take().map(|mut stdin| {
            let (input, pieces) = channel::<Vec<u8>>();
            thread::spawn(move || pieces.iter().try_for_each(|piece| stdin.write_all(&piece)));
            input
        });
        Self { title, child, input, out, err }
    }

    /// Writes to standard input, without waiting until it is read.
    pub(crate) fn write(&self, bytes: impl Into<Vec<u8>>) {
        let input = self.input.as_ref().expect("standard input is an open pipe");
        // A program that has ended reads no more: the test sees that in what it awaits next.
        drop(input.send(bytes.into()));
    }

    /// Ends standard input once all that was written has been read.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.expect("`kill` starts").success(), "no SIG{name} for {}", self.title);
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the program to end by itself, and returns its exit code.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        let ended = self.out.await_end(deadline) && self.err.await_end(deadline);
        assert!(ended, "awaited of process {}: its end", self.id());
        let status = self.child.wait().expect("a child can be waited for");
        status
            .code()
            .unwrap_or_else(|| panic!("awaited of process {}: an exit code, not {status}", self.id()))
    }

    /// Shows everything the program has said, for a test that failed over it.
    fn tell(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        self.out.await_end(deadline);
        self.err.await_end(deadline);
        eprintln!("process {}: {}", self.id(), self.title);
        eprintln!("  on standard output:\n{}  on standard error:\n{}", self.out.quoted(), self.err.quoted());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only for a program that has ended, which is what they are for.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            self.tell();
        }
    }
}

#[track_caller]
fn run(command: &mut Command) -> Finished {
    finish(&mut Program::spawn(command, Stdio::null()))
}

#[track_caller]
fn finish(program: &mut Program) -> Finished {
    let code = program.wait_exit();
    Finished { code, stdout: program.out.lines().concat(), stderr: program.err.lines().concat() }
}
