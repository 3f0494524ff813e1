//! The kinds of work that the benches measure. A program that sets a `#[global_allocator]` and calls [`answer`] is a
//! *side* of a comparison: it does one round of one kind when it is told to.

mod blocks;
mod churn;
mod cross_thread;
mod growth;
mod json;
mod maps;
mod pairs;
mod protocol;
mod random;
mod requests;
mod survivors;
mod threads;
mod used_heap;
mod worker;
mod zeroed;

pub use protocol::answer;
pub use random::Random;
pub use survivors::{Resident, churn_with_survivors};

/// One kind of work.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What a table's row is called.
    pub name: &'static str,
    /// What it counts for.
    pub group: Group,
    /// Sets it up in this process.
    start: fn() -> Started,
}

/// Set-up work: does as many operations as it is told.
type Started = Box<dyn FnMut(u64)>;

/// What a kind counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The mean over all work. Blocks are written in full, as programs do that ask for memory.
    Mean,
    /// Pairs of `alloc` and `dealloc` of so many bytes that nobody touches: the allocator alone, which no program does, and
    /// what its share of samples costs.
    Untouched(usize),
    /// The same on one thread and on two, on data that fits their caches: what does not scale is the allocator.
    Scaling,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const fn mean(name: &'static str, start: fn() -> Started) -> Kind {
    let group = Group::Mean;
    Kind { name, group, start }
}

const fn untouched(name: &'static str, bytes: usize, start: fn() -> Started) -> Kind {
    let group = Group::Untouched(bytes);
    Kind { name, group, start }
}

const fn scaling(name: &'static str, start: fn() -> Started) -> Kind {
    let group = Group::Scaling;
    Kind { name, group, start }
}

/// All of them, in the order of the table.
pub const KINDS: [Kind; 24] = [
    mean("pair 16 B", || pairs::written(16)),
    mean("pair 64 B", || pairs::written(64)),
    mean("pair 256 B", || pairs::written(256)),
    mean("pair 4 KiB", || pairs::written(4 * KIB)),
    mean("pair 64 KiB", || pairs::written(64 * KIB)),
    mean("churn, 1 thread", || churn::start(1, churn::LARGE)),
    mean("churn, 2 threads", || churn::start(2, churn::LARGE)),
    mean("Vec to 32 KiB", || growth::start(32 * KIB)),
    mean("Vec to 64 MiB", || growth::start(64 * MIB)),
    mean("16 MiB zeroed", zeroed::written),
    mean("JSON", json::start),
    mean("BTreeMap of Strings", maps::start),
    mean("cross-thread frees", cross_thread::start),
    mean("short-lived threads", threads::start),
    mean("requests", requests::start),
    untouched("pair 16 B, untouched", 16, || pairs::untouched(16)),
    untouched("pair 64 B, untouched", 64, || pairs::untouched(64)),
    untouched("pair 256 B, untouched", 256, || pairs::untouched(256)),
    untouched("pair 4 KiB, untouched", 4 * KIB, || {
        pairs::untouched(4 * KIB)
    }),
    untouched("pair 64 KiB, untouched", 64 * KIB, || {
        pairs::untouched(64 * KIB)
    }),
    untouched("pair 1 MiB, untouched", MIB, || pairs::untouched(MIB)),
    scaling("small churn, 1 thread", || churn::start(1, churn::SMALL)),
    scaling("small churn, 2 threads", || churn::start(2, churn::SMALL)),
    untouched("16 MiB zeroed, untouched", 16 * MIB, zeroed::untouched),
];
