//! The control groups whose memory limits hold for this process: its own and those above, of version 1 and of version 2.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where the files of the groups of one version are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    version: Version,
    mount: PathBuf,
    /// This process's group, below `mount` or at it; None if it cannot be reached from here.
    own: Option<PathBuf>,
}

/// Of control groups; and so names of what a group's directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

impl Version {
    fn limit(self) -> &'static str {
        match self {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        }
    }

    /// What stands in `memory.stat` before the bytes of cached files that were not used of late, which the kernel drops
    /// before it kills.
    fn cached(self) -> &'static str {
        match self {
            Version::One => "total_inactive_file ",
            Version::Two => "inactive_file ",
        }
    }
}

impl Hierarchy {
    /// Those of this process that count memory; empty without `/proc`.
    pub(crate) fn all() -> Vec<Hierarchy> {
        let read = |path| fs::read(path).unwrap_or_default();
        Self::all_in(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
    }

    /// By the contents of `/proc/self/cgroup` and `/proc/self/mountinfo`.
    ///
    /// In a namespace of its own the group reads `/`, or leads out of it (`/../other`) if the process was moved: then its files
    /// cannot be reached. In a container without such a namespace the mount's root is the group itself, or above it.
    pub(crate) fn all_in(groups: &[u8], mounts: &[u8]) -> Vec<Hierarchy> {
        // `0::/system.slice/svc.service`, and for version 1 `9:memory:/docker/0123`.
        let hierarchy = |line: &[u8]| {
            let mut fields = line.splitn(3, |byte| *byte == b':').skip(1);
            let (controllers, group) = (fields.next()?, fields.next()?);
            let version = match controllers {
                [] => Version::Two,
                _ if has_memory(controllers) => Version::One,
                _ => return None,
            };
            let mounts = lines(mounts).filter_map(Mount::parse);
            let mut mounts = mounts.filter(|mount| mount.version == version).peekable();
            let any = path(mounts.peek()?.point.clone());
            let leads_out = group.split(|byte| *byte == b'/').any(|part| part == b"..");
            let below = mounts.filter(|_| !leads_out).filter_map(|mount| {
                let rest = below(group, &mount.root)?;
                Some((rest, path(mount.point)))
            });
            // Of several mounts the one that leads furthest: its root is the nearest ancestor.
            let nearest = below.min_by_key(|(rest, _)| rest.len());
            Some(match nearest {
                Some((rest, mount)) => Hierarchy {
                    version,
                    own: Some(mount.join(path(rest))),
                    mount,
                },
                None => Hierarchy {
                    version,
                    mount: any,
                    own: None,
                },
            })
        };
        lines(groups).filter_map(hierarchy).collect()
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn own(&self) -> Option<&Path> {
        self.own.as_deref()
    }

    /// This process's group and those above, the innermost first; what can be seen of them.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &Path> {
        let innermost = self.own.as_deref().unwrap_or(&self.mount);
        let above = innermost.ancestors();
        above.take_while(|group| group.starts_with(&self.mount))
    }

    /// Those that can be read.
    pub(crate) fn groups(&self) -> impl Iterator<Item = MemoryGroup> {
        self.directories()
            .filter_map(|group| MemoryGroup::open(group, self.version))
    }
}

/// The files of one control group, opened once: looking takes neither memory nor a descriptor.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    limit: File,
    usage: File,
    stat: Option<File>,
    version: Version,
}

/// Bytes of a limit, and of what is used of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

impl MemoryGroup {
    fn open(group: &Path, version: Version) -> Option<Self> {
        Some(Self {
            limit: File::open(group.join(version.limit())).ok()?,
            usage: File::open(group.join(version.usage())).ok()?,
            stat: File::open(group.join("memory.stat")).ok(),
            version,
        })
    }

    /// None if the group has no limit now. Cached files that the kernel would drop first are not counted, if the share that
    /// is used with them is at least `interesting`: asking for them makes the kernel add up all processors' counts.
    pub(crate) fn used(&self, interesting: f64) -> Option<Used> {
        let mut buffer = [0; 64];
        let mut number = |file| {
            read_beginning(file, &mut buffer)?
                .trim()
                .parse::<u64>()
                .ok()
        };
        let (limit, used) = (number(&self.limit)?, number(&self.usage)?);
        // Version 1's way to say that there is none.
        (limit < 1 << 60).then_some(())?;
        if (used as f64) < interesting * limit as f64 {
            return Some(Used { used, limit });
        }
        let cached = self.stat.as_ref().and_then(|stat| {
            let mut buffer = [0; 8192];
            let text = read_beginning(stat, &mut buffer)?;
            let mut lines = text.lines();
            let bytes = lines.find_map(|line| line.strip_prefix(self.version.cached()))?;
            bytes.trim().parse::<u64>().ok()
        });
        Some(Used {
            used: used.saturating_sub(cached.unwrap_or(0)),
            limit,
        })
    }
}

/// The beginning of a file of the kernel's, as far as it is text.
pub(crate) fn read_beginning<'b>(file: &File, buffer: &'b mut [u8]) -> Option<&'b str> {
    let len = file.read_at(buffer, 0).ok()?;
    let bytes = buffer.get(..len)?;
    // Cut in a character at most.
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok(),
    }
}

/// A mount of control groups that count memory.
struct Mount {
    version: Version,
    root: Vec<u8>,
    point: Vec<u8>,
}

impl Mount {
    /// Of a line of mountinfo.
    fn parse(line: &[u8]) -> Option<Mount> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let separator = fields.iter().position(|field| *field == b"-")?;
        let version = match *fields.get(separator + 1)? {
            b"cgroup2" => Version::Two,
            b"cgroup" if has_memory(fields.get(separator + 3)?) => Version::One,
            _ => return None,
        };
        Some(Mount {
            version,
            root: unescaped(fields.get(3)?),
            point: unescaped(fields.get(4)?),
        })
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// Whether a list of controllers, or of options, has the memory controller.
fn has_memory(list: &[u8]) -> bool {
    list.split(|byte| *byte == b',')
        .any(|name| name == b"memory")
}

fn path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// What is left of `group` under `root`, without a slash in front.
fn below(group: &[u8], root: &[u8]) -> Option<Vec<u8>> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let rest = group.strip_prefix(root)?;
    match rest.split_first() {
        None => Some(Vec::new()),
        Some((b'/', rest)) => Some(rest.to_vec()),
        Some(_) => None,
    }
}

/// The kernel writes a space, a tab, a newline and a backslash as three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, behind)) = rest.split_first() {
        let escape = (first == b'\\')
            .then(|| behind.split_at_checked(3))
            .flatten();
        let octal = escape.and_then(|(digits, behind)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 8).ok()?, behind))
        });
        let (byte, behind) = octal.unwrap_or((first, behind));
        bytes.push(byte);
        rest = behind;
    }
    bytes
}

#[cfg(test)]
pub(crate) mod tests;
