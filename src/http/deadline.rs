//! `Deadline`: a moment by which something must be over, however many small steps it takes.

use std::time::{Duration, Instant};

/// A moment; `None` is so far away that the clock cannot hold it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// `length` from now.
    pub(super) fn after(length: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(length))
    }

    /// The time that is left, never zero (the socket options take zero for "no limit"); `None` if it is over.
    pub(super) fn left(self) -> Option<Duration> {
        match self.0 {
            None => Some(Duration::MAX),
            Some(end) => end
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Deadline;
    use std::time::Duration;

    #[test]
    fn extremes_neither_overflow_nor_wait() {
        assert_eq!(Deadline::after(Duration::ZERO).left(), None);
        assert!(Deadline::after(Duration::MAX).left().is_some());
    }
}
