//! An end to the work on one profile's names, whatever the files say.

use std::time::{Duration, Instant};

/// How long names may be looked for. A binary of 100 MB takes half a second; ten times as large from a slow disk, ten.
/// What is not found by then is named from the symbol table, and looked for again by the next profile.
const LONGEST: Duration = Duration::from_secs(20);

/// Steps between two looks at the clock: about 1 ms.
const STEPS: u32 = 1 << 16;

/// Debug information is a graph that may be broken: lists that all units share, say, make a walk over it quadratic.
/// Every loop over it takes its steps from here, and ends when there are none left.
#[derive(Debug)]
pub(super) struct Effort {
    end: Instant,
    steps: u32,
    is_spent: bool,
}

impl Effort {
    pub(super) fn new() -> Self {
        Self::until(Instant::now() + LONGEST)
    }

    pub(super) fn until(end: Instant) -> Self {
        Self {
            end,
            steps: 0,
            is_spent: false,
        }
    }

    /// Whether there is time for one step more.
    #[inline]
    pub(super) fn step(&mut self) -> bool {
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                true
            }
            None => self.step_slow(),
        }
    }

    #[cold]
    fn step_slow(&mut self) -> bool {
        self.is_spent = self.is_spent || Instant::now() >= self.end;
        if !self.is_spent {
            self.steps = STEPS;
        }
        !self.is_spent
    }

    /// A look at the clock now, before a large step.
    pub(super) fn is_spent(&mut self) -> bool {
        !self.step_slow()
    }
}
