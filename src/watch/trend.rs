//! Whether a stack's old memory grows: arithmetic on sampled counts, and nothing else.
//!
//! Over a window that ends now, of a stack's sampled objects:
//!
//! ```text
//! S   born in the window, and alive, and not young      survivors
//! F   in use when it began, and gone now                freed
//! ```
//!
//! Where memory comes and goes in balance, an object that is one of the S + F is as likely to be of the one kind as of the
//! other, however long objects live and however many there are. So chance gives S or more of them with probability at most
//! exp(−n·K), n = S + F, K = ln 2 + q ln q + (1 − q) ln(1 − q), q = S/n (Chernoff's bound; 2^−S if nothing was freed). A
//! stack grows if that is under [`FALSE_ALARM`]. What is young is no survivor, and what was young when the window began
//! counts as freed: churn speaks against growth, never for it.
//!
//! Growth is a leak's if it is steady: survivors of the window's last half, quarter and eighth are at least half its share, and
//! no quarter has most of them. Each share is given two standard errors. And S and F of the last half alone must differ by
//! more than [`LATE`] standard errors: a cache that is full and replaces what it holds has survivors of late too, and frees as
//! many.

/// Parts of a window, by when a survivor was born.
pub(super) const PARTS: usize = 8;

/// The probability, of one stack in one window, to be taken for growing where it is in balance. A million stacks in one
/// window make one false alarm. 20 samples of which none was freed are enough; a thousand times more would be 30.
pub(super) const FALSE_ALARM: f64 = 1e-6;

/// Standard errors by which the last half has to grow. A cache that has become full before is taken for a leak at 0.6 % of the
/// moments. With 3, 0.1 %, a leak would be found at thirty samples, not at twenty.
const LATE: f64 = 2.5;

/// What is known of a stack's objects of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seen {
    /// Bytes that a sampled object stands for.
    pub(super) weight: f64,
    /// Survivors, by the part of the window in which they were born.
    pub(super) survivors: [u64; PARTS],
    /// In use when the window began.
    pub(super) before: u64,
    /// Of those, still in use.
    pub(super) stayed: u64,
    /// Survivors of the window's last half.
    pub(super) late: u64,
    /// In use in the middle of the window.
    pub(super) middle: u64,
    /// Of those, still in use.
    pub(super) stayed_since_middle: u64,
}

/// What a stack's memory does in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Trend {
    /// Grows steadily, by so many bytes.
    Leaks { bytes: f64 },
    /// Has grown, by more than chance gives, but has stopped or did it at once.
    Stopped { bytes: f64 },
    /// No more than chance gives.
    Balance,
}

pub(super) fn trend(seen: &[Seen]) -> Trend {
    let mut parts = [0.0; PARTS];
    let (mut freed, mut squares) = (0.0, 0.0);
    for one in seen {
        let gone = one.before.saturating_sub(one.stayed) as f64;
        let mut objects = gone;
        freed += one.weight * gone;
        for (part, count) in parts.iter_mut().zip(one.survivors) {
            *part += one.weight * count as f64;
            objects += count as f64;
        }
        squares += one.weight * one.weight * objects;
    }
    let survived: f64 = parts.iter().sum();
    let all = survived + freed;
    if squares == 0.0 || survived <= freed {
        return Trend::Balance;
    }
    // As many objects of one weight as say the same: with weights that differ, fewer than there are.
    let objects = all * all / squares;
    if objects * surprise(survived / all) < -FALSE_ALARM.ln() {
        return Trend::Balance;
    }
    let bytes = survived - freed;
    if is_steady(&parts, objects * survived / all) && grows_late(seen) {
        Trend::Leaks { bytes }
    } else {
        Trend::Stopped { bytes }
    }
}

/// Whether there is more growth in the last half than chance often gives.
fn grows_late(seen: &[Seen]) -> bool {
    let (mut growth, mut squares) = (0.0, 0.0);
    for one in seen {
        let late = one.late as f64;
        let gone = one.middle.saturating_sub(one.stayed_since_middle) as f64;
        growth += one.weight * (late - gone);
        squares += one.weight * one.weight * (late + gone);
    }
    growth > LATE * squares.sqrt()
}

/// What one object tells against balance, in nats, if a share `q` of all are survivors.
fn surprise(q: f64) -> f64 {
    let term = |share: f64| if share > 0.0 { share * share.ln() } else { 0.0 };
    std::f64::consts::LN_2 + term(q) + term(1.0 - q)
}

/// `parts` in any unit, which are `objects` objects in all.
fn is_steady(parts: &[f64; PARTS], objects: f64) -> bool {
    let all: f64 = parts.iter().sum();
    let share = |of: &[f64]| objects * of.iter().sum::<f64>() / all;
    let goes_on = [PARTS / 2, PARTS / 4, PARTS / 8].iter().all(|last| {
        let recent = share(parts.get(PARTS - last..).unwrap_or_default());
        let enough = objects * *last as f64 / PARTS as f64 / 2.0;
        recent >= enough - 2.0 * enough.sqrt()
    });
    let most = 0.6 * objects + 2.0 * (0.24 * objects).sqrt();
    goes_on
        && parts
            .chunks(PARTS / 4)
            .all(|quarter| share(quarter) <= most)
}

/// Whether memory has been as high before and came down again, more than once or of late: then it comes and goes, slowly.
/// `earlier` is in-use bytes before the window, the oldest first, with ages in windows; `now` is in-use now.
pub(super) fn comes_and_goes(earlier: impl Iterator<Item = (f64, f64)>, now: f64) -> bool {
    let (mut was_high, mut falls, mut of_late) = (false, 0, false);
    for (windows_ago, inuse) in earlier {
        if inuse >= 0.9 * now {
            was_high = true;
        } else if was_high && inuse <= 0.5 * now {
            was_high = false;
            falls += 1;
            of_late |= windows_ago <= 6.0;
        }
    }
    falls > 1 || of_late
}

#[cfg(test)]
mod tests;
