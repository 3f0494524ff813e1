//! The bounds on what the profiler keeps in memory, as values a user can set.

/// Bounds on what the profiler keeps. At each of them samples are folded into one entry that says so, totals stay
/// true, and the fold is counted: see [`ProfilerStats`](crate::ProfilerStats).
///
/// ```
/// use debug_pprof::{Limits, ProfiledAllocator};
///
/// const LIMITS: Limits = Limits { live_records: 4 << 20, ..Limits::DEFAULT };
///
/// #[global_allocator]
/// static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1).limits(LIMITS);
/// # fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Distinct entries: of stack, size, rate and labels. One costs 56 bytes and 8 for each frame, and is never freed. The
    /// last quarter is for stacks: new sizes of a stack are then counted together, in one bucket of 136 bytes and 8 for each
    /// frame; and in the last eighth whatever labels they have.
    pub buckets: usize,
    /// Sampled blocks that are alive at one time. One costs about 32 bytes.
    pub live_records: usize,
    /// Frames kept of a stack, from the leaf; at most [`Limits::MAX_DEPTH`].
    pub depth: usize,
    /// Samples in one profile; the smallest beyond it are folded into `[truncated]`. At least 1.
    pub profile_samples: usize,
    /// Bytes of one profile before compression, kept in the same way. Names dominate it.
    pub profile_bytes: usize,
    /// Distinct sets of [`labels`](crate::labels), of 256 bytes on average. Memory for them is taken with the first, once,
    /// and never freed; beyond it a scope with new labels has none.
    pub label_sets: usize,
    /// Distinct stacks, with their labels, of all [`Profile`](crate::Profile)s of one's own together. One costs 56 bytes and 8
    /// for each frame, and is never freed; how many things are counted on it costs nothing.
    pub custom_stacks: usize,
}

impl Limits {
    /// The most frames of a stack that can be kept, Go's default. The buffer for them is on the sampling thread's
    /// stack: 8 bytes a frame.
    pub const MAX_DEPTH: usize = 128;

    /// 65 536 buckets (about 20 MiB at 30 frames), 1 048 576 live records (512 GiB of live heap at the default
    /// rate; about 32 MiB), 128 frames; profiles of 16 000 samples and 4 MiB, which is what Pyroscope takes; 4 096 sets of
    /// labels (1 MiB); 16 384 stacks of profiles of one's own (about 5 MiB at 30 frames).
    pub const DEFAULT: Limits = Limits {
        buckets: 1 << 16,
        live_records: 1 << 20,
        depth: Self::MAX_DEPTH,
        profile_samples: 16_000,
        profile_bytes: 4 << 20,
        label_sets: 4096,
        custom_stacks: 1 << 14,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
