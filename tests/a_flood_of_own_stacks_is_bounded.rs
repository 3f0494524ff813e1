//! Ever new stacks and labels of things of one's own take no more memory than the limit says, and each thing is counted:
//! those that there is no room for without their labels or their stack, which is said.
//!
//! The control is the same flood without limits: the memory grows with it.

mod child_process;
mod distinct_paths;
mod validator;

use std::thread;

use debug_pprof::labels::scope;
use debug_pprof::{Limits, Profile, ProfileEntry, ProfiledAllocator};
use distinct_paths::call_under;
use validator::{Kind, assert_valid};

const LIMITS: Limits = Limits {
    custom_stacks: 1_000,
    ..Limits::DEFAULT
};
const WITHOUT: Limits = Limits {
    custom_stacks: 1 << 20,
    label_sets: 1 << 20,
    ..Limits::DEFAULT
};

const TEST: &str = "a_flood_of_own_stacks_is_bounded";
const STACKS: usize = 4_000;
/// More than this is out of bounds: stacks of some 400 bytes, and 256 KiB that are taken at a time.
const BYTES: usize = 1 << 20;

/// Sampling is off: what grows is of the entries alone.
struct Either {
    limited: ProfiledAllocator,
    unlimited: ProfiledAllocator,
}

#[global_allocator]
static ALLOC: Either = Either {
    limited: ProfiledAllocator::system().sample_every(0).limits(LIMITS),
    unlimited: ProfiledAllocator::system().sample_every(0).limits(WITHOUT),
};

/// Whether this process is the control, asked as the profiler asks for its own variables: without allocating.
fn is_control() -> bool {
    // SAFETY: nobody sets variables in this program.
    let value = unsafe { libc::getenv(c"DEBUG_PPROF_TEST_CASE".as_ptr()) };
    !value.is_null()
}

// SAFETY: both forward to the system's.
unsafe impl std::alloc::GlobalAlloc for Either {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        // The first allocation's limits are the process's.
        match is_control() {
            // SAFETY: the caller's duties are the same.
            true => unsafe { self.unlimited.alloc(layout) },
            // SAFETY: as above.
            false => unsafe { self.limited.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: as above; which of the two does not matter for a free.
        unsafe { self.limited.dealloc(block, layout) };
    }
}

static CONNECTIONS: Profile = Profile::new("connections");

fn flood(thread: usize) -> Vec<ProfileEntry> {
    let mut kept = Vec::new();
    for nth in 0..STACKS {
        let path = thread * STACKS + nth;
        let entry = call_under(path, || CONNECTIONS.add());
        if nth % 2 == 0 {
            kept.push(entry);
        }
    }
    // One stack with ever new labels.
    for nth in 0..STACKS {
        let request = format!("{thread}-{nth}");
        kept.push(scope(&[("request", &request)], || CONNECTIONS.add()));
    }
    kept
}

#[test]
fn a_flood_of_own_stacks_is_bounded() {
    let memory = || debug_pprof::mem_stats().profiler.memory_bytes;
    drop(scope(&[("request", "first")], || CONNECTIONS.add()));
    let before = memory();
    let held: Vec<_> = {
        let threads: Vec<_> = (0..2)
            .map(|nth| thread::spawn(move || flood(nth)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    };
    let grown = memory() - before;
    if is_control() {
        assert!(grown > 2 * BYTES, "{grown}");
        return;
    }
    child_process::succeeds(TEST, "unlimited");
    assert!(grown <= BYTES, "{grown}");

    let alive = 2 * (STACKS / 2 + STACKS);
    assert_eq!(CONNECTIONS.count(), alive);
    let folded = debug_pprof::mem_stats().profiler.folded_entries as usize;
    assert!(
        (2 * (STACKS - LIMITS.custom_stacks)..=4 * STACKS).contains(&folded),
        "{folded}"
    );
    let mut file = Vec::new();
    CONNECTIONS
        .write_pprof(&mut file)
        .expect("a vector takes all");
    let file = assert_valid(&file, Kind::named("connections").expect("it is known"));
    assert_eq!(file.total("connections"), alive as i64);
    assert!(file.proto.sample.len() <= LIMITS.custom_stacks + 1);
    let comments = file.comments().join("\n");
    assert!(comments.contains("are without their stack"), "{comments}");
    drop(held);
    assert_eq!(CONNECTIONS.count(), 0);
    let known = CONNECTIONS.add();
    assert_eq!(CONNECTIONS.count(), 1);
    drop(known);
}
