//! `parlour-server check`: is the database of a data directory sound?
//!
//! Owns the sub-command's arguments and words. Must not know what makes a database sound; the store does.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use getopts::Options as Table;
use protocol::time::UnixMs;
use thiserror::Error;

use crate::{
    options::DATA_DIR,
    store::{Contents, StoreError, verify},
};

/// The word that selects this sub-command; no port is called so.
pub const NAME: &str = "check";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print the help and leave.
    Help,
    /// Look at the database in this folder.
    Run(PathBuf),
}

/// Why the answer is not yes. The exit code is 2 for each.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The arguments make no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no sound database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Parses the arguments behind the sub-command's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, CheckError> {
    let matches = table().parse(arguments).map_err(|fail| CheckError::Usage(fail.to_string()))?;
    if matches.opt_present("help") {
        return Ok(Invocation::Help);
    }
    if let Some(extra) = matches.free.first() {
        return Err(CheckError::Usage(format!(
            "expected no argument, got '{extra}'; --data-dir names the folder"
        )));
    }
    Ok(Invocation::Run(matches.opt_str("data-dir").unwrap_or_else(|| DATA_DIR.to_owned()).into()))
}

/// One line on how to call it.
pub fn usage() -> String {
    "Usage: parlour-server check [OPTIONS]\n\
     Try 'parlour-server check --help' for what it does."
        .to_owned()
}

/// The whole help.
pub fn help() -> String {
    let brief = "Usage: parlour-server check [OPTIONS]\n\n\
         Looks at everything in the server's database, parlour.db in the data directory, and changes nothing. A server\n\
         may be running on it.";
    let details = "Exit codes: 0 it is sound; 2 it is not, or there is none, or wrong usage; the message says what to do.\n\n\
         Example: parlour-server check --data-dir parlour-data";
    format!("{}\n{details}", table().usage(brief).trim_end_matches('\n').to_owned() + "\n")
}

/// Looks. Returns what to print.
pub fn run(folder: &Path) -> Result<String, CheckError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = UnixMs(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let Contents { messages, mailboxes, blocks, files } = verify(folder, now)?;
    Ok(format!(
        "the database in {} is sound (messages that wait: {messages}, users they wait for: {mailboxes}, blocks: {blocks}, files: {files})",
        folder.display()
    ))
}

fn table() -> Table {
    let mut table = Table::new();
    table.optopt("d", "data-dir", "the folder of the database (default parlour-data)", "DIR");
    table.optflag("h", "help", "print this help");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_an_option() {
        let parse = |arguments: &[&str]| parse(arguments.iter().map(OsString::from));
        assert_eq!(parse(&[]).unwrap(), Invocation::Run("parlour-data".into()));
        assert_eq!(parse(&["-d", "x"]).unwrap(), Invocation::Run("x".into()));
        assert_eq!(parse(&["--data-dir", "x", "--help"]).unwrap(), Invocation::Help);
        assert!(parse(&["x"]).unwrap_err().to_string().contains("'x'"));
    }
}
