//! Sees to it that the unwinder has tables of what is loaded: asked whenever a profile is taken or a server starts.

use super::own_thread::on_own_thread;
use super::{all_mappings, bare_thread};
use crate::record::{self, Suspended};

/// Bytes of stack of the thread that makes them; address space, not memory.
const STACK: usize = 2 << 20;

/// Has the tables brought up to date, on a thread of their own, if something was loaded or unloaded. Does not wait: until
/// they are ready, stacks that need them are walked the slow way.
pub(crate) fn refresh() {
    if record::sample_rate().is_none() || !record::delta().is_stale() {
        return;
    }
    let _own = Suspended::new();
    // What is sampled in a library from now on can be told apart from what may take its place.
    let _ = all_mappings();
    // Without a thread to spare the next profile tries again.
    bare_thread::run_alone(STACK, || {
        on_own_thread(c"debug-pprof-cfi", || record::delta().refresh());
    });
}
