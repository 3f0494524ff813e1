//! Allocations under frames that no unwinder should trust end their stack and say so; the process goes on. Before the
//! first unwind tables are made, and with them.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))]

mod child_process;
mod hostile_frames;
mod validator;

use std::ffi::c_void;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::ptr;
use std::thread;
use std::time::Duration;

use child_process::{case, end, loader_can_be_asked, start, succeeds, times};
use debug_pprof::{HeapProfile, ProfiledAllocator, mem_stats};
use hostile_frames::{
    Callback, FIBRE_STACK, Fibre, First, generated_thunk, hostile_bare, hostile_frame_pointer,
    hostile_return_address,
};
use validator::{Expect, Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

/// Of the blocks that are looked for; nothing else in the process asks for as much.
const SIZE: usize = 7_919;

/// Samples of a case: allocations under its frames.
fn samples() -> usize {
    times(10_000, 100_000)
}

/// Allocates and frees.
unsafe extern "C" fn allocate(_: *mut c_void) {
    drop(black_box(Vec::<u8>::with_capacity(black_box(SIZE))));
}

/// The walk that this crate took once, until there were tables: it dies of a return address in unmapped memory.
unsafe extern "C" fn walk_by_backtrace(_: *mut c_void) {
    // SAFETY: no other thread walks.
    unsafe { backtrace::trace_unsynchronized(|_| true) };
}

const NOTHING: *mut c_void = ptr::null_mut();

fn return_addresses() -> Vec<usize> {
    let heap = Box::leak(Box::new([0x90_u8; 64]));
    let page = unreadable_page();
    vec![
        0x5ead_b000,
        0xdead_beef_dead_beef,
        1 << 63,
        usize::MAX,
        0x0001_0000_0000_0000,
        0xffff_ffff_ff60_0400,
        1,
        4095,
        heap.as_ptr().expose_provenance() + 8,
        page,
        page + 4095,
        (&raw const page).expose_provenance(),
        // Data of the program.
        (&raw const ALLOC).expose_provenance(),
    ]
}

/// In the middle of functions that were not called: a walk goes on with what it takes for their frames, and may come to
/// a root by chance.
fn code_elsewhere() -> Vec<usize> {
    let functions = [
        code_elsewhere as fn() -> Vec<usize> as usize,
        libc::qsort as *const () as usize,
        libc::printf as *const () as usize,
    ];
    let inside = |start: usize| (1..64).map(move |nth| start + 5 * nth);
    functions.into_iter().flat_map(inside).collect()
}

/// A page that cannot be read.
fn unreadable_page() -> usize {
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping where the kernel likes.
    let page = unsafe { libc::mmap(NOTHING, 4096, libc::PROT_NONE, private, -1, 0) };
    page.expose_provenance()
}

unsafe extern "C" fn fibre_body(this: *mut Fibre) {
    loop {
        // SAFETY: allocates.
        unsafe { allocate(NOTHING) };
        // SAFETY: the fibre that runs.
        unsafe { Fibre::give_way(this) };
    }
}

/// Stacks for fibres: in the heap, or in mappings that are gone when the fibre is.
fn with_fibre_stack(in_heap: bool, run: impl FnOnce(*mut u8)) {
    if in_heap {
        let mut stack = vec![0_u8; FIBRE_STACK];
        return run(stack.as_mut_ptr());
    }
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping where the kernel likes.
    let stack = unsafe { libc::mmap(NOTHING, FIBRE_STACK, both, private, -1, 0) };
    assert!(stack != libc::MAP_FAILED);
    run(stack.cast());
    // SAFETY: the fibre on it is gone.
    assert_eq!(unsafe { libc::munmap(stack, FIBRE_STACK) }, 0);
}

/// Fibres whose stacks are freed and used again, which move between two threads.
fn fibres(first: First) {
    const RESUMED: usize = 100;
    for nth in 0..samples() / RESUMED {
        with_fibre_stack(nth % 2 == 0, |stack| {
            let mut fibre = Fibre::new(stack, first, fibre_body);
            for _ in 0..RESUMED / 2 {
                fibre.resume();
            }
            let moved = thread::spawn(move || {
                for _ in 0..RESUMED / 2 {
                    fibre.resume();
                }
                fibre
            });
            drop(moved.join().expect("no panic"));
        });
    }
}

/// Allocates under a frame of its own for each sample: `enter` gets the callback and the sample's number.
fn each(enter: impl Fn(Callback, usize)) {
    (0..samples()).for_each(|nth| enter(allocate, nth));
}

/// Allocates under the frames of `case`; whether their stacks lack frames, if that can be known.
fn under(case: &str) -> Option<bool> {
    let return_to = |addresses: &[usize]| {
        each(|call, nth| {
            let address = addresses[nth % addresses.len()];
            // SAFETY: calls back once and returns to where it came from.
            unsafe { hostile_return_address(call, NOTHING, address) }
        });
    };
    match case {
        // SAFETY: calls back once.
        "bare" => each(|call, _| unsafe { hostile_bare(call, NOTHING) }),
        "generated" => {
            let thunk = generated_thunk();
            // SAFETY: calls back once.
            each(|call, _| unsafe { thunk(call, NOTHING) });
        }
        "return address" => return_to(&return_addresses()),
        "frame pointer" => {
            let page = unreadable_page();
            let addresses = [0, 8, 0x5ead_b000, 1 << 63, usize::MAX - 15, page];
            each(|call, nth| {
                let address = addresses[nth % addresses.len()];
                // SAFETY: calls back once, and gives back the frame pointer that it was called with.
                unsafe { hostile_frame_pointer(call, NOTHING, address) }
            });
        }
        "code elsewhere" => {
            return_to(&code_elsewhere());
            return None;
        }
        // As stacks end.
        "no return address" => {
            return_to(&[0]);
            return Some(false);
        }
        "annotated fibre" => {
            fibres(First::Annotated);
            return Some(false);
        }
        "bare fibre" => fibres(First::Bare),
        "lying fibre" => fibres(First::Lying),
        other => panic!("{other:?}"),
    }
    Some(true)
}

const CASES: [&str; 9] = [
    "bare",
    "generated",
    "return address",
    "frame pointer",
    "code elsewhere",
    "no return address",
    "annotated fibre",
    "bare fibre",
    "lying fibre",
];

/// In a child: what `case` says, and whether the profile says so.
fn child(case: &str) {
    let (when, case) = case.split_once(", ").expect("when, case");
    let unwinder = || mem_stats().profiler.unwinder;
    if when == "with tables" {
        let _ = HeapProfile::capture();
        while unwinder() != "stack-delta tables" {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let is_truncated = under(case);
    let stopped = mem_stats().profiler.stopped_stacks as usize;
    let profile = HeapProfile::capture().expect("installed");
    debug_pprof::set_sample_rate(0);
    let mut body = Vec::new();
    profile.write_pprof(&mut body).expect("a vector takes all");
    let profile = assert_valid(&body, Expect::new(Kind::Heap).period(1));
    let of_size = profile.stacks().into_iter().filter(|stack| {
        let bytes = stack.numeric_labels.get("bytes");
        bytes == Some(&(SIZE as i64))
    });
    let (mut counted, mut marked) = (0, 0);
    for stack in of_size {
        let samples = stack.values[0] as usize;
        assert!(stack.has("::allocate"), "{:?}", stack.names());
        counted += samples;
        marked += samples * usize::from(stack.names().last() == Some(&"[stack truncated]"));
    }
    assert_eq!(counted, samples());
    let says_so = profile
        .comments()
        .iter()
        .any(|comment| comment.contains("stacks ended before their root"));
    match is_truncated {
        Some(true) => {
            assert_eq!(marked, samples());
            assert!(stopped >= samples() && says_so, "{stopped}");
        }
        Some(false) => assert_eq!(marked, 0),
        None => {}
    }
}

#[test]
fn before_the_first_tables() {
    if let Some(case) = case() {
        return child(&case);
    }
    if !loader_can_be_asked() {
        return;
    }
    for case in CASES {
        succeeds("before_the_first_tables", &format!("before tables, {case}"));
    }
}

#[test]
fn with_tables() {
    if let Some(case) = case() {
        return child(&case);
    }
    if !loader_can_be_asked() {
        return;
    }
    for case in CASES {
        succeeds("with_tables", &format!("with tables, {case}"));
    }
}

/// The same frames kill a walk that trusts them: the cases are hostile.
#[test]
fn another_walk_dies_of_them() {
    if case().is_some() {
        // SAFETY: calls back once, which is the end.
        unsafe { hostile_return_address(walk_by_backtrace, NOTHING, 0x5ead_b000) };
        return;
    }
    let status = end(start("another_walk_dies_of_them", "die"));
    assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}");
}
