//! Four threads give each other's addresses to each other, at rate 1: no record is lost, stolen or left behind.

mod hand_over;
mod own_process;

use debug_pprof::ProfiledAllocator;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

#[test]
fn addresses_that_change_hands_keep_their_records() {
    let times = if own_process::is_long() {
        10_000_000
    } else {
        100_000
    };
    assert_eq!(hand_over::outcome(times), hand_over::expected(times));
}
