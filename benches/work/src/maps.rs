//! A map of strings, filled and emptied: nodes and keys side by side.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::Started;
use crate::random::Random;

const ENTRIES: u64 = 1_000;

/// Operation: a map of 1 000 Strings to Strings is filled in random order and dropped.
pub(crate) fn start() -> Started {
    let mut random = Random::new(7);
    Box::new(move |count| {
        for _ in 0..count {
            let mut map = BTreeMap::new();
            for nth in 0..ENTRIES {
                let key = format!("{:016x}", random.draw());
                map.insert(key, format!("the value of entry {nth}"));
            }
            black_box(map);
        }
    })
}
