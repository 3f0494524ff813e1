//! A process may fork while its other threads make sets of labels: each child makes its own, finds those of its parent, and
//! has them on its samples.
//!
//! The control has a lock around what makes them, as an interner with a lock has: children hang.

mod fork_child;
mod labelled;
mod measured;
mod statistics;
mod validator;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use debug_pprof::labels::{self, scope};
use debug_pprof::{HeapProfile, Limits, ProfiledAllocator};
use fork_child::{End, ask};
use measured::Block;

/// Room for new sets as long as the test runs.
const LIMITS: Limits = Limits {
    label_sets: 1 << 20,
    ..Limits::DEFAULT
};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);

const SIZE: usize = 60_013;

/// Ends a child that hangs; no child is measured by it.
const WATCHDOG_SECONDS: u32 = 60;

static LOCK: Mutex<()> = Mutex::new(());

/// Number `nth` has never been made before, but if a fork child makes what its parent has made since.
fn made(nth: usize, is_locked: bool) -> labels::LabelSet {
    let value = format!("{nth}");
    let _held = is_locked.then(|| LOCK.lock());
    labels::current().with(&[("request", &value)])
}

fn live_on(parents: labels::LabelSet, nth: usize, is_locked: bool) -> bool {
    let before: Vec<_> = (nth..nth + 20).map(|nth| made(nth, is_locked)).collect();
    let is_right = (nth..)
        .zip(&before)
        .all(|(nth, set)| set.to_string() == format!("request={nth}"));
    let own = scope(&[("child", "c")], || parents.with(&[("child", "c")]));
    let block = own.scope(|| Block::new(SIZE, 1));
    let profile = HeapProfile::capture().expect("installed");
    let found = labelled::in_use(&profile, SIZE);
    drop(block);
    is_right && found.get("child=c,tenant=a").map(|one| one.0) == Some(1) && found.len() == 1
}

/// The end of the first child that does not live on.
fn fork_under_load(forks: usize, seconds: u32, is_locked: bool) -> Option<End> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let parents = labels::current().with(&[("tenant", "a")]);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let nth = NEXT.fetch_add(1, Ordering::Relaxed);
                    // The last eighth is the children's.
                    made(nth % (LIMITS.label_sets / 8 * 7), is_locked);
                }
            });
        }
        let ends = (0..forks).map(|nth| {
            let first = 2_000_000 + nth * 1_000;
            ask(seconds, || live_on(parents, first, is_locked)).end()
        });
        let bad = ends.into_iter().find(|end| *end != End::Yes);
        stop.store(true, Ordering::Relaxed);
        bad
    })
}

#[test]
fn forks_while_labels_are_made_never_hang() {
    let end = fork_under_load(60, WATCHDOG_SECONDS, false);
    assert_eq!(end, None);
    // With the lock the first that is forked while it is held never ends.
    let end = fork_under_load(2_000, 1, true);
    assert_eq!(end, Some(End::Hung));
}
