//! Faults that the soak commits on purpose when it is asked to, each of which it must find.

use std::fs::File;
use std::mem;
use std::thread;
use std::time::Duration;

use crate::scrapes::{self, Route};

/// What one turn adds to the resident memory: the shortest soak has two samples in its second half.
const MEMORY_BYTES: usize = 8 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A block that nobody frees.
    Leak,
    /// A block that C's `free` takes past the allocator, which therefore takes it to be in use.
    Bypass,
    /// A thread that does not end.
    Thread,
    /// A file that is not closed.
    Descriptor,
    /// Memory that the allocator knows nothing of.
    Memory,
    /// A client that is not content with the answer.
    Answer,
}

impl Fault {
    pub(crate) fn named(name: &str) -> Option<Fault> {
        Some(match name {
            "leak" => Fault::Leak,
            "bypass" => Fault::Bypass,
            "thread" => Fault::Thread,
            "descriptor" => Fault::Descriptor,
            "memory" => Fault::Memory,
            "answer" => Fault::Answer,
            _ => return None,
        })
    }

    /// What is asked for at each turn.
    pub(crate) fn routes(fault: Option<Fault>) -> &'static [Route] {
        match fault {
            Some(Fault::Answer) => scrapes::IMPOSSIBLE,
            _ => scrapes::ROUTES,
        }
    }

    /// Commits it, at the end of a turn.
    pub(crate) fn commit(self) {
        match self {
            Fault::Leak => mem::forget(sampled_block()),
            Fault::Bypass => {
                let block = mem::ManuallyDrop::new(sampled_block());
                // SAFETY: a block of the system's allocator, which `malloc` made, and which nobody frees again.
                unsafe { libc::free(block.as_ptr().cast_mut().cast()) };
            }
            Fault::Thread => drop(thread::spawn(|| thread::sleep(Duration::MAX))),
            Fault::Descriptor => {
                if let Ok(file) = File::open("/dev/null") {
                    mem::forget(file);
                }
            }
            Fault::Memory => map_and_touch(MEMORY_BYTES),
            // Committed by the clients.
            Fault::Answer => {}
        }
    }
}

fn sampled_block() -> Vec<u8> {
    debug_pprof::set_sample_rate(1);
    let block = vec![1; 3_001];
    debug_pprof::set_sample_rate(0);
    block
}

fn map_and_touch(bytes: usize) {
    // SAFETY: a new mapping, at an address of the system's choice.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if start != libc::MAP_FAILED {
        // SAFETY: the mapping's own bytes.
        unsafe { start.cast::<u8>().write_bytes(1, bytes) };
    }
}
