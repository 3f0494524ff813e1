//! What the wrapper adds to an allocation and its free, against the bare allocator in the same run.
//!
//! ```text
//! cargo bench --bench pairs
//! ```
//!
//! Three sides take turns in every round: the bare allocator twice (the A/A control, which shows the noise) and the
//! wrapped one. Of each side the fastest round counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::time::Instant;

use debug_pprof::ProfiledAllocator;

static WRAPPED: ProfiledAllocator = ProfiledAllocator::system();

const ROUNDS: usize = 41;

/// Nanoseconds for one alloc + free pair of `layout`.
#[inline(never)]
fn pair(allocator: &impl GlobalAlloc, layout: Layout, pairs: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..pairs {
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { allocator.alloc(black_box(layout)) });
        // SAFETY: allocated just now with this layout.
        unsafe { allocator.dealloc(block, layout) };
    }
    start.elapsed().as_nanos() as f64 / f64::from(pairs)
}

fn main() {
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>9}",
        "size", "bare ns", "A/A", "ratio", "added ns"
    );
    for (size, pairs) in [
        (16, 1 << 20),
        (64, 1 << 20),
        (256, 1 << 20),
        (4096, 1 << 19),
        (65_536, 1 << 16),
        (1 << 20, 1 << 10),
    ] {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        let mut best = [f64::INFINITY; 3];
        for _ in 0..ROUNDS {
            let round = [
                pair(&System, layout, pairs),
                pair(&WRAPPED, layout, pairs),
                pair(&System, layout, pairs),
            ];
            for (best, this) in best.iter_mut().zip(round) {
                *best = best.min(this);
            }
        }
        let [bare, wrapped, control] = best;
        println!(
            "{size:>9} {bare:>9.2} {:>9.3} {:>9.3} {:>9.2}",
            control / bare,
            wrapped / bare,
            wrapped - bare
        );
    }
}
