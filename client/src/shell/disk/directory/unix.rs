//! Directories on Unix: everything relative to an open descriptor.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::Path,
};

use rustix::{
    buffer::spare_capacity,
    fs::{
        AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, fstatvfs, linkat,
        mkdirat, openat, renameat, statat, unlinkat,
    },
    io::{Errno, pread},
};

use super::{not_plain, plain};
use crate::shell::disk::stamp::Stamp;

/// An open directory.
#[derive(Debug)]
pub(in crate::shell::disk) struct Directory {
    handle: OwnedFd,
}

impl Directory {
    /// Opens the directory that the user named: that path may lead over links.
    pub(in crate::shell::disk) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { handle: openat(CWD, path, flags, Mode::empty())? })
    }

    /// Opens a directory within; a link to one is none.
    pub(in crate::shell::disk) fn open_dir(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { handle: openat(&self.handle, name, flags, Mode::empty())? })
    }

    /// Makes a directory within, unless something of that name is there. A private one is its owner's alone.
    pub(in crate::shell::disk) fn make_dir(&self, name: &str, is_private: bool) -> io::Result<()> {
        let mode = if is_private { 0o700 } else { 0o777 };
        match mkdirat(&self.handle, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of what is in it; those that are no text are nobody's here.
    pub(in crate::shell::disk) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle)? {
            if let Ok(name) = entry?.file_name().to_str().map(ToOwned::to_owned)
                && !matches!(name.as_str(), "." | "..")
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Whether anything has that name, be it a link that leads nowhere.
    pub(in crate::shell::disk) fn has(&self, name: &str) -> io::Result<bool> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The stamp of the plain file of that name.
    pub(in crate::shell::disk) fn stamp(&self, name: &str) -> io::Result<Stamp> {
        Stamp::from_stat(&statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Opens a plain file for reading.
    pub(in crate::shell::disk) fn open_plain(&self, name: &str) -> io::Result<File> {
        // To open a device may already do something to it.
        self.stamp(name)?;
        self.open_file(name, OFlags::RDONLY)
    }

    /// Opens a plain file for reading and writing, or makes it.
    pub(in crate::shell::disk) fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE)
    }

    /// Makes a file that was not there.
    pub(in crate::shell::disk) fn create_new(&self, name: &str) -> io::Result<File> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Removes a file.
    pub(in crate::shell::disk) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    /// Renames a file, over whatever has that name.
    pub(in crate::shell::disk) fn rename(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        Ok(renameat(&self.handle, from, &target.handle, to)?)
    }

    /// Renames a file, over nothing.
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    pub(in crate::shell::disk) fn rename_new(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        Ok(rustix::fs::renameat_with(&self.handle, from, &target.handle, to, flags)?)
    }

    /// Renames a file, over nothing: this system has no such call.
    #[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
    pub(in crate::shell::disk) fn rename_new(&self, _: &str, _: &Self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Gives a file a second name, over nothing.
    pub(in crate::shell::disk) fn link(&self, from: &str, target: &Self, to: &str) -> io::Result<()> {
        Ok(linkat(&self.handle, from, &target.handle, to, AtFlags::empty())?)
    }

    /// The bytes that this user may still write in it, if the system says.
    pub(in crate::shell::disk) fn free_bytes(&self) -> Option<u64> {
        let found = fstatvfs(&self.handle).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Takes the lock of that name, as long as the file stays open; `None` when another process has it.
    pub(in crate::shell::disk) fn lock(&self, name: &str) -> io::Result<Option<File>> {
        let file = self.open_or_create(name)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        // Without NONBLOCK a pipe put in the file's place would hold up the thread.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        match openat(&self.handle, name, flags, Mode::from_raw_mode(0o666)) {
            Ok(handle) => plain(File::from(handle)),
            Err(Errno::LOOP | Errno::NXIO) => Err(not_plain()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Stamp {
    /// That of an open file, if it is a plain one.
    pub(in crate::shell::disk) fn of(file: &File) -> io::Result<Self> {
        Self::from_stat(&fstat(file)?)
    }

    fn from_stat(stat: &Stat) -> io::Result<Self> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(not_plain());
        }
        let time_ns = |seconds: i64, nanos: i128| {
            i128::from(seconds).saturating_mul(1_000_000_000).saturating_add(nanos)
        };
        Ok(Self {
            size: u64::try_from(stat.st_size).map_err(io::Error::other)?,
            modified_ns: time_ns(stat.st_mtime, stat.st_mtime_nsec.into()),
            changed_ns: time_ns(stat.st_ctime, stat.st_ctime_nsec.into()),
            inode: stat.st_ino.into(),
            device: stat.st_dev.into(),
        })
    }
}

/// How many bytes of a file have a place on the disk already; holes have none.
pub(in crate::shell::disk) fn allocated_bytes(file: &File) -> u64 {
    /// The unit of `st_blocks`, whatever the file system's own blocks.
    const BLOCK_LEN: u64 = 512;
    let blocks = fstat(file.as_fd()).ok().and_then(|stat| u64::try_from(stat.st_blocks).ok());
    blocks.unwrap_or(0).saturating_mul(BLOCK_LEN)
}

/// Fills the buffer from that place on.
pub(in crate::shell::disk) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(buffer, at)
}

/// Reads so many bytes from that place on, into room that is not cleared first.
pub(in crate::shell::disk) fn read_new(file: &File, len: usize, at: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let next = at + bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), next) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// Writes everything from that place on.
pub(in crate::shell::disk) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}
