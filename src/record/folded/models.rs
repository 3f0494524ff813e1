//! The folded totals in every order of three threads: no reader sees more frees than allocs.

use std::sync::Arc;

use super::*;
use crate::record::shared::model::{Hand, at_once, every_order};

#[derive(Debug)]
struct World {
    folded: Folded,
    hand: Hand,
}

#[test]
fn loom_folded_frees_are_never_ahead() {
    every_order(3, || {
        let world = Arc::new(World {
            folded: Folded::new(),
            hand: Hand::empty(),
        });
        at_once(
            &world,
            &[
                |world| {
                    world.folded.count_alloc(24, 1);
                    world.hand.give(24);
                },
                |world| {
                    if let Some(size) = world.hand.take() {
                        world.folded.count_free(size, 1);
                    }
                },
                |world| {
                    let (allocs, frees) = world.folded.totals();
                    assert!(frees.samples <= allocs.samples, "{frees:?} of {allocs:?}");
                    assert!(
                        frees.sampled_bytes <= allocs.sampled_bytes,
                        "{frees:?} of {allocs:?}"
                    );
                    assert!(frees.objects <= allocs.objects, "{frees:?} of {allocs:?}");
                    assert!(frees.bytes <= allocs.bytes, "{frees:?} of {allocs:?}");
                },
            ],
        );
    });
}
