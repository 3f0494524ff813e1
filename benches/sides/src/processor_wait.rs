//! How long a thread has waited for a processor: what a pause is not to be blamed for.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Of the thread that made it. Reading it allocates nothing.
#[derive(Debug)]
pub struct ProcessorWait {
    schedstat: File,
    /// Nanoseconds that the thread was ready to run and did not, since it began.
    so_far: u64,
}

impl ProcessorWait {
    /// # Panics
    /// On kernels without scheduler statistics.
    pub fn of_this_thread() -> Self {
        let schedstat = File::open("/proc/thread-self/schedstat");
        let mut wait = Self {
            schedstat: schedstat.expect("a kernel with scheduler statistics"),
            so_far: 0,
        };
        wait.since_last();
        wait
    }

    /// Nanoseconds since the last call.
    pub fn since_last(&mut self) -> u64 {
        let mut text = [0; 64];
        let read = self.schedstat.read_at(&mut text, 0).expect("readable");
        let text = str::from_utf8(&text[..read]).expect("numbers");
        let wait = text.split_ascii_whitespace().nth(1);
        let now = wait.and_then(|wait| wait.parse().ok()).expect("a number");
        now - std::mem::replace(&mut self.so_far, now)
    }
}
