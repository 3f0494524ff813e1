//! What an earlier run left in the directory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::life::is_alive;
use super::names::{Dump, Name, Run};
use crate::pages::PageVec;
use crate::profile::{self, Pieces, RAW_BYTES, Unreadable};

/// What `heap?previous=1` answers from.
#[derive(Debug, Clone)]
pub(super) enum Previous {
    Dump {
        dump: Dump,
        path: PathBuf,
    },
    /// Why there is none.
    None(String),
}

/// Why there is no answer.
#[cfg_attr(
    not(feature = "http"),
    expect(dead_code, reason = "only the endpoint asks")
)]
#[derive(Debug)]
pub(crate) enum NoPrevious {
    /// There is no dump.
    None(String),
    /// It cannot be read, or is not what a run of this crate wrote.
    Unreadable(String),
}

/// The directory as a run finds it.
#[derive(Debug)]
pub(super) struct Census {
    pub(super) next_number: u32,
    pub(super) previous: Previous,
    /// The last process that did not end cleanly, if any, in words.
    pub(super) unclean: Option<String>,
}

/// Looks around, and clears away what the dead left half done. The directory is [`alone`](Directory::alone).
pub(super) fn census(directory: &Directory) -> io::Result<Census> {
    let list = directory.list()?;
    let next_number = list.iter().map(|(name, _)| name.run().number).max();
    let next_number = next_number.unwrap_or(0).saturating_add(1);
    let living: Vec<Run> = runs(&list, |name| matches!(name, Name::Running(_)))
        .filter(|run| is_alive(directory, *run, None))
        .collect();
    let dead: Vec<Name> = list
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !living.contains(&name.run()))
        .collect();
    let mut unclean: Vec<(Run, String)> = Vec::new();
    for name in &dead {
        match name {
            Name::Running(run) => {
                unclean.push((*run, binary(directory, *run)));
                directory.remove(name);
            }
            Name::Unfinished(_) => directory.remove(name),
            Name::Dump(_) => {}
        }
    }
    let last_dump = dead
        .iter()
        .filter_map(|name| match name {
            Name::Dump(dump) => Some(*dump),
            _ => None,
        })
        .max();
    let last_unclean = unclean.into_iter().max_by_key(|(run, _)| *run);
    let ended = "did not end cleanly (out of memory, killed or aborted)";
    let (previous, unclean) = match (last_dump, last_unclean) {
        (Some(dump), Some((run, _))) if dump.run < run => {
            let process = run.process;
            let reason = format!(
                "process {process} before this one {ended} and left no heap profile: nothing had asked for one \
                 before its end"
            );
            (Previous::None(reason.clone()), Some(reason))
        }
        (None, Some((run, _))) => {
            let process = run.process;
            let reason = format!(
                "process {process} before this one {ended} and left no heap profile: nothing had asked for one \
                 before its end"
            );
            (Previous::None(reason.clone()), Some(reason))
        }
        (Some(dump), unclean) => {
            let path = directory.path().join(dump.to_string());
            let said = unclean
                .filter(|(run, _)| *run == dump.run)
                .map(|(run, binary)| {
                    format!(
                        "process {} before this one {ended}; its last heap profile is at heap?previous=1: \
                         go tool pprof {binary} {}",
                        run.process,
                        path.display()
                    )
                });
            (Previous::Dump { dump, path }, said)
        }
        (None, None) => {
            let reason = "no earlier process has left a heap profile".to_owned();
            (Previous::None(reason), None)
        }
    };
    Ok(Census {
        next_number,
        previous,
        unclean,
    })
}

fn runs(list: &[(Name, u64)], of: fn(&Name) -> bool) -> impl Iterator<Item = Run> {
    let names = list.iter().map(|(name, _)| name);
    names.filter(move |name| of(name)).map(Name::run)
}

/// The program of a run that is over, for a person to type.
fn binary(directory: &Directory, run: Run) -> String {
    let mut path = Vec::new();
    let file = directory.reopen(&Name::Running(run)).and_then(regular);
    // It was written at once or, in a crash, not at all.
    let _ = file.and_then(|file| file.take(4096).read_to_end(&mut path));
    let path: String = String::from_utf8_lossy(&path)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    match path.is_empty() {
        true => "BINARY".to_owned(),
        false => path,
    }
}

/// That it is a file, and this user's.
fn regular(file: File) -> io::Result<File> {
    let metadata = file.metadata()?;
    // SAFETY: no preconditions.
    let user = unsafe { libc::geteuid() };
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if metadata.uid() != user {
        let owner = metadata.uid();
        return Err(io::Error::other(format!(
            "it belongs to user {owner}, not to {user}, which this process runs as"
        )));
    }
    Ok(file)
}

impl Previous {
    /// The heap profile that it is.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint asks")
    )]
    pub(super) fn read(&self, directory: &Path, symbolize: bool) -> Result<Pieces, NoPrevious> {
        let (dump, path) = match self {
            Previous::Dump { dump, path } => (dump, path),
            Previous::None(reason) => return Err(NoPrevious::None(reason.clone())),
        };
        let unreadable = |reason: &str| {
            NoPrevious::Unreadable(format!(
                "cannot read the heap profile {}: {reason}",
                path.display()
            ))
        };
        let file = Directory::open(directory)
            .map_err(|error| NoPrevious::Unreadable(error.to_string()))?
            .reopen(&Name::Dump(*dump));
        let bytes = match file.and_then(regular).and_then(bytes) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(unreadable("there is no memory for it; try again later")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!("{} has been removed", path.display());
                return Err(NoPrevious::None(reason));
            }
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return Err(unreadable("it is a symbolic link; remove it"));
            }
            Err(error) => return Err(unreadable(&format!("{error}; remove it"))),
        };
        profile::reread(bytes.as_slice(), symbolize).map_err(|error| match error {
            Unreadable::Foreign(reason) => unreadable(&format!("{reason}; remove it")),
            Unreadable::NoMemory => unreadable("there is no memory for it; try again later"),
        })
    }
}

/// All of a file that is no larger than a dump; None if the system has no memory for it.
fn bytes(mut file: File) -> io::Result<Option<PageVec<u8>>> {
    // Compressed it may be a little larger than before.
    let most = RAW_BYTES + RAW_BYTES / 8;
    let len = file.metadata()?.len();
    if len > most {
        return Err(io::Error::other(format!(
            "it has {len} bytes, more than any dump"
        )));
    }
    let mut all = PageVec::new();
    let mut part = [0; 16 << 10];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(Some(all)),
            Ok(read) => {
                let is_grown = all.as_slice().len() as u64 > most;
                if is_grown || !all.extend(part.get(..read).unwrap_or_default()) {
                    return Ok(None);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
