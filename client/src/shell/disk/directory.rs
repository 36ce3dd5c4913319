//! A directory held by a handle: whatever is done in it stays in it, even if its path comes to lead elsewhere.
//!
//! Owns the rule that only plain files are touched, that no link is followed, and that nothing that exists is
//! ever written over. Must not know what the files are for. Names are single components: the callers'
//! [`protocol::FileName`] sees to that, or [`is_component`].

use std::{
    fs::File,
    io::{self, Write},
};

use super::stamp::Stamp;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{Directory, allocated_bytes, read_at, read_new, write_at};
#[cfg(windows)]
pub(super) use windows::{Directory, allocated_bytes, read_at, read_new, write_at};

/// How the name ends of a file that is to replace another one.
pub(super) const HALF_WRITTEN: &str = ".new";

impl Directory {
    /// Gives a file, in one step, a name in `target` that nothing there has, whatever kind of thing it is.
    pub(super) fn publish(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        // Each works on file systems where the one before does not.
        let ways = [Self::rename_new, Self::link_new, Self::rename_onto_placeholder];
        let mut outcome = Ok(());
        for way in ways {
            outcome = way(self, from, target, to);
            match &outcome {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {}
                _ => break,
            }
        }
        outcome
    }

    /// Puts those bytes in the place of a file or of nothing: after a crash either the old ones are there or the
    /// new ones.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let half_written = format!("{name}{HALF_WRITTEN}");
        let _ = self.remove(&half_written);
        let mut file = self.create_new(&half_written)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.rename(&half_written, self, name));
        if written.is_err() {
            let _ = self.remove(&half_written);
        }
        written
    }

    fn link_new(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        self.link(from, target, to)?;
        // It stands under its name now, whatever becomes of the other one.
        let _ = self.remove(from);
        Ok(())
    }

    /// Claims the name with an empty file of our own, and takes only that one's place.
    fn rename_onto_placeholder(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        let placeholder = Stamp::of(&target.create_new(to)?)?;
        let is_ours = |found: Stamp| found.is_same_file(&placeholder) && found.size == 0;
        if !target.stamp(to).is_ok_and(is_ours) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let renamed = self.rename(from, target, to);
        if renamed.is_err() && target.stamp(to).is_ok_and(is_ours) {
            let _ = target.remove(to);
        }
        renamed
    }
}

/// Whether a name that somebody typed leads to something in this directory and nowhere else.
pub(super) fn is_component(name: &str) -> bool {
    let leads_away = |c| matches!(c, '/' | '\0') || (cfg!(windows) && matches!(c, '\\' | ':'));
    !matches!(name, "" | "." | "..") && !name.contains(leads_away)
}

/// The file, if it is a plain one, with its stamp.
fn plain(file: File) -> io::Result<File> {
    Stamp::of(&file).map(|_| file)
}

/// To a user who names a file, something that is none is as good as nothing.
fn not_plain() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "it is no plain file")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    type Way = fn(&Directory, &str, &Directory, &str) -> io::Result<()>;

    #[test]
    fn each_way_to_publish_moves_the_file_and_writes_over_nothing() {
        let ways: [Way; 4] = [
            Directory::publish,
            Directory::rename_new,
            Directory::link_new,
            Directory::rename_onto_placeholder,
        ];
        for way in ways {
            let folder = TempDir::new().unwrap();
            fs::create_dir(folder.path().join("inner")).unwrap();
            let outer = Directory::open(folder.path()).unwrap();
            let inner = outer.open_dir("inner").unwrap();
            fs::write(folder.path().join("inner/part"), "new").unwrap();
            fs::write(folder.path().join("taken"), "old").unwrap();
            fs::create_dir(folder.path().join("folder")).unwrap();
            for name in ["taken", "folder"] {
                assert_eq!(
                    way(&inner, "part", &outer, name).unwrap_err().kind(),
                    io::ErrorKind::AlreadyExists
                );
            }
            assert_eq!(fs::read(folder.path().join("taken")).unwrap(), b"old");
            way(&inner, "part", &outer, "free").unwrap();
            assert_eq!(fs::read(folder.path().join("free")).unwrap(), b"new");
            assert!(!folder.path().join("inner/part").exists());
        }
    }

    #[test]
    fn a_placeholder_does_not_outlive_a_failure() {
        let folder = TempDir::new().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        directory.rename_onto_placeholder("missing", &directory, "name").unwrap_err();
        assert_eq!(directory.names().unwrap(), Vec::<String>::new());
    }
}
