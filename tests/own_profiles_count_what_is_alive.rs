//! A profile of one's own has exactly what was added and not dropped, on whatever thread and however it ended, under the stack
//! of whoever added it and the labels that were in force. Profiles of one name are one; what cannot be one is refused, with
//! the remedy, and takes nothing down.

mod fork_child;
mod validator;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use debug_pprof::labels::scope;
use debug_pprof::{Profile, ProfileEntry};
use fork_child::End;
use validator::{Kind, assert_valid};

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

static CONNECTIONS: Profile = Profile::new("connections");

#[inline(never)]
fn connect() -> ProfileEntry {
    black_box(CONNECTIONS.add())
}

#[inline(never)]
fn connect_otherwise() -> ProfileEntry {
    black_box(CONNECTIONS.add())
}

/// Counts by function of the leaf and labels.
fn written() -> BTreeMap<(String, String), i64> {
    let mut file = Vec::new();
    CONNECTIONS
        .write_pprof(&mut file)
        .expect("a vector takes all");
    let profile = assert_valid(&file, Kind::named("connections").expect("it is known"));
    let string = |index: i64| profile.proto.string_table[index as usize].as_str();
    let mut counts = BTreeMap::new();
    for sample in &profile.proto.sample {
        let location = &profile.proto.location[sample.location_id[0] as usize - 1];
        // Of what is inlined, the outermost: each of these functions has a frame.
        let line = location.line.last().expect("a name");
        let function = &profile.proto.function[line.function_id as usize - 1];
        let name = string(function.name).rsplit("::").next().expect("a part");
        let labels: Vec<String> = sample
            .label
            .iter()
            .map(|label| format!("{}={}", string(label.key), string(label.str)))
            .collect();
        *counts
            .entry((name.to_owned(), labels.join(",")))
            .or_default() += sample.value[0];
    }
    counts
}

#[track_caller]
fn assert_alive(expected: &[(&str, &str, i64)]) {
    let total: i64 = expected.iter().map(|(.., count)| count).sum();
    assert_eq!(CONNECTIONS.count() as i64, total);
    if !cfg!(feature = "symbolize") {
        return;
    }
    let expected: BTreeMap<(String, String), i64> = expected
        .iter()
        .map(|(function, labels, count)| (((*function).into(), (*labels).into()), *count))
        .collect();
    assert_eq!(written(), expected);
}

// One test: the steps share one profile.
#[test]
fn own_profiles_count_what_is_alive() {
    assert_alive(&[]);
    let mut text = Vec::new();
    CONNECTIONS
        .write_text(&mut text)
        .expect("a vector takes all");
    assert_eq!(text, b"connections profile: total 0\n");

    let kept: Vec<_> = (0..10).map(|_| connect()).collect();
    let others = scope(&[("tenant", "a")], || [connect_otherwise(), connect()]);
    assert_alive(&[
        ("connect", "", 10),
        ("connect_otherwise", "tenant=a", 1),
        ("connect", "tenant=a", 1),
    ]);

    // Dropped on other threads, while others add.
    let (give, take) = mpsc::channel::<ProfileEntry>();
    let dropping = thread::spawn(move || take.into_iter().for_each(drop));
    thread::scope(|scope| {
        for _ in 0..4 {
            let give = give.clone();
            scope.spawn(move || {
                for nth in 0..5_000 {
                    let entry = connect_otherwise();
                    match nth % 3 {
                        0 => give.send(entry).expect("it takes all"),
                        1 => drop(entry),
                        _ => drop(connect()),
                    }
                }
            });
        }
    });
    for entry in kept {
        give.send(entry).expect("it takes all");
    }
    drop(give);
    dropping.join().expect("no panic");
    assert_alive(&[
        ("connect_otherwise", "tenant=a", 1),
        ("connect", "tenant=a", 1),
    ]);

    // A panic drops what it unwinds through.
    let panics = catch_unwind(AssertUnwindSafe(|| {
        let _alive = connect();
        assert_eq!(CONNECTIONS.count(), 3);
        panic!("on purpose");
    }));
    assert!(panics.is_err());

    // A fork child has what its parent had, and goes on by itself.
    let end = fork_child::ask(60, || {
        let before = CONNECTIONS.count();
        let more = [connect(), connect()];
        let during = CONNECTIONS.count();
        drop(more);
        (before, during, CONNECTIONS.count()) == (2, 4, 2)
    });
    assert_eq!(end.end(), End::Yes);

    // One name, one profile.
    static AGAIN: Profile = Profile::new("connections");
    let again = Profile::named(&format!("connec{}", "tions")).expect("a name");
    let more = [AGAIN.add(), again.add()];
    assert_eq!(
        [CONNECTIONS.count(), AGAIN.count(), again.count()],
        [4, 4, 4]
    );
    drop(more);
    drop(others);
    assert_alive(&[]);
}

#[test]
fn what_cannot_be_a_profile_is_refused_and_takes_nothing_down() {
    static BAD: Profile = Profile::new("heap?debug=1");
    let entry = BAD.add();
    assert_eq!(BAD.count(), 0);
    drop(entry);
    let error = BAD.register().expect_err("no name").to_string();
    assert!(
        error.contains("\"heap?debug=1\"") && error.contains("choose another"),
        "{error}"
    );
    assert!(Profile::named("heap").is_err());
    // As many as there may be, and one more.
    let made: Vec<_> = (0..64)
        .map(|nth| Profile::named(&format!("many/{nth}")))
        .collect();
    let error = made.into_iter().find_map(Result::err);
    let error = error.expect("some are there already").to_string();
    assert!(error.contains("64 profiles"), "{error}");
    let known = Profile::named("many/0").expect("it is known");
    let entry = known.add();
    assert_eq!(known.count(), 1);
    drop(entry);
}
