//! The files of the messages that were shown, a pair for each user of each server: what a client that was killed
//! leaves to the one after it, so that it does not show a message again.
//!
//! A line for each message, `id sender`, appended when all but the last bit of it is shown, and before that is
//! confirmed to the server. Must not know how messages are shown.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

use protocol::{Fingerprint, MessageId, Username};
use thiserror::Error;

use super::known_hosts::{KnownHostsError, config_dir, open_to_append};
use crate::core::Seen;

/// Ends a line that was cut off by a power cut or a full disk. No name has it.
const TORN: char = '!';

/// What is wrong with the files. The client goes on.
#[derive(Debug, Error)]
pub(super) enum SeenFileError {
    #[error(
        "cannot read {}: {source}; what you saw shortly before this client was killed may be shown again",
        path.display()
    )]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "cannot write {}: {source}; if this client is killed, its last messages may be shown again", path.display()
    )]
    Write { path: PathBuf, source: io::Error },
    #[error(
        "{}, line {line}: expected an id and a sender; the line was passed over, and one message may be shown \
         again; mend or remove it", path.display()
    )]
    Line { path: PathBuf, line: usize },
}

/// Where these files are, and how the server is called that is not known by its key.
#[derive(Debug)]
pub(super) struct SeenFiles {
    folder: PathBuf,
    server: String,
}

/// What was shown to one user by one server.
///
/// The newer file is only ever appended to, in one write for each message. When it is full it takes the place of the
/// older one. So the last [`Seen::COUNT_MAX`] messages are always there, whenever the client is killed, and two
/// clients of one user do not harm each other.
///
/// Nothing waits for the disk. What a killed program has written is in the system's hands and not lost. A power cut may
/// lose the last seconds: what was shown in them and not confirmed is shown again, and so is what was on the screen
/// that went dark. That is not worth an `fsync` of some milliseconds for each message.
#[derive(Debug)]
pub(super) struct SeenFile {
    newer: PathBuf,
    /// The newer one, from the first note on.
    open: Option<File>,
    /// In the newer one.
    lines: usize,
    /// Bytes of the newer one when it was read.
    read_len: u64,
    /// The newer one ends within a line.
    is_torn: bool,
    has_complained: bool,
}

impl SeenFiles {
    pub(super) fn for_server(server: String) -> Result<Self, KnownHostsError> {
        Ok(Self { folder: config_dir()?.join("seen"), server })
    }

    /// Reads what is known of that user: with what there is, what was shown to him, and what is wrong if anything is.
    pub(super) fn open(
        &self,
        user: &Username,
        key: Option<Fingerprint>,
    ) -> (SeenFile, Seen, Option<SeenFileError>) {
        let server = key.map_or_else(|| self.server.clone(), |key| key.to_string());
        // Names may differ in case only, or be too long for a file; this differs on every system.
        let name = blake3::hash(format!("{server} {user}").as_bytes()).to_hex();
        let newer = self.folder.join(name.as_str());
        let mut file =
            SeenFile { newer, open: None, lines: 0, read_len: 0, is_torn: false, has_complained: false };
        let (seen, error) = file.read();
        (file, seen, error)
    }
}

impl SeenFile {
    /// Notes a message. What is wrong is said once.
    pub(super) fn note(&mut self, from: &Username, id: MessageId) -> Result<(), SeenFileError> {
        let Err(source) = self.append(from, id) else { return Ok(()) };
        if std::mem::replace(&mut self.has_complained, true) {
            return Ok(());
        }
        Err(SeenFileError::Write { path: self.newer.clone(), source })
    }

    fn read(&mut self) -> (Seen, Option<SeenFileError>) {
        let mut seen = Seen::default();
        let mut error = None;
        for path in [self.older(), self.newer.clone()] {
            (self.lines, self.read_len, self.is_torn) = (0, 0, false);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(source) if source.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    error = error.or(Some(SeenFileError::Read { path, source }));
                    continue;
                }
            };
            self.read_len = bytes.len() as u64;
            let whole_len = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
            self.is_torn = whole_len < bytes.len();
            let text = String::from_utf8_lossy(bytes.get(..whole_len).unwrap_or_default());
            for line in text.lines() {
                self.lines += 1;
                match parse(line) {
                    Some((id, from)) => {
                        seen.insert(&from, id);
                    }
                    None if line.ends_with(TORN) => {}
                    None => {
                        let line = self.lines;
                        error = error.or_else(|| Some(SeenFileError::Line { path: path.clone(), line }));
                    }
                }
            }
        }
        (seen, error)
    }

    fn append(&mut self, from: &Username, id: MessageId) -> io::Result<()> {
        if self.lines >= Seen::COUNT_MAX {
            self.make_room();
        }
        let file = match &mut self.open {
            Some(file) => file,
            none => none.insert(open_to_append(&self.newer)?),
        };
        let mut line = format!("{id} {from}\n");
        if self.is_torn {
            line.insert_str(0, &format!("{TORN}\n"));
        }
        // Until all of it is there.
        self.is_torn = true;
        file.write_all(line.as_bytes())?;
        self.is_torn = false;
        self.lines += 1;
        Ok(())
    }

    /// Puts the newer file in the older one's place. If that cannot be, the newer one grows and nothing is lost.
    fn make_room(&mut self) {
        let open_len = self.open.take().and_then(|file| file.metadata().ok()).map(|metadata| metadata.len());
        let newer_len = fs::metadata(&self.newer).ok().map(|metadata| metadata.len());
        // Another client of this user may have done so already; what it began must not push out what it kept.
        if newer_len >= open_len.or(Some(self.read_len)) {
            let _ = fs::rename(&self.newer, self.older());
        }
        self.lines = 0;
    }

    fn older(&self) -> PathBuf {
        self.newer.with_extension("older")
    }
}

fn parse(line: &str) -> Option<(MessageId, Username)> {
    let (id, from) = line.split_once(' ')?;
    Some((id.parse().ok()?, from.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const KEY: Option<Fingerprint> = Some(Fingerprint([7; 32]));

    fn name(name: &str) -> Username {
        name.parse().unwrap()
    }

    fn files(folder: &TempDir) -> SeenFiles {
        SeenFiles { folder: folder.path().join("config/seen"), server: "host:1".to_owned() }
    }

    /// What bob's next client finds, and asserts that it finds nothing wrong.
    fn open(folder: &TempDir) -> (SeenFile, Seen) {
        let (file, seen, error) = files(folder).open(&name("bob"), KEY);
        assert!(error.is_none(), "{error:?}");
        (file, seen)
    }

    /// Asserts that so many messages of ada were noted, and not the one after them.
    #[track_caller]
    fn assert_knows(mut seen: Seen, count: u128) {
        for id in 0..count {
            assert!(!seen.insert(&name("ada"), MessageId(id)), "{id} is unknown");
        }
        assert!(seen.insert(&name("ada"), MessageId(count)), "{count} is known");
    }

    #[test]
    fn users_and_servers_are_kept_apart() {
        let folder = TempDir::new().unwrap();
        let (keyless, other) = (None, Some(Fingerprint([8; 32])));
        let whose = [("bob", KEY), ("bob", other), ("bob", keyless), ("Bob", KEY), ("BOB", KEY)];
        for ((user, key), id) in whose.into_iter().zip(0..) {
            let (mut file, seen, _) = files(&folder).open(&name(user), key);
            assert_knows(seen, 0);
            file.note(&name("ada"), MessageId(id)).unwrap();
        }
        for ((user, key), id) in whose.into_iter().zip(0..) {
            let (_, mut seen, _) = files(&folder).open(&name(user), key);
            for noted in 0..5 {
                assert_eq!(seen.insert(&name("ada"), MessageId(noted)), noted != id);
            }
        }
        let mut elsewhere = files(&folder);
        elsewhere.server = "host:2".to_owned();
        assert!(elsewhere.open(&name("bob"), None).1.insert(&name("ada"), MessageId(2)));
    }

    #[test]
    fn a_line_that_was_cut_off_anywhere_costs_no_other_one() {
        for cut in 0..=3 * 37 {
            let folder = TempDir::new().unwrap();
            let (mut file, _) = open(&folder);
            for id in 0..3 {
                file.note(&name("ada"), MessageId(id)).unwrap();
            }
            let whole = fs::read(&file.newer).unwrap();
            assert_eq!(whole.len(), 3 * 37);
            fs::write(&file.newer, &whole[..cut]).unwrap();
            let left = cut as u128 / 37;
            let (mut file, seen) = open(&folder);
            assert_knows(seen, left);
            file.note(&name("ada"), MessageId(left)).unwrap();
            assert_knows(open(&folder).1, left + 1);
        }
    }

    #[test]
    fn zeros_where_the_power_went_out_are_passed_over() {
        let folder = TempDir::new().unwrap();
        let (mut file, _) = open(&folder);
        file.note(&name("ada"), MessageId(0)).unwrap();
        open_to_append(&file.newer).unwrap().write_all(&[0; 100]).unwrap();
        let (mut file, _) = open(&folder);
        file.note(&name("ada"), MessageId(1)).unwrap();
        assert_knows(open(&folder).1, 2);
    }

    #[test]
    fn damage_is_named_and_the_rest_counts() {
        let folder = TempDir::new().unwrap();
        let (mut file, _) = open(&folder);
        file.note(&name("ada"), MessageId(0)).unwrap();
        open_to_append(&file.newer).unwrap().write_all(b"\xff\xfe\n\n").unwrap();
        file.note(&name("ada"), MessageId(1)).unwrap();
        let (mut file, seen, error) = files(&folder).open(&name("bob"), KEY);
        assert_knows(seen, 2);
        let error = error.unwrap().to_string();
        assert!(error.contains("line 2:") && error.contains(file.newer.to_str().unwrap()), "{error}");
        file.note(&name("ada"), MessageId(2)).unwrap();
        assert_knows(files(&folder).open(&name("bob"), KEY).1, 3);
    }

    #[test]
    fn files_that_cannot_be_used_are_named_once() {
        let folder = TempDir::new().unwrap();
        let path = open(&folder).0.newer;
        fs::create_dir_all(&path).unwrap();
        let (mut file, seen, error) = files(&folder).open(&name("bob"), KEY);
        assert_knows(seen, 0);
        assert!(matches!(error, Some(SeenFileError::Read { .. })), "{error:?}");
        assert!(matches!(file.note(&name("ada"), MessageId(0)), Err(SeenFileError::Write { .. })));
        file.note(&name("ada"), MessageId(1)).unwrap();
        // As soon as it can be written, it is.
        fs::remove_dir(&path).unwrap();
        file.note(&name("ada"), MessageId(0)).unwrap();
        assert_knows(open(&folder).1, 1);
    }

    #[test]
    fn the_last_messages_are_known_whenever_the_client_is_killed_and_the_files_stay_small() {
        let folder = TempDir::new().unwrap();
        let count_max = Seen::COUNT_MAX as u128;
        let mut file = open(&folder).0;
        for id in 0..3 * count_max {
            file.note(&name("ada"), MessageId(id)).unwrap();
            if id % 1_000 == 999 || id % count_max == count_max - 1 || id % count_max == 0 {
                // The next client goes on with the same files.
                let (next, mut seen) = open(&folder);
                let last = (id + 1).saturating_sub(count_max)..=id;
                assert!(last.clone().all(|known| !seen.insert(&name("ada"), MessageId(known))), "{id}");
                assert!(
                    last.start().checked_sub(1).is_none_or(|old| seen.insert(&name("ada"), MessageId(old)))
                );
                file = next;
            }
        }
        for path in [&file.newer, &file.older()] {
            assert!(fs::read_to_string(path).unwrap().lines().count() <= Seen::COUNT_MAX);
        }
        assert_eq!(fs::read_dir(folder.path().join("config/seen")).unwrap().count(), 2);
    }

    #[test]
    fn two_clients_of_one_user_do_not_mix_their_lines() {
        let folder = TempDir::new().unwrap();
        std::thread::scope(|scope| {
            for from in ["ada", "carol"] {
                let mut file = open(&folder).0;
                scope.spawn(move || {
                    (0..1_000).for_each(|id| file.note(&name(from), MessageId(id)).unwrap());
                });
            }
        });
        let mut seen = open(&folder).1;
        assert!((0..1_000).all(|id| !seen.insert(&name("carol"), MessageId(id))));
        assert_knows(seen, 1_000);
    }

    #[test]
    fn the_room_that_one_client_makes_is_not_made_again_by_another_of_the_same_user() {
        let folder = TempDir::new().unwrap();
        let count = Seen::COUNT_MAX * 3 / 2;
        let mut clients = [open(&folder).0, open(&folder).0];
        for id in 0..count {
            for client in &mut clients {
                client.note(&name("ada"), MessageId(id as u128)).unwrap();
            }
        }
        let [file, _] = clients;
        let lines = |path| fs::read_to_string(path).unwrap().lines().count();
        assert_eq!(lines(file.older()) + lines(file.newer), 2 * count, "both made room, one pushed out");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_who_has_written() {
        let folder = TempDir::new().unwrap();
        let (mut file, _) = open(&folder);
        file.note(&name("ada"), MessageId(0)).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file.newer).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
}
