//! A large block of zeros: `alloc_zeroed`, where a wrapper that forgets to forward it would write every page.

use std::hint::black_box;

use crate::{KIB, MIB, Started};

const BYTES: usize = 16 * MIB;
const PAGE: usize = 4 * KIB;

/// Operation: 16 MiB of zeros, a byte written in each page, freed.
pub(crate) fn written() -> Started {
    zeroed(|block| block.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1))
}

/// Operation: 16 MiB of zeros, freed.
pub(crate) fn untouched() -> Started {
    zeroed(|_| ())
}

fn zeroed(touch: impl Fn(&mut [u8]) + 'static) -> Started {
    Box::new(move |count| {
        for _ in 0..count {
            let mut block = vec![0_u8; black_box(BYTES)];
            touch(black_box(&mut block));
            black_box(block);
        }
    })
}
