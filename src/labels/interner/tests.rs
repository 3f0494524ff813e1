//! The interner against a `HashMap`, alone and with threads, and at its limit.

use std::collections::HashMap;

use super::*;
use crate::record::SplitMix;

fn insert(sets: &Interner, labels: &[(&str, &str)], limit: usize) -> Option<LabelSet> {
    sets.find_or_insert_sorted(labels, || limit)
}

/// A set out of some hundreds.
fn random_set(random: &mut SplitMix) -> Vec<(String, String)> {
    let mut keys: Vec<String> = (0..1 + random.next() % 3)
        .map(|nth| format!("key{}", nth * 3 + random.next() % 3))
        .collect();
    keys.dedup();
    let value = |random: &mut SplitMix| "value".repeat(random.next() as usize % 3 + 1);
    keys.into_iter().map(|key| (key, value(random))).collect()
}

fn borrowed(set: &[(String, String)]) -> Vec<(&str, &str)> {
    set.iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

#[test]
fn each_set_has_one_number_and_is_read_back() {
    let sets = Interner::new();
    let mut model: HashMap<Vec<(String, String)>, LabelSet> = HashMap::new();
    let mut random = SplitMix::new(3);
    for _ in 0..20_000 {
        let set = random_set(&mut random);
        let found = insert(&sets, &borrowed(&set), 4096).expect("room");
        assert_eq!(*model.entry(set).or_insert(found), found);
    }
    assert!(model.len() > 100);
    assert_eq!(sets.counters().sets, model.len());
    for (set, number) in &model {
        assert!(sets.get(*number).eq(borrowed(set)));
    }
    assert_eq!(sets.get(LabelSet::NONE).count(), 0);
    assert_eq!(sets.get(LabelSet::numbered(4097)).count(), 0);
}

#[test]
fn sets_of_the_same_text_are_told_apart() {
    let sets = Interner::new();
    let cases: [&[(&str, &str)]; 6] = [
        &[("a", "bc")],
        &[("ab", "c")],
        &[("a", "b"), ("c", "d")],
        &[("a", "bcd")],
        &[("a", "b\0")],
        &[("a", "b")],
    ];
    let numbers: Vec<_> = cases.iter().map(|set| insert(&sets, set, 8)).collect();
    for (nth, number) in numbers.iter().enumerate() {
        assert!(number.is_some() && !numbers[..nth].contains(number));
    }
}

#[test]
fn threads_that_insert_the_same_sets_get_the_same_numbers() {
    for seed in 0..20 {
        let sets = Interner::new();
        let start = std::sync::Barrier::new(4);
        let work = || {
            let mut random = SplitMix::new(seed);
            start.wait();
            (0..500)
                .map(|_| {
                    let set = random_set(&mut random);
                    let found = insert(&sets, &borrowed(&set), 4096).expect("room");
                    assert!(sets.get(found).eq(borrowed(&set)));
                    found
                })
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(all.iter().all(|one| *one == all[0]));
    }
}

#[test]
fn a_flood_stays_within_the_limit_and_known_sets_are_still_found() {
    for (limit, value_bytes) in [(1, 1), (10, 1), (100, MAX_VALUE_BYTES), (0, 1)] {
        let sets = Interner::new();
        let mut known = 0;
        let values = |nth: usize| format!("{nth:0>value_bytes$}");
        for nth in 0..1000 {
            let value = values(nth);
            // Sets of the largest kind use up the bytes before the number.
            let labels = [("a", value.as_str()), ("b", &value), ("c", &value)];
            known += usize::from(insert(&sets, &labels, limit).is_some());
        }
        assert!(known <= limit && known * 2 >= limit, "{known} of {limit}");
        assert_eq!(sets.counters().sets, known);
        assert!(sets.counters().memory <= limit * (SET_BYTES + 4) + 8192);
        let value = values(0);
        let first = [("a", value.as_str()), ("b", &value), ("c", &value)];
        assert_eq!(insert(&sets, &first, limit).is_some(), limit > 0);
    }
}
