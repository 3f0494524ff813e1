//! The directory that dumps are written to: checked once, and held open, so that nothing put in its path later leads
//! elsewhere.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::names::Name;
use crate::error::Error;

/// How long another process may take to come or go here.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    file: File,
}

/// Keeps other processes of this crate from coming or going meanwhile.
#[derive(Debug)]
pub(super) struct Alone<'a>(&'a Directory);

impl Directory {
    /// Opens it, and makes it if only its last component is missing.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let refused = |reason: String| Error::DumpDir {
            path: path.to_owned(),
            reason,
        };
        // A program may change its working directory.
        let path = std::path::absolute(path)
            .map_err(|error| refused(format!("{error}; name a directory")))?;
        let made = DirBuilder::new().mode(0o700).create(&path);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(&path)
            .map_err(|error| {
                // Why it could not be made says more than that it is not there.
                let error = match (error.kind(), made) {
                    (io::ErrorKind::NotFound, Err(cause)) => cause,
                    _ => error,
                };
                refused(format!(
                    "{error}; make it, writable for this process's user"
                ))
            })?;
        let mode = file
            .metadata()
            .map_err(|error| refused(error.to_string()))?
            .mode();
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            return Err(refused(format!(
                "everybody may write there (mode {:04o}), and could put other files in the place of dumps; \
                 take that right away (chmod o-w) or set the sticky bit (chmod +t)",
                mode & 0o7777
            )));
        }
        Ok(Self { path, file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Files of this crate's in it, with their sizes. By the path, so an error if the directory has been removed.
    pub(super) fn list(&self) -> io::Result<Vec<(Name, u64)>> {
        let mut list = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(name) = name.to_str().and_then(Name::parse) {
                // It may have gone meanwhile.
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                list.push((name, size));
            }
        }
        Ok(list)
    }

    /// A new file, for this user's eyes only. An error if there is one of that name, a link included.
    pub(super) fn create(&self, name: &Name) -> io::Result<File> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        self.open_at(name, flags)
    }

    /// A file that is there. Neither follows a link nor waits for whoever has the other end of a pipe.
    pub(super) fn reopen(&self, name: &Name) -> io::Result<File> {
        self.open_at(name, libc::O_RDWR)
    }

    fn open_at(&self, name: &Name, flags: libc::c_int) -> io::Result<File> {
        let name = CString::new(name.to_string())?;
        let flags = flags | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        // SAFETY: an open directory and a C string, which the kernel does not keep.
        let file = unsafe { libc::openat(self.file.as_raw_fd(), name.as_ptr(), flags, 0o600) };
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else has it.
        Ok(unsafe { File::from_raw_fd(file) })
    }

    /// Gives a file its final name, for good: after this a crash of the machine leaves it.
    pub(super) fn rename(&self, from: &Name, to: &Name) -> io::Result<()> {
        let (from, to) = (
            CString::new(from.to_string())?,
            CString::new(to.to_string())?,
        );
        let here = self.file.as_raw_fd();
        // SAFETY: an open directory and C strings, which the kernel does not keep.
        if unsafe { libc::renameat(here, from.as_ptr(), here, to.as_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // Some file systems cannot; the file is there all the same.
        let _ = self.file.sync_all();
        Ok(())
    }

    /// Another process may have been faster.
    pub(super) fn remove(&self, name: &Name) {
        if let Ok(name) = CString::new(name.to_string()) {
            // SAFETY: an open directory and a C string, which the kernel does not keep.
            unsafe { libc::unlinkat(self.file.as_raw_fd(), name.as_ptr(), 0) };
        }
    }

    /// Waits for others, but not for ever: whoever hangs here, or a file system without locks, must not stop a service from
    /// starting. What can go wrong without it is that two processes which start at once both report what a third left.
    pub(super) fn alone(&self) -> Alone<'_> {
        let start = Instant::now();
        loop {
            // SAFETY: takes no pointers; the descriptor is open as long as `self`.
            let locked =
                unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
            let is_taken =
                locked < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock;
            if !is_taken || start.elapsed() > PATIENCE {
                return Alone(self);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // Not by closing: a child that was forked meanwhile has the descriptor too.
        // SAFETY: as in `alone`.
        unsafe { libc::flock(self.0.file.as_raw_fd(), libc::LOCK_UN) };
    }
}
