//! A future's labels are in force around each of its polls, on whatever thread, and around nothing else: at rate 1 each task
//! of hundreds on four threads has in use what it allocated, though they sleep between and are polled in turns.

mod labelled;
mod measured;
mod statistics;
mod validator;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use debug_pprof::labels::{self, LabelSet, scope, scoped};
use debug_pprof::{HeapProfile, ProfiledAllocator};
use measured::Block;
use tokio::runtime;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const TENANTS: usize = 8;
const TASKS: usize = 400;
const POLLS: usize = 20;

/// Pending once.
#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[inline(never)]
fn block(size: usize) -> Block {
    Block::new(size, 1)
}

async fn work(size: usize) -> Vec<Block> {
    let mut kept = Vec::new();
    for nth in 0..POLLS {
        let step = if nth % 2 == 0 { "even" } else { "odd" };
        // Across an await of its own.
        let inner = async {
            let one = block(size);
            Yield::default().await;
            [one, block(size)]
        };
        kept.extend(scoped(&[("step", step)], inner).await);
        Yield::default().await;
        kept.push(block(size));
    }
    kept
}

#[test]
fn each_task_has_its_own_on_many_threads() {
    const SIZE: usize = 20_011;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .expect("a runtime");
    let tasks: Vec<_> = (0..TASKS)
        .map(|nth| {
            let tenant = format!("t{}", nth % TENANTS);
            let unlabelled = runtime.spawn(async {
                Yield::default().await;
                block(SIZE)
            });
            // Inherits what is in force where it is made.
            let labelled = scope(&[("service", "s")], || {
                runtime.spawn(scoped(&[("tenant", &tenant)], work(SIZE)))
            });
            (labelled, unlabelled)
        })
        .collect();
    let kept: Vec<_> = tasks
        .into_iter()
        .map(|(labelled, unlabelled)| {
            runtime.block_on(async {
                (
                    labelled.await.expect("no panic"),
                    unlabelled.await.expect("no panic"),
                )
            })
        })
        .collect();
    let profile = HeapProfile::capture().expect("installed");
    let found = labelled::in_use(&profile, SIZE);
    let of_each = (TASKS / TENANTS * POLLS) as i64;
    for tenant in 0..TENANTS {
        for step in ["", "step=even,", "step=odd,"] {
            let labels = format!("service=s,{step}tenant=t{tenant}");
            let objects = found.get(&labels).map(|(objects, _)| *objects);
            assert_eq!(objects, Some(of_each), "{labels} of {found:?}");
        }
    }
    assert_eq!(found[""].0, TASKS as i64);
    assert_eq!(found.len(), TENANTS * 3 + 1);
    drop(kept);
}

/// A poll that panics leaves the thread as it was, and so does a poll inside another scope, whose labels are added.
#[test]
fn a_poll_leaves_its_thread_as_it_was() {
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut seen = Vec::new();
    let mut future = Box::pin(scoped(&[("tenant", "a")], async {
        loop {
            seen.push(labels::current().to_string());
            assert!(seen.len() < 5, "on purpose");
            Yield::default().await;
        }
    }));
    let mut poll = |outer: &[(&str, &str)]| {
        scope(outer, || {
            let before = labels::current();
            let polled = future.as_mut().poll(&mut context);
            assert_eq!(labels::current(), before);
            polled
        })
    };
    for outer in [
        &[][..],
        &[("tenant", "z"), ("zone", "1")],
        &[("zone", "2")],
        &[],
    ] {
        let polled: Poll<()> = poll(outer);
        assert_eq!(polled, Poll::Pending);
    }
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&[])));
    assert!(panics.is_err());
    assert_eq!(labels::current(), LabelSet::NONE);
    drop(future);
    assert_eq!(
        seen,
        [
            "tenant=a",
            "tenant=a, zone=1",
            "tenant=a, zone=2",
            "tenant=a",
            "tenant=a"
        ]
    );
}
