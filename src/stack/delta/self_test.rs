//! Whether the tables give what `backtrace` gives, asked once before they are used: a walk from a chain of calls of
//! different shapes, through whatever started this thread, to its root.

use core::hint::black_box;

use super::{Delta, OwnStack, Walk};
use crate::limits::Limits;
use crate::stack::{OwnFrame, Stack, unsynchronized};

/// Calls in the chain.
const CALLS: usize = 9;

/// Walks both ways and compares.
pub(super) fn passes(delta: &Delta) -> bool {
    let mut walks = Walks {
        delta,
        by_tables: Stack::new(),
        by_backtrace: Stack::new(),
        walk: Walk::NoTables,
    };
    call(&mut walks, black_box(CALLS), 0);
    let (tables, backtrace) = (walks.by_tables.frames(), walks.by_backtrace.frames());
    let is_whole = !walks.by_tables.is_truncated() && tables.len() > CALLS;
    walks.walk == Walk::Done && is_whole && tables == backtrace
}

struct Walks<'a> {
    delta: &'a Delta,
    by_tables: Stack,
    by_backtrace: Stack,
    walk: Walk,
}

/// A frame of fixed size, which keeps a local or two.
#[inline(never)]
fn call(walks: &mut Walks<'_>, left: usize, sum: usize) -> usize {
    let next = match left {
        0 => take(walks),
        _ if left.is_multiple_of(2) => call(walks, left - 1, sum.wrapping_add(left)),
        _ => call_with_room(walks, left - 1, sum.wrapping_mul(left)),
    };
    // Used after the call, so that it is a call.
    black_box(next.wrapping_add(sum))
}

/// A larger frame.
#[inline(never)]
fn call_with_room(walks: &mut Walks<'_>, left: usize, sum: usize) -> usize {
    let mut room = [sum; 80];
    black_box(&mut room);
    let next = call(walks, left, sum);
    room.iter().fold(next, |sum, word| sum.wrapping_add(*word))
}

#[inline(never)]
fn take(walks: &mut Walks<'_>) -> usize {
    let marker = 0_u8;
    // Leaves out this function, whose two calls below differ.
    let own_frame = OwnFrame::of(&marker);
    let own = OwnStack::unknown();
    walks.walk = walks
        .delta
        .walk_tables(&own, own_frame, Limits::MAX_DEPTH, &mut walks.by_tables);
    unsynchronized::walk(own_frame, Limits::MAX_DEPTH, &mut walks.by_backtrace);
    walks.by_tables.frames().len()
}
