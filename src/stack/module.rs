//! Which module a frame's code was in, where that may change: libraries come and go, and another may take the address of
//! one that is gone. A word that stands in a stack among the return addresses says it.

use core::ffi::{c_int, c_void};

use super::{ReturnAddress, mix};

/// Says of the frames that follow in a stack, up to the next mark, which module they are in, unless that one stays
/// loaded as long as the process runs.
///
/// ```text
///  63  62                 0
/// ┌──┬──────────────────────┐
/// │ 1│ hash of the build id │   or 0: a module without build id; or 1: in no module
/// │  │ and of where it lies │
/// └──┴──────────────────────┘
/// ```
///
/// Where it lies, because the same library loaded again somewhat lower has other code at an address.
///
/// No code of a program's has an address with the highest bit set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModuleMark(u64);

impl ModuleMark {
    const MARK: u64 = 1 << 63;
    /// A module that cannot be told from another at its place.
    pub(crate) const WITHOUT_ID: Self = Self(Self::MARK);
    /// Generated code, or no code at all.
    pub(crate) const NOWHERE: Self = Self(Self::MARK | 1);

    /// The mark of the module with this build id at this bias.
    pub(crate) fn of_build_id(id: &[u8], bias: usize) -> Self {
        let hash = id
            .iter()
            .fold(bias as u64, |hash, byte| mix(hash, u64::from(*byte) + 1));
        match id {
            [] => Self::WITHOUT_ID,
            // Not one of the two numbers that have a meaning of their own.
            _ => Self(Self::MARK | (hash ^ (hash >> 32)).max(2)),
        }
    }

    /// The mark that `word` of a stack is; None if it is a return address.
    pub(crate) fn of_word(word: ReturnAddress) -> Option<Self> {
        let word = word.0 as u64;
        (word & Self::MARK != 0).then_some(Self(word))
    }

    /// Whether it tells its module from all others.
    pub(crate) fn is_of_build_id(self) -> bool {
        self != Self::WITHOUT_ID && self != Self::NOWHERE
    }

    /// As it stands in a stack.
    pub(super) fn word(self) -> ReturnAddress {
        ReturnAddress(self.0 as usize)
    }

    #[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// The return addresses of a stack, each with the mark that is in force there.
pub(crate) fn places(
    frames: &[ReturnAddress],
) -> impl Iterator<Item = (ReturnAddress, Option<ModuleMark>)> {
    let mut mark = None;
    frames
        .iter()
        .filter_map(move |word| match ModuleMark::of_word(*word) {
            None => Some((*word, mark)),
            of_next => {
                mark = of_next;
                None
            }
        })
}

/// Addresses in objects that are never unloaded while this code runs: the program, what this code is in, and what that
/// calls.
pub(crate) fn pinned_addresses() -> [usize; PINNED] {
    unsafe extern "C" {
        fn _Unwind_Backtrace(trace: *const c_void, with: *mut c_void) -> c_int;
    }
    // SAFETY: looks up words in the auxiliary vector.
    let auxiliary = |kind| unsafe { libc::getauxval(kind) } as usize;
    [
        auxiliary(libc::AT_ENTRY),
        auxiliary(libc::AT_BASE),
        pinned_addresses as fn() -> [usize; PINNED] as usize,
        libc::pthread_self as unsafe extern "C" fn() -> libc::pthread_t as usize,
        _Unwind_Backtrace as unsafe extern "C" fn(*const c_void, *mut c_void) -> c_int as usize,
    ]
}

pub(super) const PINNED: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_no_addresses_and_differ_by_build_id_and_place() {
        let of = |id: &[u8]| ModuleMark::of_build_id(id, 0x7f00_0000_0000);
        let marks = [
            ModuleMark::of_build_id(&[1], 0x7eff_ffff_f000),
            of(&[]),
            of(&[0]),
            of(&[0, 0]),
            of(&[1]),
            of(&[0x5e; 20]),
            ModuleMark::NOWHERE,
        ];
        for (nth, mark) in marks.iter().enumerate() {
            assert_eq!(ModuleMark::of_word(mark.word()), Some(*mark));
            assert!(!marks[..nth].contains(mark), "{nth}");
        }
        assert_eq!(of(&[]), ModuleMark::WITHOUT_ID);
        assert_eq!(ModuleMark::of_word(ReturnAddress(0x7fff_ffff_ffff)), None);
        assert_eq!(ModuleMark::of_word(ReturnAddress(0)), None);
    }
}
