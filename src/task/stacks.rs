//! Stacks of tasks that wait, each once: a million tasks that wait at one place cost four bytes each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fork_lock::ForkLock;
use crate::stack::ReturnAddress;

/// Different stacks that are kept: some 10 MiB. A program has hundreds of `.await`s, and each is come to by a few ways.
const MOST: usize = 1 << 15;

/// A stack, leaf first, of the task's part of a thread's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct AwaitStack {
    pub(super) frames: Box<[ReturnAddress]>,
    pub(super) is_truncated: bool,
}

/// All that were found so far.
pub(super) struct AwaitStacks {
    table: ForkLock<Table, true>,
}

/// Nothing in it until the first stack: a `HashMap` cannot be made in a constant.
#[derive(Debug, Default)]
struct Table {
    all: Vec<Arc<AwaitStack>>,
    numbers: Option<HashMap<Arc<AwaitStack>, u32>>,
    /// Of each set of places that tasks wait at at once, the one that is shown.
    shown: Option<HashMap<Vec<u32>, u32>>,
}

impl Table {
    const fn new() -> Self {
        Self {
            all: Vec::new(),
            numbers: None,
            shown: None,
        }
    }
}

impl AwaitStacks {
    pub(super) const fn new() -> Self {
        Self {
            table: ForkLock::new(Table::new(), Table::new),
        }
    }

    /// The number of a stack; None if there are too many.
    pub(super) fn number(&self, frames: &[ReturnAddress], is_truncated: bool) -> Option<u32> {
        let stack = AwaitStack {
            frames: frames.into(),
            is_truncated,
        };
        let mut table = self.table.lock_soon();
        let table = &mut *table;
        let numbers = table.numbers.get_or_insert_default();
        if let Some(number) = numbers.get(&stack) {
            return Some(*number);
        }
        let number = u32::try_from(table.all.len()).ok()?;
        if table.all.len() >= MOST {
            return None;
        }
        let stack = Arc::new(stack);
        numbers.insert(Arc::clone(&stack), number);
        table.all.push(stack);
        Some(number)
    }

    /// Which of `places`, sorted, is shown for a task that waits at all of them: for each set the one that was come to first
    /// when it was met first, so that tasks alike are shown alike, though `select!` polls in another order each time.
    pub(super) fn shown_of(&self, places: Vec<u32>, first: u32) -> u32 {
        let mut table = self.table.lock_soon();
        let shown = table.shown.get_or_insert_default();
        match shown.get(&places) {
            Some(shown) => *shown,
            None if shown.len() >= MOST => first,
            None => *shown.entry(places).or_insert(first),
        }
    }

    /// All, by number.
    pub(super) fn all(&self) -> Vec<Arc<AwaitStack>> {
        self.table.lock_soon().all.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_have_one_number_and_tasks_alike_are_shown_alike() {
        let stacks = AwaitStacks::new();
        let one = [ReturnAddress(1), ReturnAddress(2)];
        assert_eq!(stacks.number(&one, false), Some(0));
        assert_eq!(stacks.number(&one[1..], false), Some(1));
        assert_eq!(stacks.number(&one, true), Some(2));
        assert_eq!(stacks.number(&one, false), Some(0));
        assert_eq!(stacks.all().len(), 3);
        assert_eq!(stacks.shown_of(vec![0, 1], 1), 1);
        assert_eq!(stacks.shown_of(vec![0, 1], 0), 1);
        assert_eq!(stacks.shown_of(vec![0, 2], 0), 0);
    }

    #[test]
    fn beyond_the_limit_there_are_no_new_ones() {
        let stacks = AwaitStacks::new();
        for nth in 0..MOST {
            assert!(stacks.number(&[ReturnAddress(nth)], false).is_some());
        }
        assert_eq!(stacks.number(&[ReturnAddress(MOST)], false), None);
        assert_eq!(stacks.number(&[ReturnAddress(7)], false), Some(7));
    }
}
