//! Directories on Windows: by path, while an open handle keeps anybody from moving the directory, or one above
//! it, away.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::windows::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{not_plain, plain};
use crate::shell::disk::stamp::Stamp;

/// Lets a directory be opened, by `FILE_FLAG_BACKUP_SEMANTICS`.
const OPEN_DIRECTORY: u32 = 0x0200_0000;
/// `FILE_FLAG_OPEN_REPARSE_POINT`: opens a link and not what it leads to.
const OPEN_LINK: u32 = 0x0020_0000;
/// `FILE_ATTRIBUTE_REPARSE_POINT`: a link or a junction.
const IS_LINK: u32 = 0x400;
/// `FILE_SHARE_READ | FILE_SHARE_WRITE`: others may work in it, but not rename or remove it.
const SHARE_BUT_STAY: u32 = 0x3;

/// An open directory.
#[derive(Debug)]
pub(in crate::shell::disk) struct Directory {
    path: PathBuf,
    _handle: File,
}

impl Directory {
    /// Opens the directory that the user named: that path may lead over links.
    pub(in crate::shell::disk) fn open(path: &Path) -> io::Result<Self> {
        Self::hold(fs::canonicalize(path)?)
    }

    /// Opens a directory within; a link to one is none.
    pub(in crate::shell::disk) fn open_dir(&self, name: &str) -> io::Result<Self> {
        Self::hold(self.path.join(name))
    }

    /// Makes a directory within, unless something of that name is there. It takes its rights from this one.
    pub(in crate::shell::disk) fn make_dir(&self, name: &str, _is_private: bool) -> io::Result<()> {
        match fs::create_dir(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of what is in it; those that are no text are nobody's here.
    pub(in crate::shell::disk) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    /// Whether anything has that name, be it a link that leads nowhere.
    pub(in crate::shell::disk) fn has(&self, name: &str) -> io::Result<bool> {
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The stamp of the plain file of that name.
    pub(in crate::shell::disk) fn stamp(&self, name: &str) -> io::Result<Stamp> {
        Stamp::from_metadata(&fs::symlink_metadata(self.path.join(name))?)
    }

    /// Opens a plain file for reading.
    pub(in crate::shell::disk) fn open_plain(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OpenOptions::new().read(true))
    }

    /// Opens a plain file for reading and writing, or makes it.
    pub(in crate::shell::disk) fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OpenOptions::new().read(true).write(true).create(true))
    }

    /// Makes a file that was not there.
    pub(in crate::shell::disk) fn create_new(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OpenOptions::new().read(true).write(true).create_new(true))
    }

    /// Removes a file.
    pub(in crate::shell::disk) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Renames a file, over whatever has that name.
    pub(in crate::shell::disk) fn rename(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), target.path.join(to))
    }

    /// Renames a file, over nothing: the standard library has no such call.
    #[expect(clippy::unused_self, reason = "it has one elsewhere")]
    pub(in crate::shell::disk) fn rename_new(&self, _: &str, _: &Self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file a second name, over nothing.
    pub(in crate::shell::disk) fn link(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        fs::hard_link(self.path.join(from), target.path.join(to))
    }

    /// Not known here: a file's length is claimed at its making, which fails when there is no room.
    #[expect(clippy::unused_self, reason = "it is known elsewhere")]
    pub(in crate::shell::disk) fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// Takes the lock of that name, as long as the file stays open; `None` when another process has it.
    pub(in crate::shell::disk) fn lock(&self, name: &str) -> io::Result<Option<File>> {
        const SHARING_VIOLATION: i32 = 32;
        match self.open_file(name, OpenOptions::new().write(true).create(true).share_mode(0)) {
            Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(None),
            opened => opened.map(Some),
        }
    }

    fn hold(path: PathBuf) -> io::Result<Self> {
        let handle = OpenOptions::new()
            .read(true)
            .share_mode(SHARE_BUT_STAY)
            .custom_flags(OPEN_DIRECTORY | OPEN_LINK)
            .open(&path)?;
        let found = handle.metadata()?;
        if !found.is_dir() || found.file_attributes() & IS_LINK != 0 {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, _handle: handle })
    }

    fn open_file(&self, name: &str, options: &mut OpenOptions) -> io::Result<File> {
        plain(options.custom_flags(OPEN_LINK).open(self.path.join(name))?)
    }
}

impl Stamp {
    /// That of an open file, if it is a plain one.
    pub(in crate::shell::disk) fn of(file: &File) -> io::Result<Self> {
        Self::from_metadata(&file.metadata()?)
    }

    fn from_metadata(found: &Metadata) -> io::Result<Self> {
        if !found.is_file() || found.file_attributes() & IS_LINK != 0 {
            return Err(not_plain());
        }
        // There is no stable number of the file; its birth, to 100 ns, stands in.
        Ok(Self {
            size: found.file_size(),
            modified_ns: i128::from(found.last_write_time()) * 100,
            changed_ns: i128::from(found.last_write_time()) * 100,
            inode: found.creation_time().into(),
            device: 0,
        })
    }
}

/// Unknown here, and not needed, as [`Directory::free_bytes`] is.
pub(in crate::shell::disk) fn allocated_bytes(_file: &File) -> u64 {
    0
}

/// Fills the buffer from that place on.
pub(in crate::shell::disk) fn read_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let len = file.seek_read(buffer, at)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = buffer.get_mut(len..).unwrap_or_default();
        at += len as u64;
    }
    Ok(())
}

/// Reads so many bytes from that place on.
pub(in crate::shell::disk) fn read_new(file: &File, len: usize, at: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    read_at(file, &mut bytes, at)?;
    Ok(bytes)
}

/// Writes everything from that place on.
pub(in crate::shell::disk) fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let len = file.seek_write(bytes, at)?;
        if len == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(len..).unwrap_or_default();
        at += len as u64;
    }
    Ok(())
}
