//! Calls under as many different stacks as a test asks for.

use std::hint::black_box;

/// Frames that each stack has on top of the test's own.
const DEPTH: u32 = 24;

/// Calls `work` under a stack of its own for each `path` below 2^`DEPTH`.
pub(crate) fn call_under<R>(path: usize, work: impl Fn() -> R) -> R {
    below(DEPTH, path, &work)
}

#[inline(never)]
fn below<R>(depth: u32, path: usize, work: &dyn Fn() -> R) -> R {
    // Two calls, so two return addresses in each frame.
    let result = match (depth, path % 2) {
        (0, _) => work(),
        (_, 0) => below(depth - 1, path / 2, work),
        _ => below(depth - 1, black_box(path / 2), work),
    };
    // No tail call: the frame stays.
    black_box(result)
}
