//! Who is alive: each run has a file that it holds locked while its process lives, and that it removes when it ends cleanly.
//!
//! The lock says more than a process id would: ids come again, and processes in two containers that share a directory do not
//! see one another. It is a record lock (`fcntl`), which a fork child does not have.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::process;

use super::directory::Directory;
use super::names::{Name, Run};

/// The sign of life of this process.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) run: Run,
    /// Locked as long as it is open. Nothing here opens it twice: closing any descriptor of it unlocks it.
    _file: File,
}

impl Life {
    /// Begins a run with this number. The directory is [`alone`](Directory::alone).
    pub(super) fn begin(directory: &Directory, number: u32) -> io::Result<Self> {
        let mut run = Run {
            number,
            process: process::id(),
            start: start_time(),
        };
        let mut attempts = 0;
        let mut file = loop {
            match directory.create(&Name::Running(run)) {
                // The same process id and time in another container.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < 100 => {
                    attempts += 1;
                    run.start += 1;
                }
                created => break created?,
            }
        };
        let exe = std::env::current_exe().unwrap_or_default();
        let begun = lock(&file, libc::F_SETLK)
            .and_then(|_| file.write_all(exe.as_os_str().as_encoded_bytes()));
        if let Err(error) = begun {
            directory.remove(&Name::Running(run));
            return Err(error);
        }
        Ok(Self { run, _file: file })
    }
}

/// Whether the process of a run that has a file is alive; `own` is this process's. One that cannot be asked is.
pub(super) fn is_alive(directory: &Directory, run: Run, own: Option<Run>) -> bool {
    if own == Some(run) {
        return true;
    }
    match directory.reopen(&Name::Running(run)) {
        Ok(file) => !matches!(lock(&file, libc::F_GETLK), Ok(libc::F_UNLCK)),
        Err(error) => !matches!(
            error.raw_os_error(),
            // No file; a link, a directory or a pipe, which no process made to live by.
            Some(libc::ENOENT | libc::ELOOP | libc::EISDIR | libc::ENXIO)
        ),
    }
}

/// Locks all of a file, or asks what would keep it from being locked.
fn lock(file: &File, command: libc::c_int) -> io::Result<libc::c_int> {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: an open file and a valid lock to read and write.
    if unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock.l_type.into())
}

/// When this process started, in ticks since the machine did; 0 without `/proc`.
fn start_time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name is in brackets and may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let start = fields.split_ascii_whitespace().nth(19);
    start.and_then(|start| start.parse().ok()).unwrap_or(0)
}
