//! For tests that count all that the process allocates: the harness has a thread, too.

use std::time::Duration;

/// Waits until the harness's thread, the process's first, sleeps until the test ends: on the way there it allocates. It
/// is asked for its state, because on a busy machine it may take any time.
pub(crate) fn wait() {
    let first = std::process::id();
    let stat = format!("/proc/self/task/{first}/stat");
    let mut asleep = 0;
    while asleep < 3 {
        let stat = std::fs::read_to_string(&stat).expect("of the first thread");
        // `123 (name) S …`
        let state = stat.rsplit(')').next().map(str::trim_start);
        let sleeps = state.is_some_and(|state| state.starts_with('S'));
        asleep = if sleeps { asleep + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(10));
    }
}
