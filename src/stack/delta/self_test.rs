//! Whether the tables give what `backtrace` gives, asked once before they are used: a walk from a chain of calls of
//! different shapes, through whatever started this thread, to its root.

use core::hint::black_box;

use super::{Delta, OwnStack, Walk, image};
use crate::limits::Limits;
use crate::stack::module::places;
use crate::stack::{OwnFrame, Stack, Start, unsynchronized};

/// Calls in the chain.
const CALLS: usize = 9;

/// Walks all ways and compares.
pub(super) fn passes(delta: &Delta) -> bool {
    let mut walks = Walks {
        delta,
        by_tables: Stack::new(),
        in_place: Stack::new(),
        by_backtrace: Stack::new(),
        walks: [Walk::NoTables; 2],
    };
    call(&mut walks, black_box(CALLS), 0);
    let backtrace = walks.by_backtrace.frames();
    let is_right = |walk: Walk, stack: &Stack| {
        let frames = places(stack.frames()).map(|(frame, _)| frame);
        walk == Walk::Done && !stack.is_truncated() && frames.eq(backtrace.iter().copied())
    };
    let [by_tables, in_place] = walks.walks;
    backtrace.len() > CALLS
        && is_right(by_tables, &walks.by_tables)
        && (!image::can_be_found() || is_right(in_place, &walks.in_place))
}

struct Walks<'a> {
    delta: &'a Delta,
    by_tables: Stack,
    in_place: Stack,
    by_backtrace: Stack,
    walks: [Walk; 2],
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
    // Leaves out this function, whose calls below differ.
    let own_frame = OwnFrame::of(&marker);
    let own = OwnStack::unknown();
    let (delta, depth) = (walks.delta, Limits::MAX_DEPTH);
    let version = delta.modules.version();
    walks.walks = [
        delta.walk_by(
            version,
            &own,
            Start::Here(own_frame),
            depth,
            &mut walks.by_tables,
        ),
        delta.walk_by(
            None,
            &own,
            Start::Here(own_frame),
            depth,
            &mut walks.in_place,
        ),
    ];
    unsynchronized::walk(own_frame, depth, &mut walks.by_backtrace);
    walks.by_tables.frames().len()
}
