//! A process with many different stacks.

use std::hint::black_box;

use crate::bulk::{self, Bulk, SITES, Size};

/// Of each stack, in the generated library.
pub(crate) const FRAMES: usize = 30;

/// Over how many addresses the stacks spread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spread {
    /// 5 000, more than most services have.
    Usual,
    /// All that there are.
    Wide,
}

pub(crate) struct Work {
    pub(crate) stacks: usize,
    pub(crate) addresses: usize,
}

fn size() -> Size {
    if std::env::var_os("SMOKE").is_some() {
        Size {
            functions: 200,
            types: 1,
        }
    } else {
        Size {
            functions: 9_000,
            types: 100,
        }
    }
}

pub(crate) fn build() {
    bulk::build(size());
}

extern "C" fn leaf() {
    std::mem::forget(black_box(Box::new(7_u8)));
}

impl Work {
    /// Leaves one live block under each stack.
    pub(crate) fn prepare(spread: Spread) -> Self {
        let size = size();
        let bulk = Bulk::load(&bulk::build(size));
        let all = size.functions * SITES;
        let addresses = match spread {
            Spread::Usual => 5_000.min(all),
            Spread::Wide => all,
        };
        let stacks = if all < 10_000 { 500 } else { 10_000 };
        let mut random = 1_u64;
        let mut path = [0_u32; FRAMES];
        for _ in 0..stacks {
            for step in &mut path {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                // Spread evenly over the functions.
                *step = ((random >> 33) as usize % addresses * (all / addresses)) as u32;
            }
            // Sampled are these blocks alone.
            debug_pprof::set_sample_rate(1);
            bulk.run(&path, leaf);
            debug_pprof::set_sample_rate(0);
        }
        Self { stacks, addresses }
    }
}
