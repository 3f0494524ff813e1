//! A process with many different stacks.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use crate::bulk::{self, Bulk, SITES, Size};

/// Of each stack, in the generated library.
pub(crate) const FRAMES: usize = 30;

/// Over how many addresses the stacks spread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Spread {
    /// 5 000 in a library with much debug information, more than most services have.
    Usual,
    /// 80 000, in libraries with little.
    Wide,
}

impl Spread {
    fn libraries(self) -> usize {
        match self {
            Spread::Usual => 1,
            Spread::Wide => 5,
        }
    }
}

pub(crate) struct Work {
    pub(crate) stacks: usize,
    pub(crate) addresses: usize,
}

fn is_smoke() -> bool {
    std::env::var_os("SMOKE").is_some()
}

fn size(spread: Spread) -> Size {
    let types = match spread {
        Spread::Usual if !is_smoke() => 100,
        _ => 1,
    };
    Size {
        functions: if is_smoke() { 100 } else { 4_000 },
        types,
    }
}

pub(crate) fn build() {
    for spread in [Spread::Wide, Spread::Usual] {
        copies(&bulk::build(size(spread)), spread.libraries());
    }
}

/// The same library under other names, so that it can be loaded as often.
fn copies(library: &Path, count: usize) -> Vec<PathBuf> {
    let copy = |nth: usize| {
        let copy = library.with_extension(format!("{nth}.so"));
        if !copy.exists() {
            fs::copy(library, &copy).expect("copied");
        }
        copy
    };
    (0..count).map(copy).collect()
}

extern "C" fn leaf() {
    std::mem::forget(black_box(Box::new(7_u8)));
}

impl Work {
    /// Leaves one live block under each stack.
    pub(crate) fn prepare(spread: Spread) -> Self {
        let size = size(spread);
        let library = bulk::library(size);
        let loaded = spread.libraries();
        let libraries: Vec<Bulk> = copies(&library, loaded)
            .iter()
            .map(|copy| Bulk::load(copy))
            .collect();
        let sites = size.functions * SITES;
        let used = match spread {
            Spread::Usual => 5_000.min(sites),
            Spread::Wide => sites,
        };
        let stacks = if is_smoke() { 500 } else { 10_000 };
        let mut random = 1_u64;
        let mut path = [0_u32; FRAMES];
        for bulk in libraries.iter().cycle().take(stacks) {
            for step in &mut path {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                // Spread evenly over the functions.
                *step = ((random >> 33) as usize % used * (sites / used)) as u32;
            }
            // Sampled are these blocks alone.
            debug_pprof::set_sample_rate(1);
            bulk.run(&path, leaf);
            debug_pprof::set_sample_rate(0);
        }
        Self {
            stacks,
            addresses: used * loaded,
        }
    }
}
