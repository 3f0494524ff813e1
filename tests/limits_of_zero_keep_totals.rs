//! Each limit set to 0, and all of them: nothing ends, allocated totals are exact, in-use returns to the baseline, the
//! profile is valid, and its comment says what it lacks.

mod idle_harness;
mod own_process;
mod validator;

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use debug_pprof::{HeapProfile, HeapValues, Limits, ProfiledAllocator};
use own_process::{OwnProcess, part};
use validator::{Kind, assert_valid};

const fn limited(limits: Limits) -> ProfiledAllocator {
    ProfiledAllocator::system().sample_every(1).limits(limits)
}

/// By part.
static ALLOCATORS: [ProfiledAllocator; PARTS.len()] = [
    limited(Limits {
        buckets: 0,
        ..Limits::DEFAULT
    }),
    limited(Limits {
        live_records: 0,
        ..Limits::DEFAULT
    }),
    limited(Limits {
        depth: 0,
        ..Limits::DEFAULT
    }),
    limited(Limits {
        profile_samples: 0,
        ..Limits::DEFAULT
    }),
    limited(Limits {
        profile_bytes: 0,
        ..Limits::DEFAULT
    }),
    limited(Limits {
        buckets: 0,
        live_records: 0,
        depth: 0,
        profile_samples: 0,
        profile_bytes: 0,
        label_sets: 0,
        custom_stacks: 0,
    }),
];

/// Which limit is 0, what the comment says of it, and whether in-use is kept.
const PARTS: [(&str, &str, bool); 6] = [
    ("0", "the limit on buckets", true),
    ("1", "the limit on live records", false),
    ("2", "lack their root", true),
    ("3", "the profile's size limit", true),
    ("4", "the profile's size limit", true),
    ("5", "the limit on live records", false),
];

/// The allocator of this process's part. The limits are taken over from the first that is used, before `main`.
struct OfPart;

fn of_part() -> &'static ProfiledAllocator {
    static PART: AtomicUsize = AtomicUsize::new(usize::MAX);
    if PART.load(Ordering::Relaxed) == usize::MAX {
        // SAFETY: the name is a C string, and nobody changes the environment.
        let value = unsafe { libc::getenv(c"DEBUG_PPROF_TEST_PART".as_ptr()) };
        let part = if value.is_null() {
            0
        } else {
            // SAFETY: getenv gave a C string.
            unsafe { libc::atoi(value) }
        };
        PART.store(part as usize, Ordering::Relaxed);
    }
    &ALLOCATORS[PART.load(Ordering::Relaxed)]
}

// SAFETY: forwarded as it is; all of them are the system's.
unsafe impl GlobalAlloc for OfPart {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { of_part().alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { of_part().dealloc(block, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { of_part().alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        unsafe { of_part().realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOC: OfPart = OfPart;

fn growth<T>(work: impl FnOnce() -> T) -> (T, HeapValues) {
    let before = HeapProfile::capture().expect("installed");
    let kept = work();
    let after = HeapProfile::capture().expect("installed");
    (kept, after.since(&before).total())
}

fn check((_, said, keeps_in_use): (&str, &str, bool)) {
    idle_harness::wait();
    let sizes = 10_000..10_500_usize;
    let bytes = sizes.clone().sum::<usize>() as i64;
    let block = |size| black_box(vec![1_u8; size]);
    let (kept, grown) = growth(|| {
        let mut kept = Vec::with_capacity(0);
        kept.extend(sizes.map(block));
        kept
    });
    // The list itself has grown, too.
    let list = (kept.capacity() * size_of::<Vec<u8>>()) as i64;
    assert_eq!(
        (grown.alloc_objects, grown.alloc_space),
        (501, bytes + list)
    );
    let in_use = if keeps_in_use {
        (501, bytes + list)
    } else {
        (0, 0)
    };
    assert_eq!((grown.inuse_objects, grown.inuse_space), in_use);

    let profile = HeapProfile::capture().expect("installed");
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes all");
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a vector takes all");

    let ((), freed) = growth(|| drop(kept));
    let freed = (freed.alloc_objects, freed.inuse_objects, freed.inuse_space);
    assert_eq!(freed, (0, -in_use.0, -in_use.1));

    let written = assert_valid(&body, Kind::Heap);
    let comments = written.comments().join("\n");
    assert!(comments.contains(said), "{said:?} is not in:\n{comments}");
    let total = profile.total();
    for (sample_type, expected) in [
        ("alloc_objects", total.alloc_objects),
        ("alloc_space", total.alloc_space),
        ("inuse_objects", total.inuse_objects),
        ("inuse_space", total.inuse_space),
    ] {
        assert_eq!(written.total(sample_type), expected, "{sample_type}");
    }
}

const NAME: &str = "limits_of_zero_keep_totals";

#[test]
fn limits_of_zero_keep_totals() {
    match part() {
        None => {
            for (part, said, _) in PARTS {
                println!("{said}");
                OwnProcess::of(NAME, part).ends_well();
            }
        }
        Some(part) => check(PARTS[part.parse::<usize>().expect("a number")]),
    }
}
