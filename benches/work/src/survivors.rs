//! Churn with survivors, as in a service that runs for days: what is resident in the end.

use std::fs;

use crate::blocks::{self, Block};
use crate::random::Random;

/// Blocks alive at one time, beside the survivors.
const LIVE: usize = 20_000;
/// Allocates and frees `operations` blocks of 16 B to 1 KiB on one thread and keeps one in `one_in` for good: survivors pin
/// the pages that they lie in. Returns what is resident then.
///
/// # Panics
/// Without `/proc/self/smaps_rollup`.
pub fn churn_with_survivors(operations: u64, one_in: u64) -> Resident {
    let mut random = Random::new(23);
    let mut live: Vec<Block> = (0..LIVE).map(|_| blocks::mixed(&mut random)).collect();
    let mut kept: Vec<Block> = Vec::with_capacity((operations / one_in) as usize + 1);
    for nth in 0..operations {
        let block = blocks::mixed(&mut random);
        let index = random.below(LIVE);
        let replaced = std::mem::replace(&mut live[index], block);
        if nth % one_in == 0 {
            kept.push(replaced);
        }
    }
    Resident::read()
}

/// Resident memory of this process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    /// All of it, the pages of binary and libraries that other processes share too.
    pub all: u64,
    /// Its own: heap, stacks, written data.
    pub anonymous: u64,
}

impl Resident {
    /// Exact, unlike the status file's, which may be off by 64 pages for each processor.
    fn read() -> Self {
        let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux 4.14 or later");
        let bytes = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kib: Option<u64> = kib.and_then(|kib| kib.trim().parse().ok());
            kib.expect("a number of kB") * 1024
        };
        Self {
            all: bytes("Rss:"),
            anonymous: bytes("Anonymous:"),
        }
    }
}
