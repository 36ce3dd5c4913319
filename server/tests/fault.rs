//! A panic in any thread ends the whole server at once, exit code 1, with words in the log (threat 11); and a new one
//! can take its place at once, port and all.
#![cfg(unix)]
// A test that cannot go on stops: panics are its way to say so, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use server::{
    options::{self, Invocation},
    shell,
};
use tempfile::TempDir;

/// Where the panic comes from; given to the child in its environment.
const CAUSE: &str = "PARLOUR_TEST_CAUSE";
const DIRECTORY: &str = "PARLOUR_TEST_DIRECTORY";
const PORT: &str = "PARLOUR_TEST_PORT";

/// Nothing here takes long; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that was started in a process of its own: this very program, with nothing but [`child`] to do.
struct Started {
    child: Child,
    address: SocketAddr,
}

impl Started {
    fn new(directory: &Path, cause: &str, port: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture", "--quiet"])
            .env(CAUSE, cause)
            .env(DIRECTORY, directory)
            .env(PORT, port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            if said.read_line(&mut line).unwrap() == 0 {
                let mut complaints = String::new();
                child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
                panic!("the server does not start: {complaints}");
            }
            if let Some((_, address)) = line.trim_end().split_once("listening ") {
                break address.parse().unwrap();
            }
        };
        Self { child, address }
    }

    /// Has it panic, and waits for its end. What it wrote to its log.
    fn fall(mut self) -> (ExitStatus, String) {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        self.child.stdin.take().unwrap().write_all(b"now\n").unwrap();
        // The whole server is gone, not only a thread of it.
        let end = client.read(&mut [0; 64]);
        assert!(
            matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
        );
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "a part of it lives on");
            thread::yield_now();
        };
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (status, log)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_panic_ends_the_server_with_words_and_a_new_one_takes_its_place() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("credentials"), "ada first-program\n").unwrap();
    let mut port = 0;
    for cause in ["thread", "log", "thread"] {
        let server = Started::new(directory.path(), cause, port);
        // The next one gets the same, as a supervisor would start it.
        port = server.address.port();
        let (status, log) = server.fall();
        assert_eq!(status.code(), Some(1), "{log}");
        let words = log.lines().find(|line| line.contains("a fault of the server's own")).expect(&log);
        assert!(words.contains("hostile \\u{1b}[2J") && words.contains("fault.rs:"), "{words}");
        assert!(words.len() < 500, "{words}");
    }
}

#[test]
#[ignore = "the server of the other test"]
fn child() {
    let Ok(cause) = std::env::var(CAUSE) else { return };
    let directory = std::env::var_os(DIRECTORY).unwrap();
    let port = std::env::var(PORT).unwrap();
    let directory = Path::new(&directory);
    let (credentials, data) = (directory.join("credentials"), directory.join("data"));
    shell::start_log(FaultyPipe { is_faulty: cause == "log" }).unwrap();
    thread::spawn(move || {
        io::stdin().read_line(&mut String::new()).unwrap();
        assert!(cause != "thread", "hostile \u{1b}[2J {}", "x".repeat(1_000_000));
        log::warn!("now");
    });
    let arguments =
        ["--credentials".as_ref(), credentials.as_os_str(), "--data-dir".as_ref(), data.as_os_str()]
            .into_iter()
            .chain([port.as_ref(), "60".as_ref(), "0".as_ref()]);
    let Ok(Invocation::Run(options)) = options::parse(arguments.map(OsStr::to_owned)) else {
        panic!("odd arguments")
    };
    shell::run(&options).unwrap();
}

/// Standard error, whose writer falls over at a certain word.
struct FaultyPipe {
    is_faulty: bool,
}

impl Write for FaultyPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_word = bytes.windows(3).any(|window| window == b"now");
        assert!(!(self.is_faulty && is_word), "hostile \u{1b}[2J in the log");
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
