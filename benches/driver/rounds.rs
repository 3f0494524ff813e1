//! Sides take turns: in every round each does the same work once, so that what disturbs the machine disturbs all.

use std::path::PathBuf;

use crate::side::Side;

/// How one side is started.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Added to its environment.
    pub(crate) environment: &'static [(&'static str, &'static str)],
}

impl Program {
    pub(crate) fn start(&self) -> Side {
        Side::start(&self.path, self.environment)
    }
}

/// How much is measured.
pub(crate) struct Plan {
    /// Times that all sides are started anew: where the loader and the kernel happen to place a process moves its
    /// timings by percents, and only another process shows it.
    pub(crate) generations: usize,
    /// Rounds of each generation, after one that warms up.
    pub(crate) rounds: usize,
    /// Nanoseconds that a round of the first side takes at least: the clock, and telling the side, are nothing
    /// beside it.
    pub(crate) round_ns: f64,
}

impl Plan {
    pub(crate) const FULL: Plan = Plan {
        generations: 12,
        rounds: 8,
        round_ns: 8e6,
    };
    pub(crate) const SMOKE: Plan = Plan {
        generations: 1,
        rounds: 2,
        round_ns: 1e5,
    };
}

/// Nanoseconds per operation of each side in each round. The first side decides how many operations a round has.
pub(crate) fn measure(programs: &[Program], kind: usize, plan: &Plan) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::new(); programs.len()];
    let mut counts = Vec::new();
    for _ in 0..plan.generations {
        let mut sides: Vec<Side> = programs.iter().map(Program::start).collect();
        if counts.is_empty() {
            counts = calibrate(&mut sides, kind, plan);
        }
        for (side, count) in sides.iter_mut().zip(&counts) {
            side.nanoseconds(kind, *count);
        }
        for round in 0..plan.rounds {
            for turn in 0..sides.len() {
                // Nobody is always behind the same neighbour.
                let nth = (turn + round) % sides.len();
                let count = counts[nth];
                samples[nth].push(sides[nth].nanoseconds(kind, count) / count as f64);
            }
        }
    }
    samples
}

/// Operations per round: as many for each side, but for those that are slower than tenfold.
fn calibrate(sides: &mut [Side], kind: usize, plan: &Plan) -> Vec<u64> {
    let [first, others @ ..] = sides else {
        return Vec::new();
    };
    let mut count = 1;
    loop {
        let took = first.nanoseconds(kind, count).max(1.0);
        if took >= plan.round_ns {
            break;
        }
        let wanted = count as f64 * (1.2 * plan.round_ns / took);
        count = (wanted as u64).clamp(count + 1, count * 16);
    }
    let mut counts = vec![count];
    for side in others {
        // The first operations set the kind up.
        let few = (count / 64).max(1);
        side.nanoseconds(kind, few);
        let expected = side.nanoseconds(kind, few) / few as f64 * count as f64;
        let share = if expected > 10.0 * plan.round_ns {
            plan.round_ns / expected
        } else {
            1.0
        };
        counts.push(((count as f64 * share) as u64).max(1));
    }
    counts
}
