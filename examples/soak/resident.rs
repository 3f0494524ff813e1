//! Resident memory at the end of each turn, and its slope.

use std::time::Instant;

/// Turns after which everything has happened once: names were read, tables have grown.
const WARM_UP_TURNS: usize = 2;

/// What the resident memory may grow in the second half, by the line through its samples. In ten minutes that is 0.4 MiB a
/// minute; from one turn to the next the pages of an allocator's arenas differ by half of it.
pub(crate) const BOUND_BYTES: f64 = (2 << 20) as f64;

pub(crate) struct Resident {
    started: Instant,
    pub(crate) at_start: u64,
    /// (seconds, bytes)
    samples: Vec<(f64, f64)>,
}

impl Resident {
    pub(crate) fn new() -> Resident {
        give_back_early();
        Resident {
            started: Instant::now(),
            at_start: now(),
            samples: Vec::new(),
        }
    }

    pub(crate) fn sample(&mut self) {
        self.samples
            .push((self.started.elapsed().as_secs_f64(), now() as f64));
    }

    pub(crate) fn after_warm_up(&self) -> f64 {
        let nth = WARM_UP_TURNS.min(self.samples.len()) - 1;
        self.samples[nth].1
    }

    pub(crate) fn at_end(&self) -> f64 {
        self.samples.last().map_or(0.0, |(_, bytes)| *bytes)
    }

    /// Seconds that the second half of the samples spans.
    pub(crate) fn span(&self) -> f64 {
        match self.second_half() {
            [(first, _), .., (last, _)] => last - first,
            _ => 0.0,
        }
    }

    /// Bytes per second by which the second half grows: its least-squares line.
    pub(crate) fn slope(&self) -> f64 {
        let half = self.second_half();
        let count = half.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| half.iter().map(of).sum::<f64>() / count;
        let (time, bytes) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let (covariance, variance) = half.iter().fold((0.0, 0.0), |(both, one), sample| {
            let off = sample.0 - time;
            (both + off * (sample.1 - bytes), one + off * off)
        });
        if variance > 0.0 {
            covariance / variance
        } else {
            0.0
        }
    }

    fn second_half(&self) -> &[(f64, f64)] {
        &self.samples[self.samples.len() / 2..]
    }
}

/// Fixes what each of glibc's arenas keeps at its top for later. Left alone it follows the largest block that was freed, for
/// each of eight arenas a core, and what is resident goes up for minutes before it stays.
fn give_back_early() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 128 << 10)
    };
}

/// Without what the system's allocator has been given back and keeps for later: that is no leak.
fn now() -> u64 {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions.
    unsafe {
        libc::malloc_trim(0)
    };
    debug_pprof::mem_stats().resident_bytes.unwrap_or(0)
}
