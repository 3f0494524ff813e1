//! The forms that a profile is written in, all of the same parts: see `Encoder`.

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProfileFormat {
    /// Gzipped protobuf, for `go tool pprof` and every pprof service.
    Pprof,
    /// For a page: see `json.rs`.
    #[cfg(feature = "http")]
    Json,
    /// A line for each sample, for flame graph tools: see `collapsed.rs`.
    #[cfg(feature = "http")]
    Collapsed {
        /// Which of a sample's values is written, from 0.
        value: usize,
    },
}
