//! The walk by tables against the walk of `backtrace`.

use core::hint::black_box;

use super::*;
use crate::limits::Limits;
use crate::stack::unsynchronized;

fn refreshed() -> Delta {
    let delta = Delta::new();
    delta.refresh();
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

/// The stack at `own_frame` by tables, found whole, and by `backtrace`.
fn both(delta: &Delta, own_frame: OwnFrame, depth: usize) -> (Stack, Stack) {
    let (mut tables, mut backtrace) = (Stack::new(), Stack::new());
    let own = OwnStack::unknown();
    assert_eq!(delta.walk(&own, own_frame, depth, &mut tables), Walk::Done);
    unsynchronized::walk(own_frame, depth, &mut backtrace);
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
fn before_the_first_tables_nothing_is_walked_by_them() {
    let delta = Delta::new();
    assert!(!delta.is_good() && delta.is_stale());
    let walk = delta.walk(
        &OwnStack::unknown(),
        OwnFrame::of(&0),
        Limits::MAX_DEPTH,
        &mut Stack::new(),
    );
    assert_eq!(walk, Walk::NoTables);
}

#[test]
fn a_stack_of_any_depth_is_what_backtrace_finds() {
    let delta = refreshed();
    for frames in 0..200 {
        under(frames, &mut |own_frame| {
            let (tables, backtrace) = both(&delta, own_frame, Limits::MAX_DEPTH);
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
            let (tables, backtrace) = both(&delta, own_frame, depth);
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
        static DELTA: Delta = refreshed();
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
