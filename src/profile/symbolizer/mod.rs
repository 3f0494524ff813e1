//! Asks the files of this process for the names of its addresses: one signature, with the feature `symbolize` and
//! without.
//!
//! ```text
//! debug_info ─▶ image (one ELF file, verified) ─▶ sections ─▶ units ─▶ lines, functions ─▶ names
//!      │          └ memory_map                                  └ ranges
//!      └─▶ symbol_table (what units do not name, or all of it when memory is short)
//! ```

#[cfg(feature = "symbolize")]
mod debug_info;
#[cfg(feature = "symbolize")]
mod effort;
#[cfg(feature = "symbolize")]
mod functions;
mod headroom;
#[cfg(feature = "symbolize")]
mod image;
#[cfg(feature = "symbolize")]
mod lines;
#[cfg(feature = "symbolize")]
mod memory_map;
#[cfg(feature = "symbolize")]
mod module;
#[cfg(feature = "symbolize")]
mod names;
#[cfg(not(feature = "symbolize"))]
mod none;
#[cfg(feature = "symbolize")]
mod ranges;
#[cfg(feature = "symbolize")]
mod sections;
#[cfg(feature = "symbolize")]
mod symbol_table;
#[cfg(feature = "symbolize")]
mod units;

#[cfg(all(test, feature = "symbolize"))]
mod tests;

#[cfg(feature = "symbolize")]
use self::debug_info as chosen;
#[cfg(not(feature = "symbolize"))]
use self::none as chosen;

#[cfg(feature = "http")]
pub(super) use chosen::linker_names;
pub(super) use chosen::look_up;

use super::types::Said;

pub(super) use self::headroom::headroom;

/// Bytes for one unit's tables of the debug information, of common sizes, and for the stack of the thread that reads
/// them. More would refuse profiles to small processes under a limit.
pub(super) const ROOM: usize = 8 << 20;

/// A source position, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Demangled in full, generic arguments and all, without the hash of legacy mangling.
    pub(super) function: String,
    /// Empty if unknown.
    pub(super) file: String,
    /// 0 if unknown.
    pub(super) line: u32,
    /// What the function says of the memory that it allocates.
    pub(super) said: Option<Said>,
}

/// How much of what its file says about an address was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// All of it.
    #[cfg_attr(
        not(feature = "symbolize"),
        allow(dead_code, reason = "without the feature only tests find anything")
    )]
    DebugInfo,
    /// The symbol table only, for want of memory or time: worth another look later.
    SymbolTable,
}
