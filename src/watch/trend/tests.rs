//! Synthetic histories: every object's birth and death is drawn, and the window is cut out of them.

use super::*;
use crate::record::SplitMix;

/// In minutes.
const WINDOW: f64 = 60.0;
const YOUNG: f64 = 7.5;

/// What is seen at `now` of objects that are born and die at these minutes.
fn seen(objects: &[(f64, f64)], now: f64) -> Seen {
    let begin = now - WINDOW;
    let mut seen = Seen {
        weight: 524_288.0,
        ..Seen::default()
    };
    for (born, died) in objects {
        let is_alive = *born <= now && *died > now;
        if *born <= begin && *died > begin {
            seen.before += 1;
            seen.stayed += u64::from(is_alive);
        } else if is_alive && *born > begin && *born <= now - YOUNG {
            let part = (born - begin) / (WINDOW - YOUNG) * PARTS as f64;
            seen.survivors[(part as usize).min(PARTS - 1)] += 1;
        }
        let middle = now - WINDOW / 2.0;
        if *born <= middle && *died > middle {
            seen.middle += 1;
            seen.stayed_since_middle += u64::from(is_alive);
        } else if is_alive && *born > middle && *born <= now - YOUNG {
            seen.late += 1;
        }
    }
    seen
}

fn judged(objects: &[(f64, f64)], now: f64) -> Trend {
    trend(&[seen(objects, now)])
}

/// Births as a Poisson process of `rate` a minute from `from` to `to`, with lives that `life` draws.
fn births(
    random: &mut SplitMix,
    rate: f64,
    (from, to): (f64, f64),
    mut life: impl FnMut(&mut SplitMix, f64) -> f64,
) -> Vec<(f64, f64)> {
    let mut objects = Vec::new();
    let mut time = from;
    loop {
        time -= random.uniform().ln() / rate;
        if time > to {
            return objects;
        }
        let life = life(random, time);
        objects.push((time, time + life));
    }
}

fn exponential(random: &mut SplitMix, mean: f64) -> f64 {
    -random.uniform().ln() * mean
}

const RUNS: u64 = 1_000;

fn runs(seed: u64, mut is_leak: impl FnMut(&mut SplitMix) -> bool) -> u64 {
    let mut random = SplitMix::new(seed);
    (0..RUNS).map(|_| u64::from(is_leak(&mut random))).sum()
}

fn leaks(trend: Trend) -> bool {
    matches!(trend, Trend::Leaks { .. })
}

/// 2 samples a minute, a leak of 1 MB a minute: 105 survivors in an hour. To be missed it would need a last half, quarter
/// or eighth of less than half its share: under 1 in 10 000.
#[test]
fn a_steady_leak_is_one() {
    let found = runs(0x01ea4, |random| {
        leaks(judged(
            &births(random, 2.0, (0.0, 200.0), |_, _| f64::MAX),
            150.0,
        ))
    });
    assert!(found >= RUNS - 1, "{found}");
}

/// The bytes are those of the survivors: 105 of them, give or take five standard errors of 1 000 runs' mean.
#[test]
fn its_bytes_are_unbiased() {
    let mut random = SplitMix::new(0x000b_17e5);
    let (mut sum, mut count) = (0.0, 0.0);
    for _ in 0..RUNS {
        if let Trend::Leaks { bytes } = judged(
            &births(&mut random, 2.0, (0.0, 200.0), |_, _| f64::MAX),
            150.0,
        ) {
            sum += bytes / 524_288.0;
            count += 1.0;
        }
    }
    let mean = sum / count;
    assert!(
        (mean - 105.0).abs() < 5.0 * (105.0 / count).sqrt(),
        "{mean}"
    );
}

/// Sessions that live for minutes to hours, as many at all times on average: in balance. False alarms at 10⁻⁶ a run.
#[test]
fn balance_is_none_whatever_objects_live() {
    for (seed, mean) in [(1, 0.1), (2, 5.0), (3, 30.0), (4, 120.0), (5, 1000.0)] {
        let found = runs(seed, |random| {
            // From long enough before.
            let objects = births(random, 4.0, (-6.0 * mean - 60.0, 150.0), |random, _| {
                exponential(random, mean)
            });
            judged(&objects, 150.0) != Trend::Balance
        });
        assert_eq!(found, 0, "lives of {mean}");
    }
}

/// The bound holds: of as many as chance gives, no more pass than it says. At a level that can be counted: 1 in 100.
#[test]
fn chance_passes_no_more_often_than_stated() {
    let mut random = SplitMix::new(0xc4a2);
    let alarms = (0..20_000).filter(|_| {
        let objects = 4 + random.next() % 60;
        let survived = (0..objects)
            .filter(|_| random.next().is_multiple_of(2))
            .count() as f64;
        let q = survived / objects as f64;
        q > 0.5 && objects as f64 * surprise(q) >= 100_f64.ln()
    });
    let alarms = alarms.count();
    // 200 at most, and five standard errors.
    assert!(alarms <= 200 + 70, "{alarms}");
    assert!(alarms > 10, "the bound says nothing: {alarms}");
}

/// A cache that is filled until minute 100: growing before, and not a leak from an eighth of a window after that.
#[test]
fn a_cache_is_none_once_it_is_full() {
    let at = |now: f64, seed| {
        runs(seed, |random| {
            leaks(judged(
                &births(random, 40.0, (60.0, 100.0), |_, _| f64::MAX),
                now,
            ))
        })
    };
    assert!(at(115.0, 11) == 0, "{}", at(115.0, 11));
    assert_eq!(at(130.0, 12), 0);
    assert_eq!(at(200.0, 13), 0);
    // One that evicts: as many come as go.
    let evicting = runs(14, |random| {
        let objects = births(random, 10.0, (-200.0, 150.0), |_, _| 45.0);
        judged(&objects, 150.0) != Trend::Balance
    });
    assert_eq!(evicting, 0);
}

/// One that is filled from minute 60 to 100 and then replaces at the same pace, each time what is there by chance: to be taken
/// for a leak at 0.6 % of the moments at most, from where the last half begins when it is full.
#[test]
fn a_cache_that_replaces_is_none_once_it_is_full() {
    const PLACES: usize = 400;
    let at = |now: f64, seed| {
        runs(seed, |random| {
            let mut objects = births(random, 10.0, (60.0, 150.0), |_, _| f64::MAX);
            let mut places: Vec<usize> = Vec::new();
            for nth in 0..objects.len() {
                if places.len() < PLACES {
                    places.push(nth);
                } else {
                    let place = random.next() as usize % PLACES;
                    objects[places[place]].1 = objects[nth].0;
                    places[place] = nth;
                }
            }
            leaks(judged(&objects, now))
        })
    };
    // Growing.
    assert!(at(90.0, 15) > RUNS / 2);
    for (now, seed) in [(130.0, 16), (140.0, 17), (150.0, 18)] {
        let found = at(now, seed);
        // 6 of a thousand, and five standard errors.
        assert!(found <= 18, "{now}: {found}");
    }
}

#[test]
fn a_step_a_plateau_and_a_shrinking_are_none() {
    let step = runs(21, |random| {
        leaks(judged(
            &births(random, 200.0, (120.0, 121.0), |_, _| f64::MAX),
            150.0,
        ))
    });
    assert_eq!(step, 0);
    let plateau = runs(22, |random| {
        judged(&births(random, 200.0, (0.0, 20.0), |_, _| f64::MAX), 150.0) != Trend::Balance
    });
    assert_eq!(plateau, 0);
    let shrinking = runs(23, |random| {
        let objects = births(random, 20.0, (0.0, 60.0), |random, _| {
            60.0 + 120.0 * random.uniform()
        });
        judged(&objects, 150.0) != Trend::Balance
    });
    assert_eq!(shrinking, 0);
}

/// Collected for 20 minutes, then thrown away: in a window of three of them, and by its past in shorter ones.
#[test]
fn a_sawtooth_is_none() {
    let found = runs(31, |random| {
        let phase = 20.0 * random.uniform();
        let objects = births(random, 40.0, (0.0, 200.0), |_, time| {
            20.0 - (time + phase) % 20.0
        });
        leaks(judged(&objects, 150.0))
    });
    assert_eq!(found, 0);
    let teeth = |now: f64| {
        let earlier = (1..60)
            .rev()
            .map(|ago| (f64::from(ago) / 10.0, f64::from((60 - ago) % 20) * 5.0));
        comes_and_goes(earlier, now)
    };
    assert!(teeth(90.0));
    // Higher than ever before.
    assert!(!teeth(300.0));
    let ramp = (1..60)
        .rev()
        .map(|ago| (f64::from(ago), f64::from(60 - ago)));
    assert!(!comes_and_goes(ramp, 60.0));
}

/// A leak beside churn on the same stack that is a hundred times as fast.
#[test]
fn churn_does_not_hide_it() {
    let found = runs(41, |random| {
        let mut objects = births(random, 2.0, (0.0, 150.0), |_, _| f64::MAX);
        objects.extend(births(random, 200.0, (80.0, 150.0), |random, _| {
            exponential(random, 0.02)
        }));
        leaks(judged(&objects, 150.0))
    });
    assert!(found >= RUNS - 5, "{found}");
}

#[test]
fn few_samples_say_nothing() {
    let of = |count: u64| {
        trend(&[Seen {
            weight: 1.0,
            survivors: [count / 8 + 1; PARTS],
            late: (count / 8 + 1) * PARTS as u64 / 2,
            ..Seen::default()
        }])
    };
    assert_eq!(of(8), Trend::Balance, "16 of them");
    assert!(leaks(of(16)), "24");
    assert_eq!(trend(&[]), Trend::Balance);
}
