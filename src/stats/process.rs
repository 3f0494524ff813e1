//! `ProcessStats`: what `/proc/self` says of threads, descriptors and time.

use std::fs;

/// Threads, descriptors, CPU time and start of the process. None for what the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct ProcessStats {
    /// Threads alive.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// The soft limit on file descriptors; None if there is none.
    pub max_fds: Option<u64>,
    /// The soft limit on address space in bytes; None if there is none.
    pub max_virtual_bytes: Option<u64>,
    /// CPU time of all threads, user and system, in seconds.
    pub cpu_seconds: Option<f64>,
    /// When the process started, in seconds since 1970.
    pub start_time_seconds: Option<f64>,
}

impl ProcessStats {
    /// `threads` has been read with the rest of `/proc/self/status`.
    pub(super) fn read(threads: Option<u64>) -> ProcessStats {
        let limits = read("/proc/self/limits");
        let stat = Stat::parse(&read("/proc/self/stat")).unwrap_or_default();
        let seconds = |ticks: u64| ticks_per_second().map(|frequency| ticks as f64 / frequency);
        let boot_seconds = boot_seconds(&read("/proc/stat"));
        ProcessStats {
            threads,
            open_fds: open_fds(),
            max_fds: soft_limit(&limits, "Max open files"),
            max_virtual_bytes: soft_limit(&limits, "Max address space"),
            cpu_seconds: stat.cpu_ticks.and_then(seconds),
            start_time_seconds: stat
                .start_ticks
                .and_then(seconds)
                .zip(boot_seconds)
                .map(|(since_boot, boot)| boot as f64 + since_boot),
        }
    }
}

/// Empty if it cannot be read. As bytes: a process's name need not be UTF-8.
fn read(path: &str) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// From Linux 6.2 on the directory's size is their number; before that it is 0, and they are counted one by one.
fn open_fds() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        return Some(size);
    }
    let count = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // Without the one that reads the directory.
    count.checked_sub(1)
}

fn ticks_per_second() -> Option<f64> {
    // SAFETY: sysconf takes a number, touches no memory of ours, and answers −1 to a number that it does not know.
    let frequency = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (frequency > 0).then_some(frequency as f64)
}

#[derive(Debug, Default, PartialEq)]
struct Stat {
    cpu_ticks: Option<u64>,
    start_ticks: Option<u64>,
}

impl Stat {
    /// The name in parentheses may hold anything, parentheses too: what counts is behind the last one.
    fn parse(stat: &str) -> Option<Stat> {
        let (_name, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) numbers them from 1, and the state, which is the first here, is its third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let (user, system) = (field(14), field(15));
        Some(Stat {
            cpu_ticks: user
                .zip(system)
                .and_then(|(user, system)| user.checked_add(system)),
            start_ticks: field(22),
        })
    }
}

fn boot_seconds(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

/// None for `unlimited` too.
fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_the_fields() {
        let stat =
            "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 123456 1000 10 184";
        let expected = Stat {
            cpu_ticks: Some(300),
            start_ticks: Some(123_456),
        };
        assert_eq!(Stat::parse(stat), Some(expected));
        assert_eq!(Stat::parse("7 (cut) S 1"), Some(Stat::default()));
        assert_eq!(Stat::parse("nothing"), None);
    }

    #[test]
    fn limits_that_are_none_are_absent() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 1048576              files     \n\
                      Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024));
        assert_eq!(soft_limit(limits, "Max address space"), None);
        assert_eq!(soft_limit("Max open files", "Max open files"), None);
    }

    #[test]
    fn this_process_has_all_of_it() {
        let stats = ProcessStats::read(Some(1));
        assert!(stats.open_fds.is_some_and(|count| count >= 3), "{stats:?}");
        assert!(
            stats.cpu_seconds.is_some_and(|seconds| seconds < 1e6),
            "{stats:?}"
        );
        assert!(
            stats.start_time_seconds.is_some_and(|start| start > 1.6e9),
            "{stats:?}"
        );
    }
}
