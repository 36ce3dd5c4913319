//! The commands: one table of words and usage lines, and the way from a typed line to a command.
//!
//! Owns what can be checked without the server. Must not know connections.

use protocol::{ErrorCode, Username, limits::TEXT_LEN_MAX};

/// A line that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Message {
        to: Username,
        text: String,
    },
    Broadcast {
        text: String,
    },
    WhoElse,
    WhoElseSince {
        seconds: u64,
    },
    Block {
        user: Username,
    },
    Unblock {
        user: Username,
    },
    BlockList,
    StartPrivate {
        user: Username,
    },
    Private {
        to: Username,
        text: String,
    },
    StopPrivate {
        user: Username,
    },
    /// Opens the private connection that was lost last.
    Again,
    Trust {
        user: Username,
    },
    File(FileCommand),
    Logout,
    Help {
        text: String,
    },
}

/// A command about files. Names are as typed: what cannot be a name is told when its turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FileCommand {
    Register {
        name: String,
        chunks: u64,
    },
    Unregister {
        name: String,
    },
    Files,
    SearchFile {
        name: String,
    },
    SearchChunk {
        name: String,
        chunks: Vec<u64>,
    },
    /// No chunks: all of them.
    Download {
        name: String,
        chunks: Vec<u64>,
    },
    Transfers,
    Cancel {
        name: String,
    },
}

impl FileCommand {
    /// The command's word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register",
            Self::Unregister { .. } => "unregister",
            Self::Files => "files",
            Self::SearchFile { .. } => "searchFile",
            Self::SearchChunk { .. } => "searchChunk",
            Self::Download { .. } => "download",
            Self::Transfers => "transfers",
            Self::Cancel { .. } => "cancel",
        }
    }

    /// The file that must have been registered before this can be done, if it is about to be.
    pub(super) fn follows(&self) -> Option<&str> {
        match self {
            Self::Register { name, .. }
            | Self::Unregister { name }
            | Self::SearchFile { name }
            | Self::SearchChunk { name, .. }
            | Self::Download { name, .. } => Some(name),
            Self::Files | Self::Transfers | Self::Cancel { .. } => None,
        }
    }
}

/// A line that does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// The command's word, as far as there is one.
    pub(super) command: String,
    pub(super) code: ErrorCode,
    /// What to do.
    pub(super) text: String,
}

/// A row of the table.
struct Spec {
    word: &'static str,
    arguments: &'static str,
    meaning: &'static str,
}

const fn spec(word: &'static str, arguments: &'static str, meaning: &'static str) -> Spec {
    Spec { word, arguments, meaning }
}

static TABLE: &[Spec] = &[
    spec("message", "<user> <text>", "send a message to one user; it is kept for him if he is away"),
    spec("broadcast", "<text>", "send a message to everyone online"),
    spec("whoelse", "", "list the other users who are online"),
    spec("whoelsesince", "<seconds>", "list the other users who were online in the past so many seconds"),
    spec("block", "<user>", "take nothing from that user any more; he is not told"),
    spec("unblock", "<user>", "undo 'block'"),
    spec("blocklist", "", "list the users you have blocked"),
    spec("startprivate", "<user>", "open a private connection, past the server"),
    spec("private", "<user> <text>", "send a message over a private connection"),
    spec("stopprivate", "<user>", "close a private connection"),
    spec("again", "", "open the private connection that was lost last"),
    spec("trust", "<user>", "accept that user's new key, after you have asked him about it"),
    spec("register", "<file> <n_chunks>", "offer a file of your directory to everyone, in so many chunks"),
    spec("unregister", "<file>", "take back a file that you have registered"),
    spec("files", "", "list the files that are registered"),
    spec("searchFile", "<file>", "list who has which chunks of a file"),
    spec("searchChunk", "<file> <n>...", "list who has these chunks of a file, counted from 0"),
    spec("download", "<file> [<n>...]", "fetch a file, or these chunks of it, from everyone who has them"),
    spec("transfers", "", "list what is being registered, fetched and passed on"),
    spec("cancel", "<file>", "stop registering or fetching a file; what you have of it stays"),
    spec("logout", "", "end the session, after every command before it"),
    spec("help", "[command]", "list the commands, or explain one"),
];

/// The words of all commands, for completion.
pub fn words() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|spec| spec.word)
}

/// Reads a line.
pub(super) fn parse(line: &str) -> Result<Command, Mistake> {
    let line = line.trim_start();
    let (typed, rest) = split_word(line);
    let Some(spec) = find(typed) else { return Err(unknown(typed)) };
    let command = match spec.word {
        "message" => {
            let (to, text) = addressed(spec, rest)?;
            Command::Message { to, text }
        }
        "private" => {
            let (to, text) = addressed(spec, rest)?;
            Command::Private { to, text }
        }
        "broadcast" => {
            let text = rest.ok_or_else(|| usage(spec))?;
            check_len(spec, text)?;
            Command::Broadcast { text: text.trim().to_owned() }
        }
        "whoelsesince" => {
            Command::WhoElseSince { seconds: number(one(spec, rest)?).ok_or_else(|| usage(spec))? }
        }
        "block" => Command::Block { user: user(spec, one(spec, rest)?)? },
        "unblock" => Command::Unblock { user: user(spec, one(spec, rest)?)? },
        "startprivate" => Command::StartPrivate { user: user(spec, one(spec, rest)?)? },
        "stopprivate" => Command::StopPrivate { user: user(spec, one(spec, rest)?)? },
        "trust" => Command::Trust { user: user(spec, one(spec, rest)?)? },
        "again" => none(spec, rest, Command::Again)?,
        "files" => none(spec, rest, Command::File(FileCommand::Files))?,
        "transfers" => none(spec, rest, Command::File(FileCommand::Transfers))?,
        "register" | "unregister" | "searchFile" | "searchChunk" | "download" | "cancel" => {
            Command::File(file_command(spec, rest)?)
        }
        "whoelse" => none(spec, rest, Command::WhoElse)?,
        "blocklist" => none(spec, rest, Command::BlockList)?,
        "logout" => none(spec, rest, Command::Logout)?,
        _ => Command::Help { text: help(spec, rest)? },
    };
    Ok(command)
}

/// The answer to a line that is no UTF-8.
pub(super) fn not_text() -> Mistake {
    let text = "This line is not UTF-8 text; nothing was sent. Set the terminal or the script to UTF-8.";
    Mistake { command: String::new(), code: ErrorCode::Usage, text: text.to_owned() }
}

/// The answer to a line so long that it was not even kept; `start` is how it begins.
pub(super) fn line_too_long(start: &str) -> Mistake {
    let word = split_word(start.trim_start()).0;
    match find(word) {
        Some(spec) => too_long(spec),
        None => Mistake { command: shorten(word), code: ErrorCode::TooLong, text: TOO_LONG.to_owned() },
    }
}

/// The word that stands for a line in an answer that has nothing to do with what it says.
pub(super) fn word_of(line: &str) -> String {
    let typed = split_word(line.trim_start()).0;
    find(typed).map_or_else(|| shorten(typed), |spec| spec.word.to_owned())
}

const TOO_LONG: &str =
    "A text may have 16 KiB (16,384 bytes of UTF-8) at most; nothing was sent. Send it in parts.";

fn find(typed: &str) -> Option<&'static Spec> {
    TABLE.iter().find(|spec| spec.word.eq_ignore_ascii_case(typed))
}

/// The first word, and what stands behind the one white space after it, if there is any.
fn split_word(line: &str) -> (&str, Option<&str>) {
    match line.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, Some(rest)),
        None => (line, None),
    }
}

/// A user and a text for him.
fn addressed(spec: &'static Spec, rest: Option<&str>) -> Result<(Username, String), Mistake> {
    let (to, text) = split_word(rest.ok_or_else(|| usage(spec))?.trim_start());
    let text = text.ok_or_else(|| usage(spec))?;
    check_len(spec, text)?;
    Ok((user(spec, to)?, text.trim().to_owned()))
}

/// A file's name, and numbers behind it.
fn file_command(spec: &'static Spec, rest: Option<&str>) -> Result<FileCommand, Mistake> {
    let (name, numbers) = file_name(rest.unwrap_or_default().trim()).ok_or_else(|| usage(spec))?;
    let numbers: Option<Vec<u64>> = numbers.split_whitespace().map(number).collect();
    match (spec.word, numbers.ok_or_else(|| usage(spec))?.as_slice()) {
        ("register", &[chunks]) => Ok(FileCommand::Register { name, chunks }),
        ("unregister", []) => Ok(FileCommand::Unregister { name }),
        ("searchFile", []) => Ok(FileCommand::SearchFile { name }),
        ("searchChunk", chunks @ [_, ..]) => Ok(FileCommand::SearchChunk { name, chunks: chunks.to_vec() }),
        ("download", chunks) => Ok(FileCommand::Download { name, chunks: chunks.to_vec() }),
        ("cancel", []) => Ok(FileCommand::Cancel { name }),
        _ => Err(usage(spec)),
    }
}

/// The name in front, which may be quoted, and what stands behind it.
fn file_name(text: &str) -> Option<(String, &str)> {
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted
            .split_once('"')
            .filter(|(_, rest)| rest.is_empty() || rest.starts_with(char::is_whitespace))?,
        None => text.split_once(char::is_whitespace).unwrap_or((text, "")),
    };
    (!name.is_empty()).then(|| (name.to_owned(), rest))
}

fn one<'a>(spec: &'static Spec, rest: Option<&'a str>) -> Result<&'a str, Mistake> {
    let mut words = rest.unwrap_or_default().split_whitespace();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(word),
        _ => Err(usage(spec)),
    }
}

fn none(spec: &'static Spec, rest: Option<&str>, command: Command) -> Result<Command, Mistake> {
    if rest.unwrap_or_default().trim().is_empty() { Ok(command) } else { Err(usage(spec)) }
}

/// A word that is no username names nobody.
fn user(spec: &'static Spec, name: &str) -> Result<Username, Mistake> {
    name.parse().map_err(|error| Mistake {
        command: spec.word.to_owned(),
        code: ErrorCode::UnknownUser,
        text: format!("Nobody can have that name: {error}."),
    })
}

/// A whole number; more than fit are as many as there are: seconds for ever, no such chunk.
fn number(word: &str) -> Option<u64> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().unwrap_or(u64::MAX))
}

fn check_len(spec: &'static Spec, text: &str) -> Result<(), Mistake> {
    if text.trim().len() > TEXT_LEN_MAX { Err(too_long(spec)) } else { Ok(()) }
}

fn too_long(spec: &'static Spec) -> Mistake {
    Mistake { command: spec.word.to_owned(), code: ErrorCode::TooLong, text: TOO_LONG.to_owned() }
}

fn usage(spec: &'static Spec) -> Mistake {
    Mistake {
        command: spec.word.to_owned(),
        code: ErrorCode::Usage,
        text: format!("Usage: {}", usage_line(spec)),
    }
}

fn usage_line(spec: &Spec) -> String {
    format!("{} {}", spec.word, spec.arguments).trim_end().to_owned()
}

fn help(spec: &'static Spec, rest: Option<&str>) -> Result<String, Mistake> {
    let about = rest.unwrap_or_default().trim();
    if about.is_empty() {
        let width = TABLE.iter().map(|spec| usage_line(spec).len()).max().unwrap_or_default();
        let line = |spec: &Spec| format!("{:width$}  {}", usage_line(spec), spec.meaning);
        return Ok(TABLE.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    let about = one(spec, rest)?;
    let found = find(about).ok_or_else(|| Mistake { command: spec.word.to_owned(), ..unknown(about) })?;
    Ok(format!("{}: {}", usage_line(found), found.meaning))
}

fn unknown(typed: &str) -> Mistake {
    let shown = shorten(typed);
    let text = match (typed.is_empty(), nearest(typed)) {
        (true, _) => "An empty line is no command. 'help' lists the commands.".to_owned(),
        (false, Some(word)) => format!("There is no command '{shown}'. Did you mean '{word}'?"),
        (false, None) => format!("There is no command '{shown}'. 'help' lists the commands."),
    };
    Mistake { command: shown, code: ErrorCode::UnknownCommand, text }
}

/// The command that was probably meant: what other programs call by that word, or what a slip of the fingers would
/// turn into what was typed, at most one slip for three letters.
fn nearest(typed: &str) -> Option<&'static str> {
    let typed = typed.to_lowercase();
    if matches!(typed.as_str(), "exit" | "quit") {
        return Some("logout");
    }
    let slips = |word: &'static str| (strsim::damerau_levenshtein(word, &typed), word);
    let (count, word) = words().map(slips).min()?;
    (count <= (word.len() / 3).max(1)).then_some(word)
}

fn shorten(word: &str) -> String {
    word.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(line: &str) -> (String, ErrorCode) {
        let mistake = parse(line).unwrap_err();
        (mistake.command, mistake.code)
    }

    fn name(name: &str) -> Username {
        name.parse().unwrap()
    }

    #[test]
    fn case_does_not_matter_and_inner_spaces_stay() {
        assert_eq!(
            parse("MesSage bob  a  b \u{9}c "),
            Ok(Command::Message { to: name("bob"), text: "a  b \u{9}c".to_owned() })
        );
        assert_eq!(parse("  WHOELSE  "), Ok(Command::WhoElse));
        assert_eq!(parse("broadcast  x"), Ok(Command::Broadcast { text: "x".to_owned() }));
    }

    #[test]
    fn too_few_and_too_many_arguments_end_in_usage() {
        for line in [
            "message",
            "message bob",
            "message ",
            "broadcast",
            "whoelse x",
            "whoelsesince",
            "whoelsesince x",
            "whoelsesince -1",
            "whoelsesince 1 2",
            "whoelsesince 1.5",
            "block",
            "block a b",
            "unblock",
            "blocklist x",
            "logout now",
            "startprivate",
            "private bob",
            "again bob",
            "register f",
            "register f x",
            "register f -1",
            "register f 1 2",
            "register \"f 1",
            "register \"f\"1",
            "register \"\" 1",
            "unregister",
            "files f",
            "searchFile",
            "searchFile f 1",
            "searchChunk f",
            "searchChunk f 0 x",
            "download",
            "download f 0 x",
            "cancel",
            "help a b",
        ] {
            assert_eq!(code(line).1, ErrorCode::Usage, "{line}");
            assert!(parse(line).unwrap_err().text.starts_with("Usage: "));
        }
    }

    #[test]
    fn a_text_of_spaces_is_for_the_server_to_refuse() {
        assert_eq!(parse("message bob   "), Ok(Command::Message { to: name("bob"), text: String::new() }));
        assert_eq!(parse("broadcast  "), Ok(Command::Broadcast { text: String::new() }));
    }

    #[test]
    fn the_limit_of_a_text_is_exact() {
        let fits = "x".repeat(TEXT_LEN_MAX);
        assert!(parse(&format!("broadcast {fits}")).is_ok());
        assert_eq!(code(&format!("message bob {fits}y")), ("message".to_owned(), ErrorCode::TooLong));
        assert_eq!(line_too_long("Broadcast xxx").command, "broadcast");
    }

    #[test]
    fn near_misses_are_named() {
        for (typed, meant) in [
            ("mesage", "message"),
            ("brodcast", "broadcast"),
            ("whoesle", "whoelse"),
            ("hlep", "help"),
            ("quit", "logout"),
        ] {
            assert!(parse(typed).unwrap_err().text.contains(&format!("'{meant}'")), "{typed}");
        }
        assert!(!parse("xyzzy").unwrap_err().text.contains("mean"));
        assert_eq!(code(""), (String::new(), ErrorCode::UnknownCommand));
    }

    #[test]
    fn file_names_may_be_quoted() {
        let file = |command| Ok(Command::File(command));
        let chunks = vec![0, 2, 3];
        assert_eq!(
            parse("DOWNLOAD \"my file.txt\" 0  2 3"),
            file(FileCommand::Download { name: "my file.txt".to_owned(), chunks })
        );
        assert_eq!(parse("register f 4"), file(FileCommand::Register { name: "f".to_owned(), chunks: 4 }));
        assert_eq!(
            parse("searchfile \"文 件\" "),
            file(FileCommand::SearchFile { name: "文 件".to_owned() })
        );
    }

    #[test]
    fn numbers_too_large_are_for_ever() {
        assert_eq!(
            parse("whoelsesince 99999999999999999999"),
            Ok(Command::WhoElseSince { seconds: u64::MAX })
        );
    }

    #[test]
    fn help_has_every_command() {
        let Ok(Command::Help { text }) = parse("help") else { panic!() };
        assert!(words().all(|word| text.contains(word)));
        assert!(
            matches!(parse("HELP Block"), Ok(Command::Help { text }) if text.starts_with("block <user>: "))
        );
        assert_eq!(code("help nope"), ("help".to_owned(), ErrorCode::UnknownCommand));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(line in any::<String>()) {
            let _ = parse(&line);
            let _ = line_too_long(&line);
        }
    }
}
