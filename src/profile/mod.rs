//! Stage two, outside malloc: snapshot, scale, map, name, encode.
//!
//! ```text
//! record::buckets ─▶ heap (snapshot, scale, difference) ─▶ budget ─▶ pprof ─▶ gzip
//!                                                      │             ├ mappings, symbols, runtime_frames
//!                                                      └──────────▶ text
//! ```

mod budget;
mod empty;
mod frames;
mod heap;
mod mappings;
mod mem_stats;
mod pprof;
#[rustfmt::skip]
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    reason = "generated; see tests/generated_proto_is_fresh.rs"
)]
mod proto;
mod runtime_frames;
mod shims;
mod symbolizer;
mod symbols;
mod tables;
mod text;

use std::io::Write;
use std::sync::{Once, OnceLock};

use self::shims::Shims;
use self::symbols::Symbols;
use crate::record::{RateVariable, Suspended};

#[cfg(feature = "http")]
pub(crate) use self::empty::empty_pprof;
#[cfg(feature = "http")]
pub(crate) use self::heap::{DefaultSampleType, PprofView};
pub use self::heap::{HeapProfile, HeapRecord, HeapValues};
pub use self::mem_stats::{MemStats, ProfilerStats, mem_stats};

/// What this room remembers between profiles.
static PROFILES: Profiles = Profiles {
    symbols: Symbols::new(),
    shims: OnceLock::new(),
    reported: Once::new(),
};

struct Profiles {
    symbols: Symbols,
    shims: OnceLock<Shims>,
    reported: Once,
}

/// Number of memory buckets, the count that the index page shows.
#[cfg(feature = "http")]
pub(crate) fn bucket_count() -> usize {
    crate::record::counters().buckets
}

/// The linker (mangled) name of the function that contains `address`, a call address.
#[cfg(feature = "http")]
pub(crate) fn symbol_name(address: usize) -> Option<String> {
    symbolizer::linker_name(address)
}

/// Runs `work` with sampling off on this thread: what the profiler allocates for itself is neither sampled nor
/// counted towards the next sample. Frees of sampled blocks are still processed.
#[cfg(feature = "http")]
pub(crate) fn without_sampling<R>(work: impl FnOnce() -> R) -> R {
    let _own = Suspended::new();
    work()
}

/// Reports, once per process on stderr, the environment variables that hold a value the crate cannot use. The rate is
/// read inside malloc, where nothing may be written.
pub(crate) fn report_bad_environment() {
    PROFILES.reported.call_once(|| {
        let _own = Suspended::new();
        if RateVariable::read() == RateVariable::Bad {
            // Not `eprintln!`, which panics if stderr is a closed pipe.
            let _ = writeln!(
                std::io::stderr(),
                "debug-pprof: {} must be a whole number of bytes (0 is off, 1 samples everything); it is ignored",
                RateVariable::NAME.to_string_lossy()
            );
        }
    });
}
