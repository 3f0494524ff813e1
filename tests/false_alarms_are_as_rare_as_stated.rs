//! The checks of the statistical tests fail by chance as often as `statistics/mod.rs` says: tried where that is often
//! enough to be counted. All seeds are in the source.

mod sampler_model;
mod statistics;

use sampler_model::{Model, exponential, scaled};
use statistics::anderson_darling::{p_value, statistic};
use statistics::{Random, Truth, correlation};

/// The share of `times` tries that came out true.
fn share(times: usize, mut one: impl FnMut() -> bool) -> f64 {
    (0..times).filter(|_| one()).count() as f64 / times as f64
}

#[test]
fn the_p_value_is_that_of_the_tables() {
    // Critical values of A² for a law without fitted parameters (D'Agostino & Stephens, "Goodness-of-fit techniques",
    // 1986, table 4.2); the asymptote is a few percent low.
    for (critical, p) in [(2.492, 0.05), (3.070, 0.025), (3.857, 0.01), (4.500, 0.005)] {
        let ratio = p_value(critical) / p;
        assert!((0.85..=1.02).contains(&ratio), "{ratio} at {p}");
    }
}

#[test]
fn anderson_darling_for_few_numbers_and_many() {
    let mut random = Random::seeded(1);
    for (n, times) in [(10, 100_000), (100, 20_000), (1_000, 5_000)] {
        let mut below = |p: f64| {
            share(times, || {
                let numbers: Vec<f64> = (0..n).map(|_| random.uniform()).collect();
                p_value(statistic(&numbers)) < p
            })
        };
        let found = below(0.01);
        // Tables and 4 sigmas of the smallest number of tries.
        assert!((0.0075..0.017).contains(&found), "n = {n}: {found}");
    }
}

#[test]
fn sigmas_of_an_estimate_for_few_samples_and_many() {
    for (objects, size, rate) in [
        (500, 16_384, 524_288),
        (4_000, 131_072, 524_288),
        (1_000, 2_097_152, 524_288),
    ] {
        let mut model = Model::with_law(exponential, rate, 2);
        let truth = Truth {
            what: "model",
            objects,
            size,
            rate,
        };
        let beyond_3 = share(20_000, || {
            let samples = (0..objects).filter(|_| model.samples(size)).count();
            let (by_objects, by_bytes) = truth.sigmas(scaled(samples as u64, size, rate));
            by_objects.abs().max(by_bytes.abs()) > 3.0
        });
        // 0.0027 of a normal law; 3.5 sigmas of the number of tries, and the steps of few samples.
        assert!(
            (0.0008..0.0050).contains(&beyond_3),
            "{truth:?}: {beyond_3}"
        );
    }
}

#[test]
fn correlation_of_neighbours() {
    let mut random = Random::seeded(3);
    let beyond_3 = share(20_000, || {
        let numbers: Vec<f64> = (0..1_000).map(|_| random.uniform()).collect();
        let (covariance, error) = correlation::covariance(&numbers, 1);
        covariance.abs() > 3.0 * error
    });
    assert!((0.0014..0.0040).contains(&beyond_3), "{beyond_3}");
}
