//! At any rate, for any size, whoever allocates: the estimate is the truth within its own standard error.
//!
//! Seeds are the process's own, different in each run. Each check allows 6 standard errors of an unbiased estimator,
//! computed from the truth; with the 22 checks here that fails by chance in one run of 20 million.
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    reason = "one argument covers the life of a block"
)]

use std::alloc::{Layout, alloc, dealloc, realloc};

use debug_pprof::{HeapProfile, HeapValues, ProfiledAllocator, set_sample_rate};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

/// One process, one profile: the checks take turns.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn growth(size: usize, work: impl FnOnce()) -> HeapValues {
    let before = HeapProfile::capture().expect("installed");
    work();
    let after = HeapProfile::capture().expect("installed").since(&before);
    let of_size = after
        .records()
        .iter()
        .filter(|record| record.size() == Some(size));
    of_size.fold(HeapValues::default(), |sum, record| sum + record.estimate())
}

/// `estimate` of `truth` objects, each sampled with probability 1 − e^(−size/rate).
fn assert_unbiased(what: &str, estimate: i64, truth: u64, size: usize, rate: usize) {
    let sampled = -(-(size as f64) / rate as f64).exp_m1();
    let error = (truth as f64 * (1.0 - sampled) / sampled).sqrt();
    let sigmas = (estimate as f64 - truth as f64) / error.max(1.0);
    println!("{what}: {truth} × {size} B at rate {rate}: estimate {estimate}, {sigmas:+.2} σ");
    assert!(
        sigmas.abs() < 6.0,
        "{what}: {estimate} for {truth} objects of {size} B at rate {rate}"
    );
}

fn churn(size: usize, times: u64) {
    let layout = Layout::from_size_align(size, 1).expect("a layout");
    for _ in 0..times {
        // SAFETY: the size is not 0; the block is freed at once with its layout.
        unsafe { dealloc(std::hint::black_box(alloc(layout)), layout) };
    }
}

#[test]
fn for_sizes_from_a_byte_to_four_megabytes_at_several_rates() {
    let _turn = TURN.lock().expect("no check panicked");
    for rate in [512, 16_384, 524_288] {
        set_sample_rate(rate);
        for size in [1, 61, 1_021, 65_521, 4_194_301] {
            let times = (rate as u64 * 4_000 / size as u64).clamp(2_000, 4_000_000);
            let grown = growth(size, || churn(size, times));
            assert_unbiased("churn", grown.alloc_objects, times, size, rate);
            // The test harness's own threads may keep a block of a few bytes.
            if size > 1_000 {
                assert_eq!((grown.inuse_objects, grown.inuse_space), (0, 0));
            }
        }
    }
}

#[test]
fn for_threads_that_allocate_a_sixteenth_of_the_rate_and_end() {
    let _turn = TURN.lock().expect("no check panicked");
    set_sample_rate(524_288);
    let (threads, size) = (20_000, 32_749);
    let grown = growth(size, || {
        for _ in 0..threads / 100 {
            std::thread::scope(|scope| {
                for _ in 0..100 {
                    scope.spawn(|| churn(size, 1));
                }
            });
        }
    });
    assert_unbiased("threads", grown.alloc_objects, threads, size, 524_288);
}

#[test]
fn for_blocks_that_grow_by_realloc() {
    let _turn = TURN.lock().expect("no check panicked");
    set_sample_rate(65_536);
    let (times, size) = (20_000, 40_009);
    let grown = growth(size, || {
        let small = Layout::from_size_align(16, 8).expect("a layout");
        let large = Layout::from_size_align(size, 8).expect("a layout");
        for _ in 0..times {
            // SAFETY: sizes above 0; the block has `small`'s layout, then `large`'s, and is freed once.
            unsafe { dealloc(realloc(alloc(small), small, size), large) };
        }
    });
    assert_unbiased("realloc", grown.alloc_objects, times, size, 65_536);
    assert_eq!(grown.inuse_objects, 0);
}

#[test]
fn for_small_and_large_blocks_in_turn() {
    let _turn = TURN.lock().expect("no check panicked");
    set_sample_rate(131_072);
    let (times, small, large) = (200_000, 251, 300_007);
    let before = HeapProfile::capture().expect("installed");
    for nth in 0..times {
        churn(small, 1);
        if nth % 100 == 0 {
            churn(large, 1);
        }
    }
    let after = HeapProfile::capture().expect("installed").since(&before);
    for (size, truth) in [(small, times), (large, times / 100)] {
        let of_size = after
            .records()
            .iter()
            .filter(|record| record.size() == Some(size));
        let estimate = of_size.map(|record| record.estimate().alloc_objects).sum();
        assert_unbiased("in turn", estimate, truth, size, 131_072);
    }
}

#[test]
fn while_the_rate_changes_all_the_time() {
    let _turn = TURN.lock().expect("no check panicked");
    let (times, size) = (300_000, 4_093);
    let rates = [1_048_576, 4_096, 524_288, 65_536];
    let grown = growth(size, || {
        for nth in 0..times {
            if nth % 50 == 0 {
                set_sample_rate(rates[(nth / 50 % 4) as usize]);
            }
            churn(size, 1);
        }
    });
    // A mixture of rates: the error is at most that of the coarsest.
    assert_unbiased("rate changes", grown.alloc_objects, times, size, 1_048_576);
}
