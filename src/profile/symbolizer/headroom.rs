//! How much memory is left before the kernel kills something in this process's control group.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that can still be allocated, as the tightest of the groups that this process is in says; `u64::MAX` without a
/// limit. Files that the kernel can drop from its cache count as free, as it drops them before it kills.
pub(in crate::profile) fn headroom() -> u64 {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    headroom_in(Path::new("/sys/fs/cgroup"), &groups)
}

/// Names of what a group's directory holds.
struct Version {
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` with the bytes of cached files that were not used of late.
    cached: &'static str,
}

const V1: Version = Version {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cached: "total_inactive_file ",
};

const V2: Version = Version {
    limit: "memory.max",
    usage: "memory.current",
    cached: "inactive_file ",
};

fn headroom_in(mount: &Path, groups: &str) -> u64 {
    let mut least = u64::MAX;
    // `0::/system.slice/svc.service`, and for version 1 `9:memory:/docker/0123`.
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let (version, root): (_, PathBuf) = if controllers.is_empty() {
            (V2, mount.into())
        } else if controllers.split(',').any(|name| name == "memory") {
            (V1, mount.join("memory"))
        } else {
            continue;
        };
        // Limits of the groups above hold too. In a container the path may be the host's: then only the root is there.
        let path = root.join(path.trim_start_matches('/'));
        for group in path
            .ancestors()
            .take_while(|group| group.starts_with(&root))
        {
            least = least.min(version.left(group).unwrap_or(u64::MAX));
        }
    }
    least
}

impl Version {
    /// None if the group has no limit, or cannot be read.
    fn left(&self, group: &Path) -> Option<u64> {
        let number = |file| {
            let text = fs::read_to_string(group.join(file)).ok()?;
            text.trim().parse::<u64>().ok()
        };
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = stat.lines().find_map(|line| line.strip_prefix(self.cached));
        let cached = cached.and_then(|bytes| bytes.trim().parse::<u64>().ok());
        Some(limit.saturating_sub(usage.saturating_sub(cached.unwrap_or(0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_counts_and_cached_files_are_free() {
        let mount = std::env::temp_dir().join(format!("debug-pprof-cgroup-{}", std::process::id()));
        let write = |file: &str, text: &str| {
            let file = mount.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for (file, text) in [
            ("a/memory.max", "1000\n"),
            ("a/memory.current", "900\n"),
            ("a/memory.stat", "anon 5\ninactive_file 300\nfile 400\n"),
            ("a/b/memory.max", "max\n"),
            ("a/b/memory.current", "100\n"),
            ("a/c/memory.max", "500\n"),
            ("a/c/memory.current", "450\n"),
            ("memory/d/memory.limit_in_bytes", "70\n"),
            ("memory/d/memory.usage_in_bytes", "80\n"),
        ] {
            write(file, text);
        }
        let left = |groups: &str| headroom_in(&mount, groups);
        assert_eq!(left("0::/a\n"), 400);
        assert_eq!(left("0::/a/b\n"), 400);
        assert_eq!(left("0::/a/c\n"), 50);
        assert_eq!(left("0::/not/here\n"), u64::MAX);
        assert_eq!(left("9:cpu,memory:/d\n0::/a\n"), 0);
        assert_eq!(left("9:cpu:/d\n"), u64::MAX);
        assert_eq!(left("garbage"), u64::MAX);
        fs::remove_dir_all(&mount).unwrap();
        // Whatever the machine has.
        headroom();
    }
}
