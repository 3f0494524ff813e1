//! Asks the debug information for names: one signature, with the feature `symbolize` and without.

#[cfg(feature = "symbolize")]
mod backtrace;
#[cfg(not(feature = "symbolize"))]
mod none;

#[cfg(feature = "symbolize")]
use self::backtrace as chosen;
#[cfg(not(feature = "symbolize"))]
use self::none as chosen;

#[cfg(feature = "http")]
pub(super) use chosen::linker_names;
pub(super) use chosen::look_up;

/// A source position, as it was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Demangled in full, generic arguments and all, without the hash of legacy mangling.
    pub(super) function: String,
    /// Empty if unknown.
    pub(super) file: String,
    /// 0 if unknown.
    pub(super) line: u32,
}
