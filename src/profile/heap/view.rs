//! How a profile is written: what its values are and what its file says beside them.

use crate::profile::format::ProfileFormat;

/// What the four values of a profile's entries are, in the order of `HeapValues::in_order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Go's.
    Heap,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint asks for leaks")
    )]
    /// What has grown and is old: objects, bytes, bytes an hour, and all that is as old. One entry a stack, of objects of
    /// all sizes.
    Leaks,
}

/// How a profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PprofView {
    /// What `go tool pprof` opens on: the profile's `default_sample_type`.
    pub(crate) default_sample_type: DefaultSampleType,
    /// Whether names are resolved in this process (`?symbolize=0` says no).
    pub(crate) symbolize: bool,
    /// Whether samples are labelled with what is stored in what they allocated (`?label=type`).
    pub(crate) types: bool,
    /// The form of the file.
    pub(crate) format: ProfileFormat,
}

/// What a profile's `default_sample_type` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultSampleType {
    /// `/heap`: none, and the tool takes the last, inuse_space.
    Unset,
    /// `/allocs`.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint has `/allocs`")
    )]
    AllocSpace,
    /// `/leaks`.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only the endpoint has `/leaks`")
    )]
    LeakSpace,
}

#[cfg(feature = "http")]
impl DefaultSampleType {
    /// As it stands in the file; empty for none.
    pub(crate) fn name(self) -> &'static str {
        match self {
            DefaultSampleType::Unset => "",
            DefaultSampleType::AllocSpace => "alloc_space",
            DefaultSampleType::LeakSpace => "leak_space",
        }
    }
}
