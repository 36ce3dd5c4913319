//! A running client: commands in, events out.
//!
//! Owns the numbering of commands and the events not yet looked at; must not know what a command means.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::program::{Program, client_command};
use super::server::Server;

/// What a test may choose about its client.
#[derive(Default)]
pub(crate) struct ClientSetup<'a> {
    /// Options before the server's address.
    pub(crate) args: &'a [&'a str],
    /// The environment variable `PARLOUR_PASSWORD`.
    pub(crate) password: Option<&'a str>,
    /// Standard input; a pipe for `send` if there is none.
    pub(crate) input: Option<File>,
}

/// A client that is killed when dropped.
pub(crate) struct Client {
    program: Program,
    /// Lines of standard output already looked at.
    read: usize,
    /// Events that came and that nothing awaited yet, oldest first.
    pending: Vec<Value>,
    /// Commands posted so far, which is the number of the last one.
    commands: u64,
}

/// The name of an event.
pub(crate) fn kind(event: &Value) -> &str {
    event["event"].as_str().unwrap_or_default()
}

impl ClientSetup<'_> {
    /// Starts a client in a directory of its own.
    #[track_caller]
    pub(crate) fn start(self, server: &Server) -> Client {
        let args = [server.client_args(), self.args].concat();
        ClientSetup { args: &args, ..self }.start_in(&server.client_directory(), server.address())
    }

    /// Starts a client in `home`, and sends it to `address`.
    #[track_caller]
    pub(crate) fn start_in(self, home: &Path, address: SocketAddr) -> Client {
        self.start_with(client_command(home), address)
    }

    /// Starts a client by a command that is only short of its arguments.
    #[track_caller]
    pub(super) fn start_with(self, mut command: Command, address: SocketAddr) -> Client {
        command.args(self.args).args([address.ip().to_string(), address.port().to_string()]);
        if let Some(password) = self.password {
            command.env("PARLOUR_PASSWORD", password);
        }
        let program = Program::spawn(&mut command, self.input.map_or_else(Stdio::piped, Stdio::from));
        Client { program, read: 0, pending: Vec::new(), commands: 0 }
    }
}

impl Client {
    /// Starts a client with these options before the server's address.
    #[track_caller]
    pub(crate) fn start(server: &Server, args: &[&str]) -> Self {
        ClientSetup { args, ..ClientSetup::default() }.start(server)
    }

    /// A client with the JSON face that is logged in.
    #[track_caller]
    pub(crate) fn login(server: &Server, user: &str) -> Self {
        let mut client = Self::start(server, &["--json"]);
        client.send(user);
        client.send(server.password_of(user));
        client.expect("login");
        client
    }

    /// A client with the JSON face that has one try with this password, and what came of it.
    #[track_caller]
    pub(crate) fn try_login(server: &Server, user: &str, password: &str) -> (Self, Value) {
        let args = &["--json", "--user", user];
        let mut client = ClientSetup { args, password: Some(password), input: None }.start(server);
        let answer = client.expect_event("the answer to a log-in", |event| kind(event).starts_with("login"));
        (client, answer)
    }

    /// Writes a line that is no command: a username or a password.
    pub(crate) fn send(&self, line: &str) {
        self.program.write(format!("{line}\n"));
    }

    /// Writes a command and returns its number.
    pub(crate) fn post(&mut self, line: &str) -> u64 {
        self.post_all(&[line])
    }

    /// Writes commands in one piece and returns the last one's number.
    pub(crate) fn post_all<S: AsRef<str>>(&mut self, lines: &[S]) -> u64 {
        self.program.write(lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect::<String>());
        self.commands += lines.len() as u64;
        self.commands
    }

    /// Waits for the `ok` or `error` of a command.
    #[track_caller]
    pub(crate) fn reply(&mut self, number: u64) -> Value {
        let wanted = |event: &Value| matches!(kind(event), "ok" | "error") && event["re"] == number;
        self.expect_event(&format!("`ok` or `error` for command {number}"), wanted)
    }

    /// Writes a command and waits for its `ok`.
    #[track_caller]
    pub(crate) fn ok(&mut self, line: &str) -> Value {
        let number = self.post(line);
        let reply = self.reply(number);
        if kind(&reply) != "ok" {
            self.fail(&format!("`ok` for `{line:.80}`, not {reply}"));
        }
        reply
    }

    /// Writes a command, waits for its `error`, and returns the code.
    #[track_caller]
    pub(crate) fn error(&mut self, line: &str) -> String {
        let number = self.post(line);
        let reply = self.reply(number);
        match (kind(&reply), reply["code"].as_str(), reply["text"].as_str()) {
            ("error", Some(code), Some(text)) if !text.is_empty() => code.to_owned(),
            _ => self.fail(&format!("`error` with a code and a text for `{line:.80}`, not {reply}")),
        }
    }

    /// Waits for an event with this name.
    #[track_caller]
    pub(crate) fn expect(&mut self, name: &str) -> Value {
        self.expect_event(&format!("an event `{name}`"), |event| kind(event) == name)
    }

    /// Waits for the first event nobody awaited yet that `wanted` accepts.
    #[track_caller]
    pub(crate) fn expect_event(&mut self, awaited: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let Some(event) = self.wait_for(PATIENCE, wanted) else { self.fail(awaited) };
        event
    }

    /// Like `expect_event`, but something that may fail to come.
    pub(crate) fn wait_for(&mut self, patience: Duration, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + patience;
        let mut index = 0;
        loop {
            match self.pending.get(index) {
                Some(event) if wanted(event) => return Some(self.pending.remove(index)),
                Some(_) => index += 1,
                None => {
                    let event = self.read_event(deadline)?;
                    self.pending.push(event);
                }
            }
        }
    }

    /// Asserts that no event with this name came, up to the answer to a command asked now.
    #[track_caller]
    pub(crate) fn expect_none(&mut self, name: &str) {
        self.ok("whoelse");
        if self.pending.iter().any(|event| kind(event) == name) {
            self.fail(&format!("no event `{name}`"));
        }
    }

    /// Every event looked at so far, awaited or not, in order.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.program.out.lines()[..self.read].iter().map(|line| self.parse(line)).collect()
    }

    /// Waits for the end, and returns the exit code.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> i32 {
        if !self.program.out.await_end(Instant::now() + PATIENCE) {
            self.fail("the client's end");
        }
        self.program.wait_exit()
    }

    /// Kills it, and waits until all it has said is there.
    #[track_caller]
    pub(crate) fn kill(&self) {
        self.signal("KILL");
        if !self.program.out.await_end(Instant::now() + PATIENCE) {
            self.fail("the client's end");
        }
    }

    /// Waits for the end and asserts that it came with this exit code after a last event `disconnected`.
    #[track_caller]
    pub(crate) fn expect_end(&mut self, reason: &str, code: i32) {
        let exit_code = self.wait_exit();
        while let Some(event) = self.read_event(Instant::now()) {
            self.pending.push(event);
        }
        let events = self.events();
        let last = events.last().unwrap_or(&Value::Null);
        if kind(last) != "disconnected" || last["reason"] != reason || exit_code != code {
            self.fail(&format!(
                "`disconnected` for `{reason}` as the last event and exit code {code}, not {exit_code}"
            ));
        }
    }

    /// Writes bytes that need not be text; the test keeps count of the commands in them.
    pub(crate) fn write_bytes(&self, bytes: &[u8]) {
        self.program.write(bytes);
    }

    /// Ends standard input.
    pub(crate) fn close_input(&mut self) {
        self.program.close_input();
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Waits for a line of standard output that contains `part`, whatever the face.
    #[track_caller]
    pub(crate) fn expect_line(&self, part: &str) -> String {
        let line = self.program.out.find(0, Instant::now() + PATIENCE, |line| line.contains(part));
        line.unwrap_or_else(|| self.fail(&format!("a line with `{part}`")))
    }

    /// All of standard output so far, whatever the face.
    pub(crate) fn output(&self) -> String {
        self.program.out.lines().concat()
    }

    /// All of standard error so far.
    pub(crate) fn complaint(&self) -> String {
        self.program.err.lines().concat()
    }

    /// Stops the test; every program in it then shows what it has said.
    #[track_caller]
    pub(crate) fn fail(&self, awaited: &str) -> ! {
        panic!("awaited of process {}: {awaited}", self.program.id())
    }

    fn read_event(&mut self, deadline: Instant) -> Option<Value> {
        let line = self.program.out.line(self.read, deadline)?;
        self.read += 1;
        Some(self.parse(&line))
    }

    fn parse(&self, line: &str) -> Value {
        match serde_json::from_str::<Value>(line) {
            Ok(event) if !kind(&event).is_empty() && line.ends_with('\n') => event,
            _ => self
                .fail(&format!("nothing but JSON objects with an `event`, a line each, not `{line:.200}`")),
        }
    }
}
