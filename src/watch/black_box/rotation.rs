//! Which dumps are removed when there are too many.

use super::names::{Dump, Run};

/// Those of `dumps`, with sizes in bytes, that are over `keep` or `max_bytes`. `own` is the run that has just written;
/// `previous` the dump that it serves.
///
/// What is kept first: the newest; of this run's the one at the highest memory, and of several the newest, since that is
/// what the next one to read wants to see; what is served; then from new to old.
pub(super) fn victims(
    dumps: &[(Dump, u64)],
    own: Run,
    previous: Option<Dump>,
    keep: usize,
    max_bytes: u64,
) -> Vec<Dump> {
    let newest = dumps.iter().map(|(dump, _)| *dump).max();
    let highest = dumps
        .iter()
        .map(|(dump, _)| *dump)
        .filter(|dump| dump.run == own)
        .max_by_key(|dump| (dump.mib, dump.nth));
    let mut ordered = dumps.to_vec();
    ordered.sort_by_key(|(dump, _)| {
        let is = |other: Option<Dump>| other == Some(*dump);
        std::cmp::Reverse((is(newest), is(highest), is(previous), *dump))
    });
    let (mut count, mut bytes) = (0, 0_u64);
    let mut over = |size: u64| {
        let fits = count == 0 || (count < keep && bytes.saturating_add(size) <= max_bytes);
        if fits {
            count += 1;
            bytes = bytes.saturating_add(size);
        }
        !fits
    };
    let victims = ordered.iter().filter(|(_, size)| over(*size));
    victims.map(|(dump, _)| *dump).collect()
}

#[cfg(test)]
mod tests {
    use super::super::names::Cause;
    use super::*;

    const fn run(number: u32) -> Run {
        Run {
            number,
            process: 1,
            start: 1,
        }
    }

    fn dump(number: u32, nth: u32, mib: u64) -> Dump {
        Dump {
            run: run(number),
            nth,
            mib,
            cause: Cause::Limit,
        }
    }

    fn kept(dumps: &[Dump], previous: Option<Dump>, keep: usize, max_bytes: u64) -> Vec<Dump> {
        let sized: Vec<_> = dumps.iter().map(|dump| (*dump, 10)).collect();
        let gone = victims(&sized, run(3), previous, keep, max_bytes);
        let left = dumps.iter().filter(|dump| !gone.contains(dump));
        left.copied().collect()
    }

    #[test]
    fn old_ones_go_and_the_peak_and_the_served_one_stay() {
        let all: Vec<Dump> = (1..=3)
            .flat_map(|number| (1..=4).map(move |nth| dump(number, nth, u64::from(nth % 4))))
            .collect();
        assert_eq!(kept(&all, None, 12, u64::MAX), all);
        let (newest, peak, served) = (dump(3, 4, 0), dump(3, 3, 3), dump(2, 3, 3));
        assert_eq!(kept(&all, Some(served), 1, u64::MAX), [newest]);
        assert_eq!(kept(&all, Some(served), 2, u64::MAX), [peak, newest]);
        assert_eq!(
            kept(&all, Some(served), 3, u64::MAX),
            [served, peak, newest]
        );
        assert_eq!(
            kept(&all, Some(served), 4, u64::MAX),
            [served, dump(3, 2, 2), peak, newest]
        );
        assert_eq!(kept(&all, Some(served), 9, 25), [peak, newest]);
        assert_eq!(kept(&all, None, 9, 1), [newest], "one stays, however large");
        let level = [dump(3, 1, 5), dump(3, 2, 5), dump(3, 3, 1)];
        assert_eq!(kept(&level, None, 2, u64::MAX), level[1..]);
    }
}
