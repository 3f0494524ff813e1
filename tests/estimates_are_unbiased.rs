//! At any rate, for any size up to a gibibyte, however blocks grow and whoever frees them: objects and bytes are
//! estimated without bias, but for the cut to a whole number in each bucket. Seeds, sigmas and the chance of a false
//! alarm: `statistics/mod.rs`.

mod address_space;
mod measured;
mod statistics;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use address_space::{AddressSpace, MOVES, PAGE};
use debug_pprof::{HeapProfile, HeapRecord, ProfiledAllocator, set_sample_rate};
use measured::{Block, allocated, growth, in_use};
use statistics::{Random, Truth};

#[global_allocator]
static ALLOC: ProfiledAllocator<AddressSpace> = ProfiledAllocator::new(AddressSpace);

/// One process, one profile: the checks take turns, whether those before have passed or not.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blocks from here on are address space only.
const LARGE: usize = 1 << 16;

fn block(size: usize) -> Block {
    Block::new(size, if size < LARGE { 1 } else { PAGE })
}

#[test]
fn for_sizes_from_a_byte_to_a_gibibyte_at_several_rates() {
    let _turn = turn();
    let sizes = [
        1,
        16,
        61,
        1_021,
        32_749,
        524_287,
        4_194_301,
        67_108_859,
        1 << 30,
    ];
    for rate in [512, 16_384, 524_288] {
        set_sample_rate(rate);
        for size in sizes {
            // 1 500 samples, or as many as a few seconds allow: the small sizes at the high rates get by with fewer.
            let chance = -(-(size as f64) / rate as f64).exp_m1();
            let objects = ((1_500.0 / chance) as u64).min(6_000_000);
            let grown = growth(|| (0..objects).for_each(|_| drop(block(size))));
            let truth = Truth {
                what: "alloc and free",
                objects,
                size,
                rate,
            };
            truth.assert_unbiased(allocated(&grown, size));
        }
    }
}

#[test]
fn for_many_sizes_on_one_stack() {
    let _turn = turn();
    let (sizes, rate) = ([17, 251, 4_093, 65_537, 131_071, 1_048_573], 131_072);
    set_sample_rate(rate);
    let mut random = Random::of_this_run();
    let mut objects = [0; 6];
    let grown = growth(|| {
        for _ in 0..1_500_000 {
            // Half as often from one size to the next.
            let nth = (random.next().trailing_zeros() as usize).min(5);
            objects[nth] += 1;
            drop(block(sizes[nth]));
        }
    });
    let of_sizes: Vec<_> = grown
        .records()
        .iter()
        .filter(|record| record.size().is_some_and(|size| sizes.contains(&size)))
        .collect();
    let on_stack_of = |one: &HeapRecord| {
        of_sizes
            .iter()
            .filter(|other| other.stack().eq(one.stack()))
            .count()
    };
    assert!(
        of_sizes
            .iter()
            .any(|record| on_stack_of(record) == sizes.len()),
        "they share a stack"
    );
    for (size, objects) in sizes.into_iter().zip(objects) {
        let truth = Truth {
            what: "six sizes on one stack",
            objects,
            size,
            rate,
        };
        truth.assert_unbiased(allocated(&grown, size));
    }
}

#[test]
fn for_what_is_in_use_after_frees_on_other_threads() {
    let _turn = turn();
    let rate = 65_536;
    set_sample_rate(rate);
    for (size, objects) in [(1_531, 60_000), (40_009, 4_000), (1 << 30, 500)] {
        let mut kept = Vec::with_capacity(objects);
        let grown = growth(|| {
            kept.extend((0..objects).map(|_| block(size)));
            let freed = kept.split_off(objects / 4);
            std::thread::scope(|scope| {
                scope.spawn(move || drop(freed));
            });
        });
        for (what, objects, estimate) in [
            ("allocated", objects, allocated(&grown, size)),
            ("in use", objects / 4, in_use(&grown, size)),
        ] {
            let objects = objects as u64;
            let truth = Truth {
                what,
                objects,
                size,
                rate,
            };
            truth.assert_unbiased(estimate);
        }
        drop(kept);
        let left = in_use(&HeapProfile::capture().expect("installed"), size);
        assert_eq!((left.objects, left.bytes), (0, 0), "all are freed");
    }
}

#[test]
fn for_blocks_that_realloc_grows_and_shrinks() {
    let _turn = turn();
    let rate = 65_536;
    set_sample_rate(rate);
    let mut first = 10_007;
    for (what, align, moves) in [
        ("realloc by the system", 8, false),
        ("realloc in place", PAGE, false),
        ("realloc that moves", PAGE, true),
    ] {
        MOVES.store(moves, Ordering::Relaxed);
        // Sizes of its own for each round, so that each has buckets of its own.
        let chain = [first, first + 30_000, first + 10_000, first + 290_000];
        first += 2;
        let objects = 12_000;
        let mut kept = Vec::with_capacity(objects);
        let grown = growth(|| {
            for _ in 0..objects {
                let mut block = Block::new(chain[0], align);
                chain[1..].iter().for_each(|size| block.resize(*size));
                // The last size would be gigabytes of the system's.
                block.resize(chain[2]);
                kept.push(block);
            }
        });
        for (nth, size) in chain.into_iter().enumerate() {
            let objects = if nth == 2 { 2 * objects } else { objects } as u64;
            let truth = Truth {
                what,
                objects,
                size,
                rate,
            };
            truth.assert_unbiased(allocated(&grown, size));
        }
        let truth = Truth {
            what: "in use after it",
            objects: objects as u64,
            size: chain[2],
            rate,
        };
        truth.assert_unbiased(in_use(&grown, chain[2]));
        assert!([0, 1, 3].map(|nth| in_use(&grown, chain[nth]).bytes) == [0; 3]);
    }
}

#[test]
fn whatever_the_profiler_allocates_for_itself_in_between() {
    let _turn = turn();
    let (objects, size, rate) = (100_000, 1_019, 16_384);
    set_sample_rate(rate);
    let mut captured = 0;
    let grown = growth(|| {
        for nth in 0..objects {
            drop(block(size));
            if nth % 10 == 0 {
                // Tens of kilobytes each, freed where sampling is on.
                let profile = HeapProfile::capture().expect("installed");
                captured += size_of_val(profile.records());
            }
        }
    });
    let truth = Truth {
        what: "between captures",
        objects,
        size,
        rate,
    };
    truth.assert_unbiased(allocated(&grown, size));
    let all = grown.total().alloc_space;
    let own = all - allocated(&grown, size).bytes;
    println!(
        "the profiler allocated {captured} B for itself, {own} B of the growth are not the test's"
    );
    // The harness may keep a block or two of its own, one of which may be sampled.
    assert!(own < 16 * rate as i64 && captured > 1_000 * rate);
}
