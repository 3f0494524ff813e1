//! The rate can change at any time: it takes effect in every thread at its next allocation, history keeps its scale,
//! and blocks sampled before are still recognised when they are freed.

use std::sync::mpsc::channel;

use debug_pprof::{HeapProfile, HeapValues, ProfiledAllocator, sample_rate, set_sample_rate};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(0);

fn of_size(profile: &HeapProfile, size: usize) -> HeapValues {
    let records = profile
        .records()
        .iter()
        .filter(|record| record.size() == Some(size));
    records.fold(HeapValues::default(), |sum, record| sum + record.estimate())
}

fn now(size: usize) -> HeapValues {
    of_size(&HeapProfile::capture().expect("installed"), size)
}

#[test]
fn rate_changes_at_any_time() {
    assert_eq!(sample_rate(), 0, "the rate of the source");
    let (ask, asked) = channel::<usize>();
    let (answer, answered) = channel::<Vec<u8>>();
    // A thread that has drawn its countdown, for ever, under rate 0.
    let other = std::thread::spawn(move || {
        for size in asked {
            answer.send(vec![1; size]).expect("the test listens");
        }
    });
    let elsewhere = |size| {
        ask.send(size).expect("the thread listens");
        answered.recv().expect("an answer")
    };

    drop((vec![1_u8; 30_011], elsewhere(30_011)));
    assert_eq!(
        now(30_011),
        HeapValues::default(),
        "nothing is sampled at rate 0"
    );

    set_sample_rate(1);
    assert_eq!(sample_rate(), 1);
    let (here, there) = (vec![1_u8; 30_013], elsewhere(30_013));
    assert_eq!(
        (now(30_013).alloc_objects, now(30_013).inuse_objects),
        (2, 2),
        "everything is sampled at once"
    );

    // History keeps its scale under any later rate, off included.
    for rate in [524_288, 0, 64, usize::MAX] {
        set_sample_rate(rate);
        assert_eq!(now(30_013).inuse_space, 2 * 30_013, "at rate {rate}");
    }
    set_sample_rate(0);
    let unseen = vec![1_u8; 30_029];
    assert_eq!(now(30_029).alloc_objects, 0);
    drop((here, there, unseen));
    assert_eq!(
        now(30_013).inuse_objects,
        0,
        "frees are processed while sampling is off"
    );
    assert_eq!(now(30_013).alloc_objects, 2);
    drop(ask);
    other.join().expect("no panic");
}
