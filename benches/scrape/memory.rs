//! What the kernel says of this process's memory.

use std::fs;

/// Kilobytes, of the line `key` in a file of /proc/self; 0 if there is none.
pub(crate) fn kilobytes(file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

pub(crate) fn resident() -> u64 {
    kilobytes("status", "VmRSS:")
}

/// Memory of the process alone: no file's.
pub(crate) fn anonymous() -> u64 {
    kilobytes("status", "RssAnon:")
}
