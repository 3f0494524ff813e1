//! What the process was before the first turn, and must be again after each: threads, descriptors, and what the profile
//! says is in use, in every one of its entries.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use debug_pprof::{HeapProfile, HeapRecord};

/// At the server's start a thread of this name makes unwind tables, and ends.
const TABLE_MAKER: &str = "debug-pprof-cfi\n";

/// It has its name long before.
const SETTLED: Duration = Duration::from_millis(200);

/// The server's threads end a moment after their clients have read the answer. Only a failure waits this long.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
}

impl Process {
    fn now() -> Process {
        let entries = |path| fs::read_dir(path).map_or(0, Iterator::count);
        Process {
            threads: entries("/proc/self/task"),
            descriptors: entries("/proc/self/fd"),
        }
    }
}

impl Process {
    /// What it is once it has not changed for a while.
    fn settled() -> Process {
        let mut last = Process::now();
        loop {
            thread::sleep(SETTLED);
            let now = Process::now();
            if now == last && !is_making_tables() {
                return now;
            }
            last = now;
        }
    }
}

fn is_making_tables() -> bool {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
    let names = threads
        .filter_map(Result::ok)
        .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.into_iter().any(|name| name == TABLE_MAKER)
}

pub(crate) struct Baseline {
    process: Process,
    heap: HeapProfile,
}

/// How far the entries of a profile are from the baseline.
#[derive(Default)]
pub(crate) struct LiveError {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) entries: usize,
    /// The size of an object of the worst entry, and how many there are too many of it.
    pub(crate) worst: (usize, i64),
}

impl Baseline {
    /// Takes it, once what this thread makes at its first use has been made.
    pub(crate) fn take() -> Result<Baseline, String> {
        thread::spawn(|| ())
            .join()
            .map_err(|_| "an empty thread panicked")?;
        Ok(Baseline {
            process: Process::settled(),
            heap: HeapProfile::capture().map_err(|error| error.to_string())?,
        })
    }

    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// What the process is now, after it has had time to come back to what it was.
    pub(crate) fn process_when_quiet(&self) -> Process {
        let started = Instant::now();
        loop {
            let now = Process::now();
            if now == self.process || started.elapsed() > PATIENCE {
                return now;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn live_error(&self) -> Result<LiveError, String> {
        let now = HeapProfile::capture().map_err(|error| error.to_string())?;
        let mut error = LiveError::default();
        for record in now.since(&self.heap).records() {
            error.add(record);
        }
        Ok(error)
    }
}

impl LiveError {
    fn add(&mut self, record: &HeapRecord) {
        let values = record.sampled();
        if values.inuse_objects == 0 && values.inuse_space == 0 {
            return;
        }
        let bytes = values.inuse_space.unsigned_abs();
        self.objects += values.inuse_objects.unsigned_abs();
        self.bytes += bytes;
        self.entries += 1;
        let (size, objects) = self.worst;
        if bytes >= size as u64 * objects.unsigned_abs() {
            self.worst = (record.size().unwrap_or(0), values.inuse_objects);
        }
    }
}
