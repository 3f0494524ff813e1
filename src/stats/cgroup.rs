//! `CgroupStats`: what cgroup v2 says of the container's memory.

use std::fs;
use std::path::Path;

use crate::memory_groups::{Hierarchy, Version};

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
        let all = Hierarchy::all();
        let second = all.iter().find(|it| it.version() == Version::Two)?;
        CgroupStats::in_directory(second.own()?)
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

/// The value on the line `KEY VALUE`.
fn keyed(text: Option<&str>, key: &str) -> Option<u64> {
    let mut pairs = text?.lines().filter_map(|line| line.split_once(' '));
    pairs.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
