//! `parlour-server`: reads the arguments, runs the shell or a sub-command, turns the outcome into an exit code.

use std::{ffi::OsString, io::Write, process::ExitCode};

use server::{
    check::{self, CheckError},
    options::{self, Invocation},
    passwd::{self, PasswdError},
    shell,
};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == passwd::NAME).is_some() {
        return set_password(arguments);
    }
    if arguments.next_if(|first| first == check::NAME).is_some() {
        return check_store(arguments);
    }
    let invocation = match options::parse(arguments) {
        Ok(invocation) => invocation,
        Err(error) => {
            complain(&format!("{error}\n\n{}", options::usage()));
            return ExitCode::from(2);
        }
    };
    match invocation {
        Invocation::Help => say(&options::help()),
        Invocation::Version => say(concat!("parlour-server ", env!("CARGO_PKG_VERSION"))),
        Invocation::Run(options) => {
            let log = match shell::start_log(std::io::stderr()) {
                Ok(log) => log,
                Err(error) => {
                    complain(&format!("cannot start the thread of the log: {error}"));
                    return ExitCode::FAILURE;
                }
            };
            let outcome = shell::run(&options);
            log.finish();
            if let Err(error) = outcome {
                complain(&error.to_string());
                return ExitCode::from(error.exit_code());
            }
        }
    }
    ExitCode::SUCCESS
}

fn set_password(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = passwd::parse(arguments).and_then(|invocation| match invocation {
        passwd::Invocation::Help => Ok(passwd::help()),
        passwd::Invocation::Run(options) => passwd::run(&options),
    });
    match outcome {
        Ok(text) => print(&text),
        Err(error) => {
            let usage = match error {
                PasswdError::Usage(_) => format!("\n\n{}", passwd::usage()),
                _ => String::new(),
            };
            complain(&format!("{error}{usage}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn check_store(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let outcome = check::parse(arguments).and_then(|invocation| match invocation {
        check::Invocation::Help => Ok(check::help()),
        check::Invocation::Run(folder) => check::run(&folder),
    });
    match outcome {
        Ok(text) => print(&text),
        Err(error) => {
            let usage = match error {
                CheckError::Usage(_) => format!("\n\n{}", check::usage()),
                CheckError::Store(_) => String::new(),
            };
            complain(&format!("{error}{usage}"));
            ExitCode::from(2)
        }
    }
}

/// What is printed is all that there is of it: a full disk behind `>>` must not go unnoticed.
fn print(text: &str) -> ExitCode {
    let printed = writeln!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush());
    if let Err(error) = printed {
        complain(&format!("cannot write to standard output: {error}"));
        return ExitCode::from(1);
    }
    ExitCode::SUCCESS
}

fn say(text: &str) {
    // A closed pipe behind --help is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "parlour-server: {text}");
}
