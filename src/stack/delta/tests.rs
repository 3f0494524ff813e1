//! The walk by tables against the walk of `backtrace`.

use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::ptr;
use std::sync::Mutex;

use super::objects::{Object, Objects, Reader};
use super::rule::Step;
use super::*;
use crate::limits::Limits;
use crate::stack::{OwnFrame, unsynchronized};

/// Kept for good, as a program's, and where a leak checker finds its tables.
fn refreshed() -> &'static Delta {
    static ALL: Mutex<Vec<&Delta>> = Mutex::new(Vec::new());
    let delta = Box::leak(Box::new(Delta::new()));
    delta.refresh();
    ALL.lock().unwrap().push(delta);
    delta
}

/// Runs `then` under `left` further frames, of which the last is left out.
#[inline(never)]
fn under(left: usize, then: &mut dyn FnMut(OwnFrame)) {
    let marker = 0_u8;
    if left == 0 {
        then(OwnFrame::of(&marker));
    } else {
        under(left - 1, then);
    }
    black_box(left);
}

/// The stack at `own_frame` by tables, found whole, and by `backtrace`. In place it is the same as by tables.
fn both(delta: &Delta, own_frame: OwnFrame, depth: usize) -> (Stack, Stack) {
    let (mut tables, mut backtrace) = (Stack::new(), Stack::new());
    let own = OwnStack::unknown();
    let version = delta.modules.version();
    let walk = delta.walk_by(version, &own, Start::Here(own_frame), depth, &mut tables);
    assert_eq!(walk, Walk::Done);
    unsynchronized::walk(own_frame, depth, &mut backtrace);
    if image::can_be_found() {
        let mut in_place = Stack::new();
        let walk = delta.walk_by(None, &own, Start::Here(own_frame), depth, &mut in_place);
        assert_eq!(walk, Walk::Done);
        assert_eq!(in_place.frames(), tables.frames());
        assert_eq!(in_place.is_truncated(), tables.is_truncated());
    }
    (tables, backtrace)
}

#[test]
fn the_self_test_passes_on_this_build() {
    let delta = refreshed();
    assert!(delta.is_good());
    assert!(!delta.is_stale());
    assert_eq!(delta.stopped(), 0);
}

#[test]
fn before_the_first_tables_stacks_are_walked_in_place() {
    let delta = Delta::new();
    assert!(!delta.is_good() && delta.is_stale());
    let mut stack = Stack::new();
    let walk = delta.walk(
        &OwnStack::unknown(),
        Start::Here(OwnFrame::of(&0)),
        Limits::MAX_DEPTH,
        &mut stack,
    );
    if image::can_be_found() {
        assert!(walk == Walk::Done && delta.walks_in_place());
        assert!(!stack.is_truncated() && stack.frames().len() > 3);
    } else {
        assert_eq!(walk, Walk::NoTables);
    }
}

#[test]
fn a_stack_of_any_depth_is_what_backtrace_finds() {
    let delta = refreshed();
    for frames in 0..200 {
        under(frames, &mut |own_frame| {
            let (tables, backtrace) = both(delta, own_frame, Limits::MAX_DEPTH);
            assert_eq!(tables.frames(), backtrace.frames());
            assert_eq!(tables.is_truncated(), backtrace.is_truncated());
        });
    }
}

#[test]
fn the_leaf_side_is_kept_at_any_limit() {
    let delta = refreshed();
    under(40, &mut |own_frame| {
        for depth in 1..60 {
            let (tables, backtrace) = both(delta, own_frame, depth);
            assert_eq!(tables.frames(), backtrace.frames());
            assert_eq!(tables.is_truncated(), backtrace.is_truncated());
        }
    });
}

#[test]
fn frames_of_a_c_library_that_calls_back_are_found() {
    unsafe extern "C" fn compare(_: *const c_void, _: *const c_void) -> c_int {
        let marker = 0_u8;
        let own_frame = OwnFrame::of(&marker);
        DELTA.with(|tables| {
            let (tables, backtrace) = both(tables, own_frame, Limits::MAX_DEPTH);
            assert!(tables.frames().len() > 5);
            assert_eq!(tables.frames(), backtrace.frames());
        });
        0
    }
    std::thread_local! {
        static DELTA: &'static Delta = refreshed();
    }
    let mut values = [3_u64, 1, 2];
    // SAFETY: three values of eight bytes; `compare` has the signature that is called for.
    unsafe { libc::qsort(values.as_mut_ptr().cast(), 3, 8, Some(compare)) };
}

#[test]
fn tables_take_little_memory() {
    let (objects, reader) = (Objects::read(), Reader::new());
    for object in objects.list.as_slice() {
        let unwind = reader.unwind(object);
        let unwind = unwind.as_slice();
        let built = build::build(object, unwind).unwrap();
        let bytes = size_of_val(built.rows.as_slice())
            + size_of_val(built.blocks.as_slice())
            + size_of_val(built.wide.as_slice());
        // A row for each row of unwind data at most, which has at least two bytes there; a block for each 4 KiB.
        assert!(bytes <= 2 * unwind.len() + (object.text_end - object.text) / 1024 + 4096);
    }
}

#[test]
fn a_second_refresh_keeps_the_tables_there_are() {
    let delta = refreshed();
    let bytes = delta.bytes();
    assert!(bytes > 0);
    delta.refresh();
    assert_eq!(delta.bytes(), bytes);
    assert!(delta.is_good());
}

/// Compares the two walks from inside a callback.
unsafe extern "C" fn compare_here(delta: *mut c_void) {
    let marker = 0_u8;
    // SAFETY: the tests below pass their tables.
    let delta = unsafe { &*delta.cast::<Delta>() };
    let (tables, backtrace) = both(delta, OwnFrame::of(&marker), Limits::MAX_DEPTH);
    assert!(tables.frames().len() > 5);
    assert_eq!(tables.frames(), backtrace.frames());
    assert!(!tables.is_truncated());
}

core::arch::global_asm!(
    ".text",
    // As libraries that enter fibres mark theirs: an ordinary frame that calls itself a signal's.
    "marked_as_a_signals:",
    ".cfi_startproc",
    ".cfi_signal_frame",
    "push rbp",
    "mov rbp, rsp",
    ".cfi_def_cfa rbp, 16",
    ".cfi_offset rbp, -16",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "mov rsp, rbp",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    // Calls on the stack whose end is its third argument.
    "on_another_stack:",
    ".cfi_startproc",
    "push rbp",
    "mov rbp, rsp",
    ".cfi_def_cfa rbp, 16",
    ".cfi_offset rbp, -16",
    "mov rsp, rdx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "mov rsp, rbp",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    // A function that ends right before one whose first instruction is interrupted.
    "ends_before:",
    ".cfi_startproc",
    "call rdi",
    ".cfi_endproc",
    "interrupted_at_once:",
    ".cfi_startproc",
    "ud2",
    "ret",
    ".cfi_endproc",
    // Its frame pointer is garbage, and its unwind data believes it.
    "with_a_garbage_frame_pointer:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa rsp, 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rdx",
    ".cfi_def_cfa rbp, 16",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
);

type Callback = unsafe extern "C" fn(*mut c_void);
unsafe extern "C" {
    fn marked_as_a_signals(call: Callback, with: *mut c_void);
    fn on_another_stack(call: Callback, with: *mut c_void, end: *mut u8);
    fn interrupted_at_once();
    fn with_a_garbage_frame_pointer(call: Callback, with: *mut c_void, frame_pointer: usize);
}

#[test]
fn an_ordinary_frame_that_is_marked_as_a_signals_is_followed() {
    let delta = refreshed();
    // SAFETY: calls back once with the tables.
    unsafe { marked_as_a_signals(compare_here, ptr::from_ref(delta).cast_mut().cast()) };
}

#[test]
fn what_was_interrupted_at_its_first_instruction_is_found_there() {
    extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
        let marker = 0_u8;
        let (tables, backtrace) = both(&INTERRUPTED, OwnFrame::of(&marker), Limits::MAX_DEPTH);
        assert_eq!(tables.frames(), backtrace.frames());
        let first = interrupted_at_once as unsafe extern "C" fn() as usize;
        let calls: Vec<_> = tables.frames().iter().map(|frame| frame.call()).collect();
        assert!(calls.contains(&first), "{first:x}: {calls:x?}");
        // SAFETY: the kernel's, for this handler.
        let registers = unsafe { &mut (*context).uc_mcontext.gregs };
        // Past the instruction, of two bytes.
        registers[libc::REG_RIP as usize] += 2;
    }
    static INTERRUPTED: Delta = Delta::new();
    INTERRUPTED.refresh();
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    let handler = on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::ucontext_t);
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a valid handler, for a signal that nothing else here causes.
    let set = unsafe { libc::sigaction(libc::SIGILL, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0);
    // SAFETY: the handler goes on behind the instruction that causes the signal.
    unsafe { interrupted_at_once() };
}

#[test]
fn a_stack_that_was_switched_under_a_frame_pointer_is_followed() {
    let delta = refreshed();
    // Below the thread's stack and above it, as fibres may lie.
    for _ in 0..2 {
        let len = 256 * 1024;
        let stack = crate::pages::map(len).unwrap();
        // SAFETY: the end of the mapping.
        let end = unsafe { stack.add(len) };
        // SAFETY: calls back once with the tables, on a stack that nobody else uses.
        unsafe {
            on_another_stack(
                compare_here,
                ptr::from_ref(delta).cast_mut().cast(),
                end.as_ptr(),
            )
        };
    }
}

#[test]
fn a_garbage_frame_pointer_ends_the_stack_and_not_the_process() {
    unsafe extern "C" fn walk(delta: *mut c_void) {
        let marker = 0_u8;
        // SAFETY: the test passes its tables.
        let delta = unsafe { &*delta.cast::<Delta>() };
        let own_frame = OwnFrame::of(&marker);
        let in_place = image::can_be_found().then_some(None);
        for version in [delta.modules.version()].into_iter().chain(in_place) {
            let mut stack = Stack::new();
            let own = OwnStack::unknown();
            let walk = delta.walk_by(
                version,
                &own,
                Start::Here(own_frame),
                Limits::MAX_DEPTH,
                &mut stack,
            );
            assert_eq!(walk, Walk::Done);
            assert!(stack.is_truncated() && !stack.frames().is_empty());
        }
    }
    let delta = refreshed();
    // Memory that can be read, full of what is no code.
    let words = crate::pages::PageVec::collect([0x5ead_b000_usize; 512].into_iter());
    let readable = words.as_slice().as_ptr().addr() + 64;
    let garbage = [
        0,
        8,
        1,
        0x5ead_b000,
        usize::MAX - 15,
        1 << 63,
        0xffff_8000_0000_0000,
    ];
    for frame_pointer in garbage.into_iter().chain([readable]) {
        // SAFETY: calls back once with the tables, and gives back the frame pointer it was called with.
        unsafe {
            with_a_garbage_frame_pointer(
                walk,
                ptr::from_ref(delta).cast_mut().cast(),
                frame_pointer,
            )
        };
    }
    assert!(delta.stopped() > 0);
}

/// Every function of this program and its libraries, at each of its addresses where a row may begin: what is read in place
/// is what the table says.
#[test]
fn in_place_every_address_has_the_rule_of_its_table() {
    let delta = refreshed();
    let objects = Objects::read();
    let mut compared = 0;
    for object in objects.list.as_slice() {
        let Some(image) = image::Image::at(object.bias + object.text) else {
            continue;
        };
        let mut bytes = image::Bytes::of(image, None);
        // Thousands in each, evenly.
        let step = ((object.text_end - object.text) / 9_999).max(1);
        for pc in (object.bias + object.text..object.bias + object.text_end).step_by(step) {
            let Some(found) = delta.modules.find(pc) else {
                continue;
            };
            let rule = found.table.table().rule(found.offset);
            let table = found.table.table().step(rule);
            let in_place = match in_place::look_up(&mut bytes, pc) {
                Some(in_place::Known::Row(row)) => row.step(&mut bytes),
                _ => Step::Unknown,
            };
            // A packed rule of its own for one kind of frame; padding between functions belongs to the one before; main.
            let table = match table {
                Step::FramePointer => walk::KEEPS_FRAME_POINTER_STEP,
                step => step,
            };
            compared += 1;
            let is_padding = in_place == Step::Unknown;
            assert!(
                in_place == table || is_padding,
                "{object:x?} {pc:#x}: {in_place:?}, {table:?}"
            );
        }
    }
    assert!(compared > 20_000 || !image::can_be_found(), "{compared}");
}

/// An `.eh_frame` of one function, at 0x1000, whose frame pointer is saved `offset` words of 8 bytes below the CFA.
fn saved_at(offset: u64) -> Vec<u8> {
    let common = [
        0_u8, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0,
    ];
    let mut data = (common.len() as u32).to_ne_bytes().to_vec();
    data.extend(common);
    let at = data.len() as i64;
    let mut function = (at as u32 + 4).to_ne_bytes().to_vec();
    function.extend(((0x1000 - (0x9000 + at + 8)) as i32).to_ne_bytes());
    function.extend(0x100_u32.to_ne_bytes());
    // No augmentation data; DW_CFA_offset_extended, rbp.
    function.extend([0, 0x05, 6]);
    let mut rest = offset;
    while rest >= 0x80 {
        function.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    function.push(rest as u8);
    function.resize(function.len().next_multiple_of(4), 0);
    data.extend((function.len() as u32).to_ne_bytes());
    data.extend(function);
    data.extend([0; 4]);
    data
}

#[test]
fn offsets_at_the_edge_of_the_form_are_refused_without_a_panic() {
    let objects = Objects::read();
    let object = Object {
        text: 0x1000,
        text_end: 0x2000,
        eh_frame: 0x9000,
        main: None,
        ..objects.list.as_slice()[0]
    };
    let rule = |offset| {
        let built = build::build(&object, &saved_at(offset)).unwrap();
        let table = table::Table {
            blocks: built.blocks.as_slice(),
            rows: built.rows.as_slice(),
            wide: built.wide.as_slice(),
        };
        table.step(table.rule(0x80))
    };
    assert!(matches!(rule(2), Step::Frame(frame) if frame.saved_fp == 16));
    assert!(matches!(rule(1 << 27), Step::Frame(frame) if frame.saved_fp == 1 << 30));
    for offset in [1 << 28, 1 << 29, 1 << 60, u64::MAX >> 1, u64::MAX] {
        assert!(
            !matches!(rule(offset), Step::Frame(frame) if frame.saved_fp > 0),
            "{offset:#x}"
        );
    }
}
