//! A Unix socket's file: made with mode 0600, in place of a stale one only, and removed in the end.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The file of a listening socket; removed on drop, if it is still the same.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode. Another process may have put its own socket there.
    identity: (u64, u64),
}

/// Listens on `path`.
///
/// The socket is made in a directory of its own that only we can enter, and moved to `path` when its mode is right:
/// made in place, it could be connected to before `chmod` where the umask is lax.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    // Short, because the path of a socket has some 100 bytes only; a name that exists already is an error. By time,
    // because in a container the process number is always the same.
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let name = format!(".pprof-{:x}", since_epoch.subsec_nanos());
    let private = parent.unwrap_or(Path::new(".")).join(name);
    DirBuilder::new().mode(0o700).create(&private)?;
    let made = bind_through(&private.join("s"), path);
    // Nothing but the socket was in it, which is gone if all went well.
    let _ = fs::remove_file(private.join("s"));
    let _ = fs::remove_dir(&private);
    made
}

fn bind_through(hidden: &Path, path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let listener = UnixListener::bind(hidden)?;
    fs::set_permissions(hidden, Permissions::from_mode(0o600))?;
    let metadata = fs::symlink_metadata(hidden)?;
    fs::rename(hidden, path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: (metadata.dev(), metadata.ino()),
    };
    Ok((listener, file))
}

/// Removes what a dead process left at `path`. What is not a socket, or has a listener, is an error.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "a file that is no socket is in the way",
            ));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity) {
            // It may be gone since; there is nothing else to do about it.
            let _ = fs::remove_file(&self.path);
        }
    }
}
