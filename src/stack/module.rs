//! Which module a frame's code was in, where that may change: libraries come and go, and another may take the address of
//! one that is gone. A word that stands in a stack among the return addresses says it.

use super::{ReturnAddress, mix};

/// Says of the frames that follow in a stack, up to the next mark, which module they are in, unless that one stays
/// loaded as long as the process runs.
///
/// ```text
///  63  62                 0
/// ┌──┬──────────────────────┐
/// │ 1│ hash of the build id │   or 0: a module without build id; or 1: in no module
/// └──┴──────────────────────┘
/// ```
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

    /// The mark of the module with this build id.
    pub(crate) fn of_build_id(id: impl Iterator<Item = u8>) -> Self {
        let mut len = 0_u64;
        let hash = id.fold(0, |hash, byte| {
            len += 1;
            mix(hash, u64::from(byte) + 1)
        });
        match len {
            0 => Self::WITHOUT_ID,
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

/// The description of the first note with type 3 and owner `GNU`.
pub(crate) fn gnu_build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let word = |at: usize| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?));
        let (name_size, desc_size, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let desc_at = 12 + name_size.next_multiple_of(4);
        let desc = notes.get(desc_at..desc_at.checked_add(desc_size)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12 + name_size) == Some(b"GNU\0") {
            return Some(desc);
        }
        notes = notes.get(desc_at + desc_size.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_no_addresses_and_differ_by_build_id() {
        let of = |id: &[u8]| ModuleMark::of_build_id(id.iter().copied());
        let marks = [
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

    #[test]
    fn build_ids_are_found_behind_other_notes_and_garbage_is_not_one() {
        let note = |kind: u32, owner: &[u8], desc: &[u8]| {
            let mut note = Vec::new();
            for word in [owner.len() as u32, desc.len() as u32, kind] {
                note.extend(word.to_ne_bytes());
            }
            for part in [owner, desc] {
                note.extend(part);
                note.resize(note.len().next_multiple_of(4), 0);
            }
            note
        };
        let both = [
            note(1, b"GNU\0", b"abcde"),
            note(3, b"GNU\0", b"0123456789abcdefghij"),
        ]
        .concat();
        assert_eq!(gnu_build_id(&both), Some(&b"0123456789abcdefghij"[..]));
        assert_eq!(gnu_build_id(&note(3, b"Go\0\0", b"x")), None);
        for len in 0..both.len() - 1 {
            assert_eq!(gnu_build_id(&both[..len]), None);
        }
        assert_eq!(gnu_build_id(&[0xff; 64]), None);
    }
}
