//! What is folded adds up, for years.

use super::*;

#[test]
fn years_of_small_objects_are_counted() {
    let totals = Totals::new();
    // 3 000 million objects of 16 bytes a second for 90 days: 80 times what one counter of parts, of 64 bits,
    // could hold.
    let objects = 3_000_000_000 * 90 * 86_400_u64;
    totals.objects.store(objects, Ordering::Relaxed);
    totals.add(16, 524_288);
    let read = totals.read();
    assert_eq!(read.objects, objects + 32_768);
    assert_eq!(read.bytes, 524_296);
}

#[test]
fn parts_of_objects_add_up() {
    let folded = Folded::new();
    for _ in 0..1_000 {
        folded.count_alloc(524_288, 524_288);
        folded.count_free(524_288, 524_288);
    }
    let (allocs, frees) = folded.totals();
    // Each stands for 1.582 objects.
    assert_eq!((allocs.samples, allocs.objects), (1_000, 1_581));
    assert_eq!(allocs, frees);
}

#[test]
fn counters_at_their_end_saturate_what_is_read() {
    let totals = Totals::new();
    totals.objects.store(u64::MAX, Ordering::Relaxed);
    totals.parts.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(totals.read().objects, u64::MAX);
}
