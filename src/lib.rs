//! skeleton
mod allocator;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod limits;
mod profile;
mod record;
mod scale;
mod stack;

pub use allocator::ProfiledAllocator;
pub use error::Error;
pub use limits::Limits;
pub use profile::HeapProfile;

/// The default of [`ProfiledAllocator::sample_every`], Go's: one sample per 512 KiB allocated on average.
///
/// Half of it doubles the samples, their cost and their memory, and takes a profile's error down by √2.
pub const DEFAULT_SAMPLE_RATE: usize = 512 * 1024;
