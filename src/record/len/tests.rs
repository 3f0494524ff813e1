use super::*;

const SHARD: Shard = Shard(3);

#[test]
fn the_limit_is_exact_for_one_thread_whatever_shard_the_places_are_in() {
    for limit in [0, 1, 10, 31, 32, 33, 1000, 5000] {
        let len = Len::new();
        let added = |shard: Shard| {
            (0..2 * limit + 5)
                .filter(|_| len.add(shard, limit).is_ok())
                .count()
        };
        assert_eq!((added(SHARD), len.total()), (limit, limit));
        // Freed by another thread, and free for a third.
        (0..limit / 2).for_each(|_| len.sub(Shard(7)));
        assert_eq!(len.total(), limit - limit / 2);
        assert_eq!((added(Shard(0)), len.total()), (limit / 2, limit));
    }
}

#[test]
fn many_threads_never_pass_the_limit_and_the_count_is_exact_when_they_are_done() {
    for limit in [0, 1, 10, 1000, 5000] {
        let len = Len::new();
        let kept: usize = std::thread::scope(|scope| {
            let one = |thread: u64| {
                let len = &len;
                scope.spawn(move || {
                    let mut kept = 0;
                    for nth in 0..20_000 {
                        if nth % 3 < 2 && len.add(Shard::of_thread(thread), limit).is_ok() {
                            kept += 1;
                        } else if kept > 0 {
                            len.sub(Shard::of_thread(thread + nth % 2));
                            kept -= 1;
                        }
                        assert!(len.reserved() <= limit);
                    }
                    kept
                })
            };
            let threads: Vec<_> = (0..4).map(one).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!(kept <= limit);
        assert_eq!(len.total(), kept);
    }
}

#[test]
fn what_is_reserved_is_a_close_upper_bound_and_places_go_back() {
    let len = Len::new();
    for nth in 0..10_000 {
        len.add(Shard::of_thread(nth), usize::MAX).unwrap();
    }
    assert!((10_000..=10_000 + 2 * BATCH * SHARDS).contains(&len.reserved()));
    (0..10_000).for_each(|_| len.sub(SHARD));
    assert_eq!(len.total(), 0);
    assert!(len.reserved() <= 2 * BATCH * SHARDS);
}
