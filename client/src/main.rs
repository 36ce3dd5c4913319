//! `parlour`: reads the arguments, runs the shell, turns the outcome into an exit code.

use std::{io::Write, process::ExitCode};

use client::{
    options::{self, Invocation},
    shell,
};

fn main() -> ExitCode {
    let invocation = match options::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => invocation,
        Err(error) => {
            complain(&format!("{error}\n\n{}", options::usage()));
            return ExitCode::from(2);
        }
    };
    match invocation {
        Invocation::Help => say(&options::help()),
        Invocation::Version => say(concat!("parlour ", env!("CARGO_PKG_VERSION"))),
        Invocation::Run(options) => match shell::run(&options) {
            Ok(code) => return ExitCode::from(code),
            Err(error) => {
                complain(&error.to_string());
                return ExitCode::from(error.exit_code());
            }
        },
    }
    ExitCode::SUCCESS
}

fn say(text: &str) {
    // A closed pipe behind --help is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "parlour: {text}");
}
