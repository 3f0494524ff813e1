//! Groups as the kernel shows them: recorded files, and directories of this test's own.

use super::*;

/// Lines of mountinfo for groups of either version under `mount`: version 2 at it, version 1 in `memory`.
pub(crate) fn mountinfo(mount: &Path) -> String {
    let mount = mount.display();
    format!(
        "30 23 0:26 / {mount} rw shared:4 - cgroup2 cgroup2 rw\n35 31 0:32 / {mount}/memory rw - cgroup cgroup rw,memory\n"
    )
}

/// The own group of version 2.
fn found(groups: &str, mounts: &str) -> Option<String> {
    let all = Hierarchy::all_in(groups.as_bytes(), mounts.as_bytes());
    let second = all.iter().find(|it| it.version == Version::Two)?;
    Some(
        second
            .own()?
            .to_str()?
            .trim_end_matches('/')
            .replace("//", "/"),
    )
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
fn groups_above_count_too_and_of_one_that_is_out_of_sight_only_the_mount() {
    let directories = |groups: &str, mounts: &str| {
        let all = Hierarchy::all_in(groups.as_bytes(), mounts.as_bytes());
        let all = all.iter().flat_map(Hierarchy::directories);
        all.map(|it| it.to_str().unwrap().trim_end_matches('/').to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        directories("0::/a/b\n", PURE),
        ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]
    );
    assert_eq!(directories("0::/../other\n", PURE), ["/sys/fs/cgroup"]);
    let docker = "35 31 0:32 /docker/01 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                  36 31 0:33 /docker/01 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n";
    assert_eq!(
        directories("9:memory:/docker/01\n8:cpu,cpuacct:/docker/01\n", docker),
        ["/sys/fs/cgroup/memory"]
    );
}

#[test]
fn a_mount_point_with_a_space_is_read() {
    let odd = r"30 23 0:26 / /mnt/c\040group\134x rw - cgroup2 cgroup2 rw";
    assert_eq!(found("0::/", odd).as_deref(), Some("/mnt/c group\\x"));
}

#[test]
fn what_cannot_be_known_is_absent() {
    for (groups, mounts) in [
        ("", PURE),
        ("garbage", PURE),
        ("4:memory:/x\n", PURE),
        ("0::/../other\n", PURE),
        ("0::/\n", ""),
        ("0::/\n", "30 23 0:26 / /sys/fs/cgroup\n - cgroup2\n\\\n-\n"),
        ("0::/\n", "1 1 0:1 / /p rw - cgroup cgroup rw,memory\n"),
        ("0::/\n", "1 1 0:1 / /p rw - cgroup cgroup\n"),
    ] {
        assert_eq!(found(groups, mounts), None, "{groups:?} {mounts:?}");
    }
}
