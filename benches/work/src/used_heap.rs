//! A heap with a past, as every service's is after its first second: without one, what a side happens to have allocated
//! before it was told to work decides whether a large block grows in place.

use std::hint::black_box;

use crate::blocks::Block;
use crate::random::Random;

/// Blocks, of 16 B to 64 KiB: 17 MB, of which every second is freed.
const BLOCKS: usize = 4_000;

/// Allocates and frees, and keeps what it has not freed.
pub(crate) fn make() {
    let mut random = Random::new(99);
    let blocks: Vec<Block> = (0..BLOCKS)
        .map(|_| vec![1; random.size(4, 16)].into_boxed_slice())
        .collect();
    let kept = blocks.into_iter().step_by(2).collect::<Vec<_>>();
    std::mem::forget(black_box(kept));
}
