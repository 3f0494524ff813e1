//! When a sampled block was allocated: four bytes a record, from a clock that may be read inside malloc.

use core::time::Duration;

/// The moment at which a record was made, in tenths of a second of the monotonic clock, which starts with the machine:
/// 13 years in 32 bits. Whole seconds would tell nobody what the last request left behind; milliseconds end after seven
/// weeks.
///
/// Rounded up, so that an age, which is taken from a clock that is read in full, is too short by less than a tenth and
/// never too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Birth(pub(super) u32);

/// A reading of the clock: nanoseconds since the machine's start, without those that it slept. They last for 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Now(u64);

/// Nanoseconds in one unit of `Birth`.
const TENTH: u64 = 100_000_000;

impl Birth {
    /// What the clock does not say, because it has run for longer or cannot be read: such a record is always new.
    const UNKNOWN: Birth = Birth(u32::MAX);

    /// Now. In steady state no system call: the kernel's page of the process is read. POSIX has `clock_gettime` among
    /// what signal handlers may call; glibc and musl neither lock nor allocate in it.
    #[inline]
    pub(crate) fn now() -> Self {
        Now::read().map_or(Birth::UNKNOWN, Birth::at)
    }

    fn at(Now(nanos): Now) -> Self {
        u32::try_from(nanos.div_ceil(TENTH)).map_or(Birth::UNKNOWN, Birth)
    }

    /// How long ago it was; 0 if it lies ahead, as it does for records that are made after `now` was read.
    pub(crate) fn age(self, Now(nanos): Now) -> Duration {
        if self == Birth::UNKNOWN {
            return Duration::ZERO;
        }
        Duration::from_nanos(nanos.saturating_sub(u64::from(self.0) * TENTH))
    }
}

impl Now {
    /// Since the machine's start.
    #[cfg(feature = "http")]
    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    /// None if the system has no such clock.
    ///
    /// The coarse clock is the time of the last timer interrupt, at most 10 ms ago: 3 ns to read. The fine one takes 20, because
    /// it reads the processor's counter, or calls the kernel on machines whose counter is not trusted.
    #[inline]
    pub(crate) fn read() -> Option<Self> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a timespec of ours, and the call keeps no pointer to it.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
        if failed != 0 {
            return None;
        }
        let seconds = u64::try_from(time.tv_sec).ok()?;
        let nanos = u64::try_from(time.tv_nsec).ok()?;
        Some(Now(seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_too_short_by_less_than_a_tenth_and_never_too_long() {
        for born in [0, 1, TENTH - 1, TENTH, TENTH + 1, 123_456_789_012_345_678] {
            for lived in [0, 1, TENTH - 1, TENTH, TENTH + 1, 86_400_000_000_000] {
                let age = Birth::at(Now(born)).age(Now(born + lived));
                let lived = Duration::from_nanos(lived);
                assert!(age <= lived, "{born}, {lived:?}: {age:?}");
                let tenth = Duration::from_nanos(TENTH);
                assert!(age + tenth > lived, "{born}, {lived:?}: {age:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_runs_backwards_or_too_long_gives_no_age() {
        assert_eq!(Birth::at(Now(5_000_000_000)).age(Now(0)), Duration::ZERO);
        let years = |years: u64| Now(years * 365 * 86_400 * 1_000_000_000);
        assert!(Birth::at(years(13)).age(years(14)) > Duration::from_secs(364 * 86_400));
        assert_eq!(Birth::at(years(14)).age(years(40)), Duration::ZERO);
        let end = Now(u64::MAX);
        assert_eq!(Birth::at(end), Birth::UNKNOWN);
        assert_eq!(Birth::at(end).age(end), Duration::ZERO);
        assert_eq!(Birth(0).age(end), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn the_clock_is_the_systems() {
        let first = Now::read().unwrap();
        let born = Birth::now();
        std::thread::sleep(Duration::from_millis(250));
        let age = born.age(Now::read().unwrap());
        assert!(age >= Duration::from_millis(130), "{age:?}");
        assert!(born.age(first) == Duration::ZERO);
    }
}
