//! How much memory is left before the kernel kills something in this process's control group.

use crate::memory_groups::{Hierarchy, MemoryGroup, Used};

/// Bytes that can still be allocated, as the tightest of the groups that this process is in says; `u64::MAX` without a
/// limit. Files that the kernel can drop from its cache count as free, as it drops them before it kills.
pub(in crate::profile) fn headroom() -> u64 {
    headroom_in(&Hierarchy::all())
}

fn headroom_in(hierarchies: &[Hierarchy]) -> u64 {
    let left = |group: MemoryGroup| {
        let Used { used, limit } = group.used(0.0)?;
        Some(limit.saturating_sub(used))
    };
    let groups = hierarchies.iter().flat_map(Hierarchy::groups);
    groups.filter_map(left).min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::memory_groups::tests::mountinfo;

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
        let mounts = mountinfo(&mount);
        let left =
            |groups: &str| headroom_in(&Hierarchy::all_in(groups.as_bytes(), mounts.as_bytes()));
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
