//! Compiles an object's `.eh_frame` into a stack-delta table. Outside malloc: this file and `refresh.rs` allocate.

use core::ops::Range;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, EndianSlice, NativeEndian, RegisterRule,
    UnwindContext, UnwindSection, UnwindTableRow, X86_64,
};

use super::objects::{Object, entries};
use super::registers::ucontext;
use super::rule::{Base, Frame, Rule};
use super::table::{BLOCK, row};
use crate::pages::PageVec;

/// Padding between functions belongs to the one before: fewer rows, and no code runs there. Functions are aligned to
/// 16 bytes, seldom to more.
const PADDING: usize = 16;

/// A table while it is made.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) blocks: PageVec<u32>,
    pub(super) rows: PageVec<u32>,
    pub(super) wide: PageVec<Frame>,
    last: Rule,
}

type Section<'a> = EhFrame<EndianSlice<'a, NativeEndian>>;

/// Where a function's unwind data lies, sorted by where the function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Function {
    /// From the start of the object's text.
    offset: u32,
    entry: u32,
}

/// The table of `object`, whose `.eh_frame` is `unwind`. None if the system has no memory for it, or if the object's
/// text is larger than 4 GiB.
pub(super) fn build(object: &Object, unwind: &[u8]) -> Option<Built> {
    let text_len = object.text_end.checked_sub(object.text)?;
    let text_len = u32::try_from(text_len).ok()? as usize;
    let section = EhFrame::new(unwind, NativeEndian);
    let bases = BaseAddresses::default()
        .set_eh_frame(object.eh_frame as u64)
        .set_text(object.text as u64);
    let mut functions = PageVec::new();
    find_functions(&section, &bases, object, unwind, &mut functions)?;
    functions.as_mut_slice().sort_unstable();
    let mut built = Built {
        blocks: PageVec::new(),
        rows: PageVec::new(),
        wide: PageVec::new(),
        last: Rule::UNKNOWN,
    };
    let main = object.main.map(|main| main.wrapping_sub(object.text));
    let mut context = UnwindContext::new();
    // Up to where rows have been written.
    let mut end = 0;
    for function in functions.as_slice() {
        let entry = EhFrameOffset(function.entry as usize);
        let Ok(fde) = section.fde_from_offset(&bases, entry, Section::cie_from_offset) else {
            continue;
        };
        if function.offset as usize > end + PADDING {
            built.gap(end..function.offset as usize, main)?;
        }
        let Ok(mut rows) = fde.rows(&section, &bases, &mut context) else {
            continue;
        };
        while let Ok(Some(row)) = rows.next_row() {
            let offset = |address: u64| (address as usize).wrapping_sub(object.text);
            let (from, to) = (
                offset(row.start_address()).max(end),
                offset(row.end_address()),
            );
            // Functions do not overlap; if they seem to, the first holds.
            if from >= to || to > text_len {
                continue;
            }
            let rule = built.rule(&section, row, fde.is_signal_trampoline());
            built.push(from, rule)?;
            end = to;
        }
    }
    built.gap(end..text_len, main)?;
    // One more, so that every block ends where the next begins.
    built.fill_blocks(text_len.div_ceil(BLOCK) + 1)?;
    Some(built)
}

fn find_functions(
    section: &Section<'_>,
    bases: &BaseAddresses,
    object: &Object,
    unwind: &[u8],
    functions: &mut PageVec<Function>,
) -> Option<()> {
    // The functions of one source share their common entry: it is parsed once in a row.
    let mut common = None;
    // Not by gimli's iterator, which ends at the first entry that it does not understand.
    for at in entries(unwind) {
        let fde =
            section.fde_from_offset(
                bases,
                EhFrameOffset(at),
                |section, bases, offset| match &common {
                    Some((known, cie)) if *known == offset => Ok(Clone::clone(cie)),
                    _ => {
                        let cie = section.cie_from_offset(bases, offset)?;
                        common = Some((offset, cie.clone()));
                        Ok(cie)
                    }
                },
            );
        // A common entry, or one that is broken.
        let Ok(fde) = fde else { continue };
        let start = fde.initial_address() as usize;
        // Also leaves out the entries of functions that the linker dropped, at address 0.
        if !(object.text..object.text_end).contains(&start) {
            continue;
        }
        let function = Function {
            offset: u32::try_from(start - object.text).ok()?,
            entry: u32::try_from(at).ok()?,
        };
        if !functions.push(function) {
            return None;
        }
    }
    Some(())
}

impl Built {
    /// Adds a row unless the rule is in force already.
    fn push(&mut self, offset: usize, rule: Rule) -> Option<()> {
        if rule == self.last {
            return Some(());
        }
        self.last = rule;
        self.fill_blocks(offset / BLOCK + 1)?;
        self.rows.push(row(offset, rule)).then_some(())
    }

    /// Adds what is known of text without unwind data: nothing, but for the program's `main`.
    fn gap(&mut self, gap: Range<usize>, main: Option<usize>) -> Option<()> {
        self.push(gap.start, Rule::UNKNOWN)?;
        match main.filter(|main| gap.contains(main)) {
            Some(main) => self.push(main, Rule::ROOT),
            None => Some(()),
        }
    }

    /// Says of the first `blocks` blocks, those that have nothing yet, that their rows begin here.
    fn fill_blocks(&mut self, blocks: usize) -> Option<()> {
        let rows = u32::try_from(self.rows.as_slice().len()).ok()?;
        while self.blocks.as_slice().len() < blocks {
            if !self.blocks.push(rows) {
                return None;
            }
        }
        Some(())
    }

    fn rule(
        &mut self,
        section: &Section<'_>,
        row: &UnwindTableRow<usize>,
        is_interrupt: bool,
    ) -> Rule {
        if is_interrupt && is_kernel_frame(section, row) {
            return Rule::SIGNAL;
        }
        match frame_of(row) {
            Some(Some(frame)) => {
                let frame = Frame {
                    is_interrupt,
                    ..frame
                };
                Rule::of(frame).unwrap_or_else(|| self.wide(frame))
            }
            Some(None) => Rule::ROOT,
            None => Rule::UNSUPPORTED,
        }
    }

    fn wide(&mut self, frame: Frame) -> Rule {
        let known = self
            .wide
            .as_slice()
            .iter()
            .rposition(|known| *known == frame);
        let index = known.unwrap_or_else(|| {
            let _ = self.wide.push(frame);
            // Without memory for it the index points behind the last, which is no frame.
            self.wide.as_slice().len().saturating_sub(1)
        });
        if self.wide.as_slice().get(index) == Some(&frame) {
            Rule::of_wide(index)
        } else {
            Rule::UNSUPPORTED
        }
    }
}

/// What a row says: a frame, None for the outermost function, or nothing that the table's form can hold.
fn frame_of(row: &UnwindTableRow<usize>) -> Option<Option<Frame>> {
    match row.register(X86_64::RA) {
        Some(RegisterRule::Undefined) => return Some(None),
        Some(RegisterRule::Offset(-8)) => {}
        _ => return None,
    }
    let saved_fp = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => 0,
        // Below the CFA, or it would be no frame.
        Some(RegisterRule::Offset(offset)) if offset < 0 => {
            i32::try_from(offset.checked_neg()?).ok()?
        }
        _ => return None,
    };
    let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else {
        return None;
    };
    let base = match *register {
        X86_64::RSP => Base::Stack,
        X86_64::RBP => Base::Frame,
        _ => return None,
    };
    Some(Some(Frame {
        base,
        cfa: i32::try_from(*offset).ok()?,
        saved_fp,
        is_interrupt: false,
    }))
}

/// Whether this is the frame that the kernel makes for a signal handler to return to: its CFA is the interrupted stack
/// pointer, which lies in the `ucontext` at the stack pointer. Libraries that switch stacks mark frames of theirs as a
/// signal's too.
fn is_kernel_frame(section: &Section<'_>, row: &UnwindTableRow<usize>) -> bool {
    let CfaRule::Expression(expression) = row.cfa() else {
        return false;
    };
    let encoding = gimli::Encoding {
        address_size: 8,
        format: gimli::Format::Dwarf32,
        version: 4,
    };
    let Ok(expression) = expression.get(section) else {
        return false;
    };
    let mut operations = expression.operations(encoding);
    let word = operations.next();
    let is_read = matches!(
        operations.next(),
        Ok(Some(gimli::Operation::Deref {
            size: 8,
            space: false,
            ..
        }))
    );
    let is_whole = is_read && matches!(operations.next(), Ok(None));
    match word {
        Ok(Some(gimli::Operation::RegisterOffset {
            register, offset, ..
        })) => is_whole && register == X86_64::RSP && offset == ucontext::SP as i64,
        _ => false,
    }
}
