//! Stage two, outside malloc: snapshot, scale, map, name, encode.
//!
//! ```text
//! record::buckets ─▶ heap (snapshot, scale, difference) ─▶ budget ─▶ pprof ─▶ encoder
//!                                                      │             ├ mappings, symbols, runtime_frames
//!                                                      └──────────▶ text
//! ```

mod ages;
mod bare_thread;
mod budget;
mod by_site;
#[cfg(feature = "http")]
mod collapsed;
#[cfg(feature = "http")]
mod cpu;
mod encoder;
mod format;
mod frames;
#[cfg(feature = "http")]
mod goroutines;
mod heap;
mod interned;
#[cfg(feature = "http")]
mod json;
mod largest;
mod loader;
mod mappings;
mod names;
mod object_headers;
mod own_thread;
mod pieces;
mod pprof;
mod profiler_stats;
#[rustfmt::skip]
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    reason = "generated; see tests/generated_proto_is_fresh.rs"
)]
mod proto;
mod raw;
mod remembered;
mod reread;
mod rss;
mod runtime_frames;
mod segments;
mod shims;
mod sites;
mod spool;
#[cfg(feature = "http")]
mod stack_names;
mod stacks;
mod status;
#[cfg(feature = "http")]
mod string_table;
mod symbol_cache;
mod symbolizer;
mod symbols;
mod tables;
#[cfg(feature = "http")]
mod task_estimates;
#[cfg(feature = "http")]
mod tasks;
mod text;
#[cfg(feature = "http")]
mod thread_starts;
mod types;
mod unwind_tables;
mod waits;

use std::io::Write;

use self::remembered::Remembered;
use self::shims::KnownShims;
use self::symbols::Symbols;
use crate::record::{self, Suspended};

pub use self::ages::AgeClass;
#[cfg(feature = "http")]
pub(crate) use self::ages::Ages;
pub(crate) use self::bare_thread::{BareThread, start_alone};
#[cfg(feature = "http")]
pub(crate) use self::cpu::{CPU_TYPES, DEFAULT_HZ, cpu_profile};
pub(crate) use self::format::ProfileFormat;
#[cfg(feature = "http")]
pub(crate) use self::goroutines::{goroutine_dump, goroutines, thread_creations};
pub(crate) use self::heap::Summary;
#[cfg(feature = "http")]
pub(crate) use self::heap::{BucketCounts, DefaultSampleType, PprofView, weight};
pub use self::heap::{HeapProfile, HeapRecord, HeapValues};
#[cfg(feature = "http")]
pub(crate) use self::json::string as json_string;
pub(crate) use self::largest::mib;
pub(crate) use self::own_thread::on_own_thread;
pub(crate) use self::pieces::Pieces;
pub use self::profiler_stats::ProfilerStats;
pub(crate) use self::raw::{RAW_BYTES, RawProfile, Written};
pub(crate) use self::reread::{Unreadable, reread};
#[cfg(feature = "http")]
pub(crate) use self::stack_names::{NamedFrame, stack_names};
pub(crate) use self::stacks::StackProfile;
pub(crate) use self::status::Status;
#[cfg(feature = "http")]
pub(crate) use self::tasks::{leak_dump, leaked_tasks};
pub(crate) use self::unwind_tables::refresh as refresh_unwind_tables;

/// What this room remembers between profiles.
static PROFILES: Profiles = Profiles {
    symbols: Symbols::new(),
    shims: KnownShims::new(),
    remembered: Remembered::new(),
};

struct Profiles {
    symbols: Symbols,
    shims: KnownShims,
    remembered: Remembered,
}

/// What this process has loaded, and of what it had loaded what is remembered.
fn all_mappings() -> mappings::Mappings {
    PROFILES.remembered.mappings()
}

/// What tells this process from its fork children, and from the process that it was forked from.
#[cfg(feature = "http")]
pub(crate) fn process() -> u64 {
    record::process()
}

/// Number of memory buckets, the count that the index page shows.
#[cfg(feature = "http")]
pub(crate) fn bucket_count() -> usize {
    record::counters().buckets
}

/// Hands `named` the linker (mangled) names of the functions that contain `addresses`, call addresses: each once, in
/// their order as numbers; those that have none are left out.
#[cfg(feature = "http")]
pub(crate) fn symbol_names(addresses: Vec<usize>, named: &mut (dyn FnMut(usize, &str) + Send)) {
    let _own = Suspended::new();
    PROFILES
        .symbols
        .linker_names(addresses, &mappings::Mappings::read(), named);
}

/// Bytes that are allocated now, estimated. Takes no memory.
pub(crate) fn in_use_bytes() -> i64 {
    let _own = Suspended::new();
    heap::Summary::now().total.inuse_space
}

/// Runs `work` with sampling off on this thread: what the profiler allocates for itself is neither sampled nor
/// counted towards the next sample. Frees of sampled blocks are still processed.
pub(crate) fn without_sampling<R>(work: impl FnOnce() -> R) -> R {
    let _own = Suspended::new();
    work()
}

/// Bytes that can still be allocated before a limit of the control group is hit; `u64::MAX` where there is none or, without
/// the feature `symbolize`, always.
#[cfg(feature = "http")]
pub(crate) fn memory_headroom() -> u64 {
    #[cfg(feature = "symbolize")]
    return symbolizer::headroom();
    #[cfg(not(feature = "symbolize"))]
    return u64::MAX;
}

/// Reports, once per process on stderr, an environment variable that holds a value the crate cannot use. The rate is
/// read inside malloc, where nothing may be written.
pub(crate) fn report_bad_environment() {
    if record::take_bad_rate_variable() {
        let _own = Suspended::new();
        // Not `eprintln!`, which panics if stderr is a closed pipe.
        let _ = writeln!(
            std::io::stderr(),
            "debug-pprof: {} must be a whole number of bytes (0 is off, 1 samples everything); it is ignored",
            record::RATE_VARIABLE.to_string_lossy()
        );
    }
}
