//! The labels of one scope: those that were in force and those that are added, by the rules of the room.

use crate::cut::cut;

/// Labels in one set. With as many again a scope's room on the stack would be 1 KiB.
pub const MAX_LABELS: usize = 16;
/// Bytes of a key. It is a constant of the program's, so a longer one is a mistake, and is not cut: two that begin alike
/// would be one.
pub const MAX_KEY_BYTES: usize = 64;
/// Bytes of a value.
pub const MAX_VALUE_BYTES: usize = 128;

/// Labels of the profiler's own on samples, and one that means something to `go tool pprof`. A sample with two labels of one
/// key is taken for broken by some readers, and for both by others.
fn is_taken(key: &str) -> bool {
    matches!(
        key,
        "bytes" | "age" | "type" | "thread" | "task" | "source" | "pprof::base"
    )
}

/// Labels in the order of their keys, each key once.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    labels: [(&'a str, &'a str); MAX_LABELS],
    len: usize,
    /// Labels that were left out, and values that were cut.
    pub(super) refused: u64,
    pub(super) cut: u64,
}

impl<'a> Merged<'a> {
    /// Of a set that is one already.
    pub(super) fn of(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut merged = Self {
            labels: [("", ""); MAX_LABELS],
            len: 0,
            refused: 0,
            cut: 0,
        };
        for (slot, label) in merged.labels.iter_mut().zip(labels) {
            *slot = label;
            merged.len += 1;
        }
        merged
    }

    /// Gives a key its value; none, if that is empty.
    pub(super) fn set(&mut self, key: &'a str, value: &'a str) {
        if !is_allowed(key) {
            self.refused += 1;
            return;
        }
        let kept = cut(value, MAX_VALUE_BYTES);
        self.cut += u64::from(kept.len() < value.len());
        let place = self
            .as_slice()
            .binary_search_by(|(other, _)| (*other).cmp(key));
        match (place, kept.is_empty()) {
            (Ok(place), false) => self.put(place, (key, kept)),
            (Err(_), true) => {}
            (Ok(place), true) => {
                self.labels.copy_within(place + 1..self.len, place);
                self.len -= 1;
            }
            (Err(place), false) if self.len < MAX_LABELS => {
                self.labels.copy_within(place..self.len, place + 1);
                self.len += 1;
                self.put(place, (key, kept));
            }
            (Err(_), false) => self.refused += 1,
        }
    }

    /// Takes out keys with a NUL, and cuts values before theirs: texts of stacks have one behind each part. Not in `set`,
    /// because a set that is known has been through here.
    pub(super) fn cut_at_nuls(&mut self) {
        let (before, len) = (self.labels, self.len);
        self.len = 0;
        for (key, value) in before.into_iter().take(len) {
            if key.contains('\0') {
                self.refused += 1;
                continue;
            }
            let kept = value.split('\0').next().unwrap_or_default();
            self.cut += u64::from(kept.len() < value.len());
            self.set(key, kept);
        }
    }

    fn put(&mut self, place: usize, label: (&'a str, &'a str)) {
        if let Some(slot) = self.labels.get_mut(place) {
            *slot = label;
        }
    }

    pub(super) fn as_slice(&self) -> &[(&'a str, &'a str)] {
        self.labels.get(..self.len).unwrap_or_default()
    }
}

fn is_allowed(key: &str) -> bool {
    !key.is_empty() && key.len() <= MAX_KEY_BYTES && !is_taken(key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::SplitMix;

    #[test]
    fn labels_are_those_of_a_map() {
        let mut random = SplitMix::new(5);
        let keys = ["", "a", "b", "bb", "c", "bytes", "age", "ä", "z"];
        let values = ["", "1", "2", "three"];
        for _ in 0..5_000 {
            let mut merged = Merged::of([("b", "0"), ("d", "0")].into_iter());
            let mut model = BTreeMap::from([("b", "0"), ("d", "0")]);
            let mut refused = 0;
            for _ in 0..random.next() % 8 {
                let key = keys[random.next() as usize % keys.len()];
                let value = values[random.next() as usize % values.len()];
                merged.set(key, value);
                match (key, value) {
                    ("" | "bytes" | "age", _) => refused += 1,
                    (_, "") => drop(model.remove(key)),
                    _ => drop(model.insert(key, value)),
                }
            }
            assert_eq!(merged.as_slice(), model.into_iter().collect::<Vec<_>>());
            assert_eq!(merged.refused, refused);
        }
    }

    #[test]
    fn what_is_too_much_is_cut_or_left_out_and_counted() {
        let keys: Vec<String> = (0..20).map(|nth| format!("k{nth:02}")).collect();
        let mut merged = Merged::of(std::iter::empty());
        for key in &keys {
            merged.set(key, "v");
        }
        assert_eq!((merged.as_slice().len(), merged.refused), (MAX_LABELS, 4));
        merged.set("k03", "");
        merged.set("k19", "v");
        assert_eq!((merged.as_slice().len(), merged.refused), (MAX_LABELS, 4));

        let (long, longer) = ("k".repeat(MAX_KEY_BYTES), "k".repeat(MAX_KEY_BYTES + 1));
        let value = format!("{}ä", "v".repeat(MAX_VALUE_BYTES - 1));
        let mut merged = Merged::of(std::iter::empty());
        merged.set(&long, &value);
        merged.set(&longer, "v");
        merged.set("a\0b", "v");
        merged.set("b", "v\0w");
        merged.set("c", "\0");
        merged.cut_at_nuls();
        let kept = "v".repeat(MAX_VALUE_BYTES - 1);
        assert_eq!(
            merged.as_slice(),
            [("b", "v"), (long.as_str(), kept.as_str())]
        );
        assert_eq!((merged.refused, merged.cut), (2, 3));
    }
}
