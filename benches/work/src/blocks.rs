//! Blocks of mixed sizes, written in full.

use std::hint::black_box;

use crate::random::Random;

pub(crate) type Block = Box<[u8]>;

/// A block of 16 B to 1 KiB, 252 B on average: one in two thousand is sampled at the default rate.
pub(crate) fn mixed(random: &mut Random) -> Block {
    let size = black_box(random.size(4, 10));
    black_box(vec![0x5a; size].into_boxed_slice())
}
