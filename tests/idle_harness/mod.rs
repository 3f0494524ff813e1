//! For tests that count all that the process allocates: the harness has a thread, too.

use std::time::Duration;

use debug_pprof::HeapProfile;

/// Waits until the harness's thread waits for the test: on the way there it allocates.
pub(crate) fn wait() {
    let count = || {
        HeapProfile::capture()
            .expect("installed")
            .total()
            .alloc_objects
    };
    let mut before = count();
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let now = count();
        if now == before {
            return;
        }
        before = now;
    }
}
