//! Compiles an object's `.eh_frame` into a stack-delta table. The one file of this room that allocates: it runs
//! outside malloc.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EhFrameOffset, EndianSlice, NativeEndian,
    RegisterRule, UnwindContext, UnwindExpression, UnwindSection, UnwindTableRow, X86_64,
};

use super::objects::Object;
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
    let text_len = u32::try_from(object.text_end - object.text).ok()? as usize;
    let section = EhFrame::new(unwind, NativeEndian);
    let bases = BaseAddresses::default()
        .set_eh_frame(object.eh_frame as u64)
        .set_text(object.text as u64);
    let mut functions = PageVec::new();
    find_functions(&section, &bases, object, &mut functions)?;
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
            built.push(end, Rule::UNKNOWN)?;
            let gap = end..function.offset as usize;
            if let Some(main) = main.filter(|main| gap.contains(main)) {
                built.push(main, Rule::ROOT)?;
            }
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
            let rule = if fde.is_signal_trampoline() {
                Rule::SIGNAL
            } else {
                built.rule(&section, row)
            };
            built.push(from, rule)?;
            end = to;
        }
    }
    built.push(end, Rule::UNKNOWN)?;
    // One more, so that every block ends where the next begins.
    built.fill_blocks(text_len.div_ceil(BLOCK) + 1)?;
    Some(built)
}

fn find_functions(
    section: &Section<'_>,
    bases: &BaseAddresses,
    object: &Object,
    functions: &mut PageVec<Function>,
) -> Option<()> {
    let mut entries = section.entries(bases);
    // The functions of one source share their common entry: it is parsed once in a row.
    let mut common = None;
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else {
            continue;
        };
        let fde = partial.parse(|section, bases, offset| match &common {
            Some((known, cie)) if *known == offset => Ok(Clone::clone(cie)),
            _ => {
                let cie = section.cie_from_offset(bases, offset)?;
                common = Some((offset, cie.clone()));
                Ok(cie)
            }
        });
        let Ok(fde) = fde else { continue };
        let start = fde.initial_address() as usize;
        // Also leaves out the entries of functions that the linker dropped, at address 0.
        if !(object.text..object.text_end).contains(&start) {
            continue;
        }
        let function = Function {
            offset: u32::try_from(start - object.text).ok()?,
            entry: u32::try_from(fde.offset()).ok()?,
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

    fn rule(&mut self, section: &Section<'_>, row: &UnwindTableRow<usize>) -> Rule {
        match frame_of(section, row) {
            Some(Some(frame)) => Rule::of(frame).unwrap_or_else(|| self.wide(frame)),
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
fn frame_of(section: &Section<'_>, row: &UnwindTableRow<usize>) -> Option<Option<Frame>> {
    match row.register(X86_64::RA) {
        Some(RegisterRule::Undefined) => return Some(None),
        Some(RegisterRule::Offset(-8)) => {}
        _ => return None,
    }
    let saved_fp = match row.register(X86_64::RBP) {
        None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => 0,
        Some(RegisterRule::Offset(offset)) if offset != 0 => i32::try_from(-offset).ok()?,
        _ => return None,
    };
    let (base, cfa, at) = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            let base = match *register {
                X86_64::RSP => Base::Stack,
                X86_64::RBP => Base::Frame,
                _ => return None,
            };
            (base, *offset, 0)
        }
        CfaRule::Expression(expression) => (Base::Realigned, 0, word_at(section, expression)?),
    };
    Some(Some(Frame {
        base,
        cfa: i32::try_from(cfa).ok()?,
        saved_fp,
        at,
    }))
}

/// The offset n of an expression "the word at the frame pointer plus n".
fn word_at(section: &Section<'_>, expression: &UnwindExpression<usize>) -> Option<i32> {
    let encoding = gimli::Encoding {
        address_size: 8,
        format: gimli::Format::Dwarf32,
        version: 4,
    };
    let mut operations = expression.get(section).ok()?.operations(encoding);
    let first = operations.next().ok()??;
    let second = operations.next().ok()??;
    let is_end = operations.next().ok()?.is_none();
    match (first, second) {
        (
            gimli::Operation::RegisterOffset {
                register, offset, ..
            },
            gimli::Operation::Deref {
                size: 8,
                space: false,
                ..
            },
        ) if register == X86_64::RBP && is_end => i32::try_from(offset).ok(),
        _ => None,
    }
}
