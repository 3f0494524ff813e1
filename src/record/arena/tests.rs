//! The arena's blocks, alone and with four threads.

use super::*;
use crate::record::thread::Thread;

#[test]
fn blocks_are_zeroed_aligned_and_disjoint_across_chunks_and_threads() {
    let arena = Arena::new();
    let mut blocks: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let fill = || {
            let blocks = |busy: &Busy<'_>| {
                let sizes = [1, 7, 64, 1200, 40_000];
                (0..600)
                    .map(|i| {
                        let size = sizes[i % sizes.len()];
                        let block = arena.alloc(busy, size).unwrap();
                        // SAFETY: the block is `size` bytes of this arena's.
                        let bytes = unsafe {
                            core::slice::from_raw_parts(block.as_ptr().cast::<u8>(), size)
                        };
                        assert!(bytes.iter().all(|byte| *byte == 0));
                        assert_eq!(block.as_ptr() as usize % ALIGN, 0);
                        // SAFETY: as above, and no other thread has this block.
                        unsafe { block.as_ptr().write_bytes(0xff, size) };
                        (block.as_ptr() as usize, size)
                    })
                    .collect::<Vec<_>>()
            };
            Thread::with(|thread| Busy::during(thread, blocks))
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(fill)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    blocks.sort_unstable();
    assert!(
        blocks
            .windows(2)
            .all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
    );
    assert_eq!(arena.mapped() % CHUNK, 0);
}

#[test]
fn a_block_over_the_limit_is_refused() {
    let arena = Arena::new();
    Thread::with(|thread| {
        let refused = |busy: &Busy<'_>| arena.alloc(busy, CHUNK).is_none();
        assert!(Busy::during(thread, refused));
        assert_eq!(arena.mapped(), 0);
    });
}
