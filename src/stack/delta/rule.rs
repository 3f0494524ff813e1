//! How to get from a frame to its caller: one rule of a stack-delta table, packed into 20 bits.

/// Which register a canonical frame address (CFA: the stack pointer's value in the caller, at the call) is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The stack pointer.
    Stack,
    /// The frame pointer.
    Frame,
}

/// Where a caller's registers are. The return address is always in the word below the CFA: x86-64's `call` puts it
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) base: Base,
    /// Bytes from the base to the CFA.
    pub(super) cfa: i32,
    /// Bytes from the CFA down to where the caller's frame pointer is saved; 0 if the register still holds it.
    pub(super) saved_fp: i32,
    /// The caller's address is not behind a call: a frame marked as a signal's, by which fibres are entered too.
    pub(super) is_interrupt: bool,
}

/// A rule in a row of the table.
///
/// ```text
///  19 18   17…9     8…0
/// ┌──┬──┬────────┬────────┐
/// │ 0│FP│ cfa/8  │saved/8 │   a frame whose offsets are multiples of 8 below 4 096: all but a few
/// ├──┼──┴────────┴────────┤
/// │ 1│ 0…3, or 4 + index  │   a special code, or an index into the table's wide frames
/// └──┴────────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule(u32);

/// A rule, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Frame(Frame),
    /// The frame of a function that keeps a frame pointer, after its prologue: `Frame { base: Base::Frame, cfa: 16,
    /// saved_fp: 16 }`. A step of its own because it is most of a program built with `-C force-frame-pointers` and of
    /// the precompiled standard library: its caller is found without waiting for the look-up, so the processor runs
    /// ahead.
    FramePointer,
    /// Index into the table's wide frames.
    Wide(usize),
    /// The outermost function: it has no caller.
    Root,
    /// The kernel's signal frame: the interrupted registers lie on the stack.
    Signal,
    /// No unwind data covers this code.
    Unknown,
    /// Unwind data that this form cannot hold.
    Unsupported,
}

impl Rule {
    pub(super) const BITS: u32 = 20;
    pub(super) const MASK: u32 = (1 << Self::BITS) - 1;
    const SPECIAL: u32 = 1 << 19;
    const FRAME_POINTER: u32 = 1 << 18;
    /// Special codes below this one have a meaning of their own.
    const FIRST_WIDE: u32 = 4;

    pub(super) const UNKNOWN: Rule = Rule(Self::SPECIAL);
    pub(super) const ROOT: Rule = Rule(Self::SPECIAL | 1);
    pub(super) const SIGNAL: Rule = Rule(Self::SPECIAL | 2);
    pub(super) const UNSUPPORTED: Rule = Rule(Self::SPECIAL | 3);

    /// `Step::FramePointer`: both offsets are 16.
    const KEEPS_FRAME_POINTER: Rule = Rule(Self::FRAME_POINTER | 2 << 9 | 2);

    /// The rule whose bits these are.
    pub(super) fn from_bits(bits: u32) -> Self {
        Rule(bits & Self::MASK)
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// None if the frame needs to be stored as a wide one.
    pub(super) fn of(frame: Frame) -> Option<Self> {
        let field = |bytes: i32| {
            u32::try_from(bytes)
                .ok()
                .filter(|bytes| bytes % 8 == 0 && bytes / 8 < 1 << 9)
                .map(|bytes| bytes / 8)
        };
        if frame.is_interrupt {
            return None;
        }
        let base = match frame.base {
            Base::Stack => 0,
            Base::Frame => Self::FRAME_POINTER,
        };
        Some(Rule(base | field(frame.cfa)? << 9 | field(frame.saved_fp)?))
    }

    /// The rule for a step, if it needs no table.
    pub(super) fn of_step(step: Step) -> Option<Self> {
        match step {
            Step::Frame(frame) => Self::of(frame),
            Step::FramePointer => Some(Self::KEEPS_FRAME_POINTER),
            Step::Root => Some(Self::ROOT),
            Step::Signal => Some(Self::SIGNAL),
            Step::Unknown => Some(Self::UNKNOWN),
            Step::Unsupported => Some(Self::UNSUPPORTED),
            Step::Wide(_) => None,
        }
    }

    /// The rule that points to a wide frame; `UNSUPPORTED` if there are too many.
    pub(super) fn of_wide(index: usize) -> Self {
        match u32::try_from(index) {
            Ok(index) if index < Self::SPECIAL - Self::FIRST_WIDE => {
                Rule(Self::SPECIAL | (index + Self::FIRST_WIDE))
            }
            _ => Self::UNSUPPORTED,
        }
    }

    /// Whether the rule means the same in every table.
    pub(super) fn is_free_standing(self) -> bool {
        self.0 < (Self::SPECIAL | Self::FIRST_WIDE)
    }

    #[inline(always)]
    pub(super) fn step(self) -> Step {
        if self == Self::KEEPS_FRAME_POINTER {
            return Step::FramePointer;
        }
        if self.0 & Self::SPECIAL == 0 {
            let base = if self.0 & Self::FRAME_POINTER == 0 {
                Base::Stack
            } else {
                Base::Frame
            };
            return Step::Frame(Frame {
                base,
                cfa: (self.0 >> 9 & 0x1ff) as i32 * 8,
                saved_fp: (self.0 & 0x1ff) as i32 * 8,
                is_interrupt: false,
            });
        }
        match self {
            Self::UNKNOWN => Step::Unknown,
            Self::ROOT => Step::Root,
            Self::SIGNAL => Step::Signal,
            Self::UNSUPPORTED => Step::Unsupported,
            Rule(wide) => {
                Step::Wide((wide & !Self::SPECIAL).wrapping_sub(Self::FIRST_WIDE) as usize)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was_packed_or_is_wide() {
        let mut packed = 0;
        for base in [Base::Stack, Base::Frame] {
            for cfa in [-8, 0, 8, 16, 4080, 4088, 4096, 12] {
                for saved_fp in [0, 16, 4088, 4096, -16, 20] {
                    let frame = Frame {
                        base,
                        cfa,
                        saved_fp,
                        is_interrupt: false,
                    };
                    let Some(rule) = Rule::of(frame) else {
                        continue;
                    };
                    packed += 1;
                    assert!(rule.is_free_standing() && rule.bits() <= Rule::MASK);
                    let step = if (base, cfa, saved_fp) == (Base::Frame, 16, 16) {
                        Step::FramePointer
                    } else {
                        Step::Frame(frame)
                    };
                    assert_eq!(Rule::from_bits(rule.bits()).step(), step);
                    assert_eq!(Rule::of_step(step), Some(rule));
                }
            }
        }
        assert_eq!(packed, 2 * 5 * 3);
    }

    #[test]
    fn special_rules_and_wide_ones_are_told_apart() {
        assert_eq!(Rule::ROOT.step(), Step::Root);
        assert_eq!(Rule::SIGNAL.step(), Step::Signal);
        assert_eq!(Rule::UNKNOWN.step(), Step::Unknown);
        for index in [0, 1, 4096, (1 << 19) - 5] {
            assert_eq!(Rule::of_wide(index).step(), Step::Wide(index));
            assert!(!Rule::of_wide(index).is_free_standing());
        }
        assert_eq!(Rule::of_wide((1 << 19) - 4).step(), Step::Unsupported);
        assert_eq!(Rule::of_wide(usize::MAX).step(), Step::Unsupported);
    }
}
