//! Resets connections in mid-frame, a hundred thousand of them, and fails when the server keeps something of them.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use bench::{
    resets,
    server::{Server, Setup},
};
use getopts::Options;

const ROUNDS: usize = 10;
/// What the rounds behind the first may add to the resident memory in all.
const GROWTH_KIB_MAX: u64 = 2_048;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "resets: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut table = Options::new();
    table.optopt("n", "", "how many, with TLS and again without (default 100000)", "COUNT");
    table.optflag("h", "help", "print this help");
    let matches = table.parse(std::env::args_os().skip(1)).map_err(io::Error::other)?;
    if matches.opt_present("help") {
        return say(table.usage("Usage: resets [OPTIONS]").trim_end());
    }
    let count = matches.opt_get_default("n", 100_000_usize).map_err(io::Error::other)?;
    for tls in [true, false] {
        let way = if tls { "TLS" } else { "plain" };
        let server = Server::start(&Setup { users: Vec::new(), tls, descriptors_max: None })?;
        let before = server.figures()?;
        let mut memory_kib = Vec::new();
        let mut descriptors = before.descriptors;
        for _ in 0..ROUNDS {
            let after = resets::round(&server, count / ROUNDS)?;
            memory_kib.push(after.memory_kib);
            descriptors = descriptors.max(after.descriptors);
        }
        say(&format!(
            "{way}: {} resets; KiB of memory at first {}, then after each tenth {memory_kib:?}; {descriptors} \
             descriptors, {} before",
            count / ROUNDS * ROUNDS,
            before.memory_kib,
            before.descriptors
        ))?;
        let (first, last) = (memory_kib.first().copied(), memory_kib.last().copied());
        if descriptors > before.descriptors || last > first.map(|kib| kib + GROWTH_KIB_MAX) {
            return Err(io::Error::other("something of them is left"));
        }
    }
    Ok(())
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}
