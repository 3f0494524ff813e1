//! The sizes at which consumers refuse or cut: Pyroscope's defaults (its `validation.*` flags), the strictest of all.

/// `max-profile-size-bytes`.
pub(crate) const MAX_UNCOMPRESSED_BYTES: usize = 4 << 20;

/// `max-profile-stacktrace-samples`.
pub(crate) const MAX_SAMPLES: usize = 16_000;

/// `max-profile-stacktrace-depth`.
pub(crate) const MAX_DEPTH: usize = 1_000;

/// `max-profile-symbol-value-length`.
pub(crate) const MAX_NAME_BYTES: usize = 65_535;

/// `reject-older-than`.
pub(crate) const MAX_AGE_NANOS: i64 = 3_600 * 1_000_000_000;

/// `reject-newer-than`.
pub(crate) const MAX_AHEAD_NANOS: i64 = 600 * 1_000_000_000;

/// Not a consumer's but this crate's: frames that stand for no code (truncation, overflow, folding) have addresses
/// from here on.
pub(crate) const PSEUDO_ADDRESS_START: u64 = 0xffff_ffff_0000_0000;
