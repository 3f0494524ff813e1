//! Allocations under as many different call stacks as a test asks for.

use std::hint::black_box;

use crate::measured::Block;

/// Frames that every stack has on top of the test's own, so that it is some 40 deep.
pub(crate) const DEPTH: u32 = 24;

/// Allocates under a stack of its own for each `path` below 2^`DEPTH`.
pub(crate) fn allocate_under(path: usize, size: usize) -> Block {
    below(DEPTH, path, size)
}

#[inline(never)]
fn below(depth: u32, path: usize, size: usize) -> Block {
    // Two calls, so two return addresses in each frame.
    let block = match (depth, path % 2) {
        (0, _) => Block::new(size, 1),
        (_, 0) => below(depth - 1, path / 2, size),
        _ => below(depth - 1, black_box(path / 2), size),
    };
    // No tail call: the frame stays.
    black_box(block)
}
