//! `CgroupStats`: what cgroup v2 says of the container's memory.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Memory of the process's cgroup (v2). In a container that is the container; None for what the kernel does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CgroupStats {
    /// Bytes charged to the group, page cache included.
    pub current_bytes: Option<u64>,
    /// The limit beyond which the kernel kills, in bytes; None if there is none.
    pub max_bytes: Option<u64>,
    /// The limit beyond which the kernel slows allocations down, in bytes; None if there is none.
    pub high_bytes: Option<u64>,
    /// Anonymous memory in bytes: heaps and stacks.
    pub anon_bytes: Option<u64>,
    /// How often usage was throttled at `high_bytes`.
    pub high_events: Option<u64>,
    /// Processes of the group that the kernel has killed for want of memory.
    pub oom_kills: Option<u64>,
}

impl CgroupStats {
    /// None without cgroup v2, and in a group without the memory controller.
    pub(super) fn read() -> Option<CgroupStats> {
        let (cgroup, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
        CgroupStats::in_directory(&directory(&cgroup, &mounts)?)
    }

    fn in_directory(directory: &Path) -> Option<CgroupStats> {
        let file = |name: &str| {
            let bytes = fs::read(directory.join(name)).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        // `max` is no number, and a limit that is none is absent.
        let number = |name: &str| file(name)?.trim().parse::<u64>().ok();
        let (stat, events) = (file("memory.stat"), file("memory.events"));
        let stats = CgroupStats {
            current_bytes: number("memory.current"),
            max_bytes: number("memory.max"),
            high_bytes: number("memory.high"),
            anon_bytes: keyed(stat.as_deref(), "anon"),
            high_events: keyed(events.as_deref(), "high"),
            oom_kills: keyed(events.as_deref(), "oom_kill"),
        };
        (stats != CgroupStats::default()).then_some(stats)
    }
}

fn read(path: &str) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// The value on the line `KEY VALUE`.
fn keyed(text: Option<&str>, key: &str) -> Option<u64> {
    let mut pairs = text?.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

/// Where the group's files lie: the mount of cgroup2 whose root is an ancestor of the group, and the rest of the way.
///
/// In a cgroup namespace the group reads `/`, or leads out of it (`/../other`) if the process was moved: then its files
/// cannot be reached, and nothing is better than another group's numbers. In a container without such a namespace the
/// mount's root is the group itself, or above it.
fn directory(cgroup: &[u8], mounts: &[u8]) -> Option<PathBuf> {
    let group = lines(cgroup).find_map(|line| line.strip_prefix(b"0::"))?;
    if group.split(|&byte| byte == b'/').any(|part| part == b"..") {
        return None;
    }
    let mounts = lines(mounts).filter_map(mount);
    let inside = mounts.filter_map(|(root, point)| Some((below(group, &root)?, point)));
    // Of several mounts the one that leads furthest: its root is the nearest ancestor.
    let (rest, point) = inside.min_by_key(|(rest, _)| rest.len())?;
    Some(Path::new(&OsString::from_vec(point)).join(OsString::from_vec(rest)))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// Root and mount point of a line of mountinfo, if it is of cgroup2.
fn mount(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let separator = fields.iter().position(|field| *field == b"-")?;
    if *fields.get(separator + 1)? != b"cgroup2" {
        return None;
    }
    Some((unescaped(fields.get(3)?), unescaped(fields.get(4)?)))
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
mod tests {
    use super::*;

    fn found(cgroup: &str, mounts: &str) -> Option<String> {
        let directory = directory(cgroup.as_bytes(), mounts.as_bytes())?;
        Some(directory.to_str()?.trim_end_matches('/').to_owned())
    }

    const PURE: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_group_is_found_on_hosts_in_containers_and_beside_v1() {
        let host = "0::/system.slice/service.service\n";
        let expected = "/sys/fs/cgroup/system.slice/service.service";
        assert_eq!(found(host, PURE).as_deref(), Some(expected));
        assert_eq!(found("0::/\n", PURE).as_deref(), Some("/sys/fs/cgroup"));
        // A container that sees the host's names.
        let bound = "30 23 0:26 /kubepods/pod1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let of_pod = found("0::/kubepods/pod1/app\n", bound);
        assert_eq!(of_pod.as_deref(), Some("/sys/fs/cgroup/app"));
        assert_eq!(found("0::/kubepods/pod11\n", bound), None);
        let hybrid = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let beside = found("4:memory:/x\n0::/\n", hybrid);
        assert_eq!(beside.as_deref(), Some("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn a_mount_point_with_a_space_is_read() {
        let odd = r"30 23 0:26 / /mnt/c\040group\134x rw - cgroup2 cgroup2 rw";
        assert_eq!(found("0::/", odd).as_deref(), Some("/mnt/c group\\x"));
    }

    #[test]
    fn what_cannot_be_known_is_absent() {
        for (cgroup, mounts) in [
            ("", PURE),
            ("4:memory:/x\n", PURE),
            ("0::/../other\n", PURE),
            ("0::/\n", ""),
            ("0::/\n", "30 23 0:26 / /sys/fs/cgroup\n - cgroup2\n\\\n-\n"),
            ("0::/\n", "1 1 0:1 / /p rw - cgroup cgroup rw,memory\n"),
        ] {
            assert_eq!(found(cgroup, mounts), None, "{cgroup:?} {mounts:?}");
        }
    }

    #[test]
    fn recorded_files_are_read_and_odd_ones_do_no_harm() {
        let directory = std::env::temp_dir().join(format!("cgroup-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        assert_eq!(CgroupStats::in_directory(&directory), None);
        let write =
            |name: &str, text: &[u8]| fs::write(directory.join(name), text).expect("written");
        write("memory.current", b"104857600\n");
        write("memory.max", b"max\n");
        write("memory.high", b"209715200\n");
        write("memory.stat", b"anon 52428800\nfile 4096\nanon_thp 0\n");
        write(
            "memory.events",
            b"low 0\nhigh 17\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n",
        );
        let expected = CgroupStats {
            current_bytes: Some(104_857_600),
            max_bytes: None,
            high_bytes: Some(209_715_200),
            anon_bytes: Some(52_428_800),
            high_events: Some(17),
            oom_kills: Some(2),
        };
        assert_eq!(CgroupStats::in_directory(&directory), Some(expected));
        for odd in [
            &b""[..],
            b"\xff\xfe",
            b"-1\n",
            b"99999999999999999999999\n",
            b"anon\nanon x\nhigh \n",
        ] {
            for name in [
                "memory.current",
                "memory.high",
                "memory.stat",
                "memory.events",
            ] {
                write(name, odd);
            }
            assert_eq!(CgroupStats::in_directory(&directory), None, "{odd:?}");
        }
        fs::remove_dir_all(&directory).expect("removed");
    }
}
