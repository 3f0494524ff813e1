//! The checks of the statistical tests fail when there is a reason: each is handed samplers with the faults that real
//! profilers had. All seeds are in the source.

mod sampler_model;
mod statistics;

use std::panic::catch_unwind;

use sampler_model::{Model, exponential, scaled};
use statistics::anderson_darling::{assert_uniform, place};
use statistics::{CHANCE, Random, Truth, correlation, sigmas};

const RATE: usize = 524_288;

/// Whether a check failed.
fn caught(check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    catch_unwind(check).is_err()
}

fn is_biased(objects: u64, size: usize, samples: u64) -> bool {
    let truth = Truth {
        what: "model",
        objects,
        size,
        rate: RATE,
    };
    caught(move || truth.assert_unbiased(scaled(samples, size, RATE)))
}

/// The samples of threads that allocate 32 KiB each, whose first gap is what `start` says.
fn samples_of_threads(threads: u64, start: impl Fn(&mut Random) -> f64) -> u64 {
    let mut random = Random::seeded(1);
    (0..threads)
        .filter(|_| Model::started_with(start(&mut random), RATE, 2).samples(1 << 15))
        .count() as u64
}

#[test]
fn threads_that_start_at_a_sample_or_without_one() {
    let biased = |start: fn(&mut Random) -> f64| {
        is_biased(100_000, 1 << 15, samples_of_threads(100_000, start))
    };
    assert!(!biased(|random| random.exponential(RATE as f64)));
    assert!(biased(|_| 0.0), "started at zero: 16-fold");
    assert!(biased(|_| RATE as f64), "started full: nothing");
    assert!(
        biased(|_| Random::seeded(9).exponential(RATE as f64)),
        "started with one seed: all or none"
    );
    assert!(
        biased(|random| random.exponential(RATE as f64) * 0.9),
        "started a tenth early"
    );
}

#[test]
fn gaps_of_another_law_with_the_same_mean() {
    for (law, is_exponential) in [
        (exponential as fn(&mut Random, f64) -> f64, true),
        (|random, mean| 2.0 * mean * random.uniform(), false),
        (|_, mean| mean, false),
        // Two thirds cut short, one third drawn out: the mean is kept.
        (
            |random, mean| {
                let factor = if random.below(3) == 0 { 1.6 } else { 0.7 };
                random.exponential(mean * factor)
            },
            false,
        ),
    ] {
        let (objects, size) = (100_000, 1 << 20);
        let mut model = Model::with_law(law, RATE, 3);
        let samples = (0..objects).filter(|_| model.samples(size)).count();
        assert_eq!(is_biased(objects, size, samples as u64), !is_exponential);

        let mut random = Random::seeded(4);
        let places: Vec<f64> = (0..6_000)
            .map(|_| {
                let gap = law(&mut random, RATE as f64).floor();
                place(gap, gap + 1.0, RATE as f64, &mut Random::seeded(gap as u64))
            })
            .collect();
        let failed = caught(|| assert_uniform("gaps of a model", &places, CHANCE));
        assert_eq!(failed, !is_exponential);
    }
}

#[test]
fn gaps_that_are_rounded_up_instead_of_down() {
    let rate = 16.0;
    for (extra, is_right) in [(0.0, true), (1.0, false)] {
        let (mut gaps, mut within) = (Random::seeded(5), Random::seeded(6));
        let places: Vec<f64> = (0..1_000_000)
            .map(|_| {
                let gap = gaps.exponential(rate).floor() + extra;
                place(gap, gap + 1.0, rate, &mut within)
            })
            .collect();
        let failed = caught(|| assert_uniform("rounded gaps", &places, CHANCE));
        assert_eq!(failed, !is_right);
    }
}

#[test]
fn threads_that_share_a_seed() {
    let (threads, gaps) = (100_u64, 60);
    for (seeds, is_right) in [(threads, true), (1, false), (threads / 2, false)] {
        // Two neighbours share a seed if there are half as many as threads.
        let of_thread = |thread: u64| Random::seeded(1_000 + thread * seeds / threads);
        let mut streams: Vec<Random> = (0..threads).map(of_thread).collect();
        let places: Vec<f64> = (0..gaps)
            .flat_map(|_| streams.iter_mut().map(Random::uniform).collect::<Vec<_>>())
            .collect();
        let failed = caught(|| correlation::assert_none("gaps of neighbours", &places, 1));
        assert_eq!(failed, !is_right, "{seeds} seeds");
    }
}

#[test]
fn sizes_that_are_summed_first_and_scaled_then() {
    // Small blocks by the million, large ones now and then, on one stack.
    let (small, large) = (64, 1 << 20);
    let objects = [2_000_000, 2_000];
    let mut model = Model::with_law(exponential, RATE, 7);
    let mut samples = [0_u64; 2];
    for nth in 0..objects[0] {
        samples[0] += u64::from(model.samples(small));
        if nth % (objects[0] / objects[1]) == 0 {
            samples[1] += u64::from(model.samples(large));
        }
    }
    assert!(!is_biased(objects[0], small, samples[0]));
    assert!(!is_biased(objects[1], large, samples[1]));
    // Both at the mean size of the samples.
    let bytes = samples[0] as usize * small + samples[1] as usize * large;
    let mean = bytes / (samples[0] + samples[1]) as usize;
    let truth = Truth {
        what: "scaled by the mean size",
        objects: objects[0],
        size: small,
        rate: RATE,
    };
    assert!(caught(
        move || truth.assert_unbiased(scaled(samples[0], mean, RATE))
    ));
}

#[test]
fn samples_that_are_scaled_by_another_size() {
    let (objects, size) = (400_000, 40_009);
    let mut model = Model::with_law(exponential, RATE, 8);
    let samples = (0..objects).filter(|_| model.samples(size)).count() as u64;
    let truth = Truth {
        what: "scaled by another size",
        objects,
        size,
        rate: RATE,
    };
    // The size itself, Go's size class, and what the block measured before it grew.
    for (scaled_as, is_right) in [(size, true), (40_960, true), (49_152, false), (16, false)] {
        let estimate = scaled(samples, scaled_as, RATE);
        let failed = caught(move || truth.assert_unbiased(estimate));
        assert_eq!(failed, !is_right, "scaled as {scaled_as} bytes");
    }
}

#[test]
fn bytes_that_are_given_back_only_when_a_gap_ends() {
    // Failed allocations, or the profiler's own, that should leave no trace.
    let (objects, size, own) = (500_000, 509, 4_091);
    let rate = 4_096;
    let truth = Truth {
        what: "own allocations in between",
        objects,
        size,
        rate,
    };
    for (fault, is_right) in [(false, true), (true, false)] {
        let mut model = Model::with_law(exponential, rate, 10);
        let mut samples = 0;
        for _ in 0..objects {
            let before = model.left();
            if model.samples(own) && fault {
                model.set_left(before);
            }
            samples += u64::from(model.samples(size));
        }
        let failed = caught(move || truth.assert_unbiased(scaled(samples, size, rate)));
        assert_eq!(failed, !is_right);
    }
}

#[test]
fn gaps_that_outlive_their_rate() {
    // 50 blocks at one rate, 50 at the other. A gap that is carried over gives the second rate what the first has
    // promised; the total is right all the same (a sample is worth the mean of the gap that it starts), so the check
    // is one for each rate.
    let (objects, size) = (500_000, 4_093);
    let rates = [65_536, 1_048_576];
    for (redraws, is_right) in [(true, true), (false, false)] {
        let mut model = Model::with_law(exponential, rates[0], 11);
        let mut samples = [0; 2];
        for nth in 0..2 * objects {
            let which = (nth / 50 % 2) as usize;
            if nth % 50 == 0 {
                model.set_rate(rates[which], redraws);
            }
            samples[which] += u64::from(model.samples(size));
        }
        for (samples, rate) in samples.into_iter().zip(rates) {
            let truth = Truth {
                what: "rate changes",
                objects,
                size,
                rate,
            };
            let failed = caught(move || truth.assert_unbiased(scaled(samples, size, rate)));
            assert_eq!(failed, !is_right, "redraws: {redraws}");
        }
        let all = 2.0 * objects as f64;
        let error = (all * rates[1] as f64 / size as f64).sqrt();
        let scaled = |which: usize, rate: usize| scaled(samples[which], size, rate).objects as f64;
        let right = scaled(0, rates[0]) + scaled(1, rates[1]);
        let by_the_last = scaled(0, rates[1]) + scaled(1, rates[1]);
        sigmas::assert_within("each by its own rate", right, all, error);
        let check = || sigmas::assert_within("all by the last rate", by_the_last, all, error);
        assert!(caught(check));
    }
}
