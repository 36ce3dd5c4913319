//! A file that is replaced in one step, whole or not at all.
//!
//! Owns the half-written file beside it, which also keeps a second replacement away until the first is over.
//! Must not know what the content means.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Why a file was not replaced. It is as it was.
#[derive(Debug, Error)]
pub enum ReplacementError {
    /// A directory, a pipe, or a link to nothing.
    #[error("{} is no ordinary file", .0.display())]
    NoFile(PathBuf),
    /// Somebody else is at it.
    #[error(
        "{} is there: another change is under way, or one was interrupted; in that case remove it", .0.display()
    )]
    UnderWay(PathBuf),
    /// The new file would be somebody else's than the old one.
    #[error("cannot keep the owner and group of {}: {source}; run this as its owner", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file, or the one beside it.
    #[error("cannot {doing} {}: {source}", path.display())]
    System {
        /// "read" or "write".
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A replacement under way; dropped before [`Replacement::finish`] it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Replacement {
    target: PathBuf,
    half_written: PathBuf,
    file: File,
    /// Of the file that is there already.
    old: Option<Metadata>,
}

impl Replacement {
    /// Begins one, and reads what is there now: nothing if there is no such file.
    pub(super) fn begin(path: &Path) -> Result<(Self, Vec<u8>), ReplacementError> {
        let target = target(path)?;
        let mut name = OsString::from(".");
        name.push(target.file_name().ok_or_else(|| ReplacementError::NoFile(path.to_owned()))?);
        name.push(".new");
        let half_written = target.with_file_name(name);
        let file = create_private(&half_written).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ReplacementError::UnderWay(half_written.clone()),
            _ => failed("write", &half_written)(source),
        })?;
        // Only now, so that nobody changes it in between.
        let mut replacement = Self { target, half_written, file, old: None };
        let before = match fs::read(&replacement.target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((replacement, Vec::new())),
            before => before.map_err(failed("read", path))?,
        };
        let old = fs::metadata(&replacement.target).map_err(failed("read", path))?;
        keep_owner(&replacement.file, &old)
            .map_err(|source| ReplacementError::Owner { path: path.to_owned(), source })?;
        replacement.old = Some(old);
        Ok((replacement, before))
    }

    /// Puts `content` in the file's place, and on the disk.
    pub(super) fn finish(mut self, content: &[u8]) -> Result<(), ReplacementError> {
        let written = self.file.write_all(content).and_then(|()| {
            if let Some(old) = &self.old {
                self.file.set_permissions(old.permissions())?;
            }
            self.file.sync_all()?;
            fs::rename(&self.half_written, &self.target)
        });
        written.map_err(failed("write", &self.target))?;
        sync_folder(&self.target).map_err(failed("write", &self.target))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After the renaming there is nothing to remove.
        let _ = fs::remove_file(&self.half_written);
    }
}

/// The file that is meant, behind all links. It need not be there.
pub(super) fn target(path: &Path) -> Result<PathBuf, ReplacementError> {
    match fs::canonicalize(path) {
        Ok(target) if target.is_file() => Ok(target),
        Ok(_) => Err(ReplacementError::NoFile(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Err(ReplacementError::NoFile(path.to_owned())),
            Err(_) => Ok(path.to_owned()),
        },
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn keep_owner(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Without this a power cut could undo the renaming.
fn sync_folder(target: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = target.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = target;
    Ok(())
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReplacementError {
    let path = path.to_owned();
    move |source| ReplacementError::System { doing, path, source }
}
