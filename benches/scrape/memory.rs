//! What the kernel says of this process's memory.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

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

/// The most anonymous memory, in kilobytes, that the process has while `work` runs.
pub(crate) fn peak<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(anonymous());
                thread::sleep(Duration::from_micros(500));
            }
            most
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, watch.join().expect("no panic"))
    })
}
