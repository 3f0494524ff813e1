//! At rate 1 what each set of labels has in use is what was allocated under it: scopes nest, inner values win, and what was
//! in force before is so again however a scope ends. The sets of a stack add up to it.

mod labelled;
mod measured;
mod statistics;
mod validator;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use debug_pprof::labels::{self, LabelSet, scope};
use debug_pprof::{HeapProfile, ProfiledAllocator};
use measured::Block;
use validator::{Kind, assert_valid};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

fn capture() -> HeapProfile {
    HeapProfile::capture().expect("installed")
}

/// From one line, so that all stacks of one caller are one.
#[inline(never)]
fn blocks(size: usize, count: usize) -> Vec<Block> {
    std::hint::black_box((0..count).map(|_| Block::new(size, 1)).collect())
}

#[track_caller]
fn assert_in_use(size: usize, expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, (i64, i64)> = expected
        .iter()
        .map(|(labels, count)| ((*labels).to_owned(), (*count as i64, (count * size) as i64)))
        .collect();
    assert_eq!(labelled::in_use(&capture(), size), expected);
}

#[test]
fn scopes_add_override_and_take_away() {
    const SIZE: usize = 10_007;
    let mut kept = blocks(SIZE, 1);
    scope(&[("tenant", "a"), ("route", "/x")], || {
        kept.extend(blocks(SIZE, 2));
        scope(&[("tenant", "b"), ("job", "1"), ("job", "2")], || {
            kept.extend(blocks(SIZE, 3));
            scope(&[("tenant", ""), ("route", ""), ("job", "")], || {
                kept.extend(blocks(SIZE, 4));
            });
        });
        scope(&[("route", "/x"), ("tenant", "a")], || {
            kept.extend(blocks(SIZE, 5));
        });
        let value = String::from("of a String, with \"quotes\" and\na line");
        scope(&[("tenant", &value)], || kept.extend(blocks(SIZE, 6)));
        kept.extend(blocks(SIZE, 7));
    });
    kept.extend(blocks(SIZE, 8));
    assert_in_use(
        SIZE,
        &[
            ("", 1 + 4 + 8),
            ("route=/x,tenant=a", 2 + 5 + 7),
            ("job=2,route=/x,tenant=b", 3),
            (
                "route=/x,tenant=of a String, with \"quotes\" and\na line",
                6,
            ),
        ],
    );
    // Freed without any: an object has the labels that it was allocated under.
    drop(kept);
    assert_in_use(SIZE, &[]);
    let allocated: i64 = labelled::allocated(&capture(), SIZE)
        .values()
        .map(|(objects, _)| objects)
        .sum();
    assert_eq!(allocated, (1..=8).sum::<i64>());
}

#[test]
fn a_panic_ends_a_scope() {
    const SIZE: usize = 10_009;
    let mut kept = Vec::new();
    scope(&[("tenant", "a")], || {
        let inner = catch_unwind(AssertUnwindSafe(|| {
            scope(&[("tenant", "b")], || {
                kept.extend(blocks(SIZE, 1));
                panic!("on purpose");
            })
        }));
        assert!(inner.is_err());
        kept.extend(blocks(SIZE, 2));
    });
    kept.extend(blocks(SIZE, 4));
    assert_in_use(SIZE, &[("tenant=b", 1), ("tenant=a", 2), ("", 4)]);
    assert_eq!(labels::current(), LabelSet::NONE);
}

#[test]
fn labels_are_a_threads_own_and_can_be_handed_over() {
    const SIZE: usize = 10_037;
    let mut kept = Vec::new();
    scope(&[("tenant", "a")], || {
        let labels = labels::current();
        assert_eq!(labels.to_string(), "tenant=a");
        let other = thread::spawn(move || {
            let mut kept = blocks(SIZE, 1);
            labels.scope(|| kept.extend(blocks(SIZE, 2)));
            labels
                .with(&[("route", "/y")])
                .scope(|| kept.extend(blocks(SIZE, 4)));
            kept
        });
        kept.extend(other.join().expect("no panic"));
        kept.extend(blocks(SIZE, 8));
    });
    assert_in_use(
        SIZE,
        &[("", 1), ("tenant=a", 2 + 8), ("route=/y,tenant=a", 4)],
    );
}

#[test]
fn a_realloc_has_the_labels_of_its_own_scope_and_growth_those_of_its_entries() {
    const SIZE: usize = 10_039;
    let mut block = scope(&[("tenant", "a")], || Block::new(SIZE - 1, 1));
    let before = capture();
    scope(&[("tenant", "b")], || block.resize(SIZE));
    let more = scope(&[("tenant", "c")], || blocks(SIZE, 3));
    let growth = capture().since(&before);
    let size = SIZE as i64;
    assert_eq!(
        labelled::in_use(&growth, SIZE),
        BTreeMap::from([
            ("tenant=b".to_owned(), (1, size)),
            ("tenant=c".to_owned(), (3, 3 * size))
        ])
    );
    assert_eq!(
        labelled::in_use(&growth, SIZE - 1),
        BTreeMap::from([("tenant=a".to_owned(), (-1, 1 - size))])
    );
    drop(more);
}

#[test]
fn what_is_written_says_the_same() {
    const SIZE: usize = 10_061;
    let mut kept = Vec::new();
    // One line: the same stack each time.
    for tenant in ["a", "b", "", "a"] {
        scope(&[("tenant", tenant), ("zone", "1")], || {
            kept.extend(blocks(SIZE, 2));
        });
    }
    let profile = HeapProfile::capture_by_age().expect("installed");
    let mut file = Vec::new();
    profile.write_pprof(&mut file).expect("a vector takes all");
    let file = assert_valid(&file, Kind::Heap);
    let size = SIZE as i64;
    assert_eq!(
        labelled::written(&file.proto, SIZE),
        BTreeMap::from([
            ("age=<1m,tenant=a,zone=1".to_owned(), 4 * size),
            ("age=<1m,tenant=b,zone=1".to_owned(), 2 * size),
            ("age=<1m,zone=1".to_owned(), 2 * size),
        ])
    );
    let mut text = Vec::new();
    profile.write_text(&mut text).expect("a vector takes all");
    let text = String::from_utf8(text).expect("UTF-8");
    let rows: Vec<&str> = text.lines().collect();
    for (head, row) in [
        (
            4,
            "# labels: {\"age\":\"<1m\", \"tenant\":\"a\", \"zone\":\"1\"}",
        ),
        (
            2,
            "# labels: {\"age\":\"<1m\", \"tenant\":\"b\", \"zone\":\"1\"}",
        ),
        (2, "# labels: {\"age\":\"<1m\", \"zone\":\"1\"}"),
    ] {
        let head = format!("{head}: {} [", head * SIZE);
        let is_there = rows
            .windows(2)
            .any(|pair| pair[0].starts_with(&head) && pair[1] == row);
        assert!(is_there, "{head} {row} in\n{text}");
    }
    drop(kept);
}

#[test]
fn keys_of_the_profilers_own_and_none_are_left_out_and_counted() {
    const SIZE: usize = 10_067;
    let refused = || debug_pprof::mem_stats().profiler.refused_labels;
    let before = refused();
    let own = [
        "", "bytes", "age", "type", "thread", "task", "source", "a\0b",
    ];
    let mut kept = Vec::new();
    for key in own {
        scope(&[(key, "mine"), ("tenant", "a")], || {
            kept.extend(blocks(SIZE, 1));
        });
    }
    assert_in_use(SIZE, &[("tenant=a", own.len())]);
    assert!(refused() - before >= own.len() as u64);
    let mut file = Vec::new();
    capture()
        .write_pprof(&mut file)
        .expect("a vector takes all");
    let comments = assert_valid(&file, Kind::Heap);
    let comments = comments.comments().join("\n");
    assert!(comments.contains("labels were left out"), "{comments}");
    drop(kept);
}
