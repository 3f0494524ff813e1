//! Inside malloc: a step by an object's own `.eh_frame`, for what has no table. Every byte is read where the kernel says
//! that it can be, so whatever a return address or unwind data may be, the walk ends and the process does not.
//!
//! Where libgcc would do: it reads code at a return address that no unwind data covers, and follows a frame pointer
//! wherever it leads.

use super::call_frame::{CfaRule, Instructions, RBP, RETURN_ADDRESS, RSP, Return, Saved, State};
use super::cursor::{Cursor, Expression};
use super::image::Bytes;
use super::registers::ucontext;
use super::rule::{Base, Frame, Step};

/// How the canonical frame address is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cfa {
    /// Bytes from the stack pointer.
    Stack(isize),
    /// Bytes from the frame pointer.
    Frame(isize),
    Expression(Expression),
    /// From a register that a walk does not know.
    Unsupported,
}

/// What unwind data says of an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    state: State,
    /// The function is marked as a signal's.
    pub(super) is_interrupt: bool,
}

/// What is known of an address.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    Row(Row),
    /// No function covers it: between these two, the end of one and the start of the next.
    Gap {
        start: usize,
        end: usize,
    },
}

impl Row {
    /// Of a function that was called as all are: its return address is in the word below.
    pub(super) fn cfa_if_called(&self) -> Option<Cfa> {
        let cfa = match self.state.cfa {
            CfaRule::Register {
                register: RSP,
                offset,
            } => Cfa::Stack(offset as isize),
            CfaRule::Register {
                register: RBP,
                offset,
            } => Cfa::Frame(offset as isize),
            CfaRule::Register { .. } => Cfa::Unsupported,
            CfaRule::Expression(expression) => Cfa::Expression(expression),
        };
        (self.state.ra == Return::BelowCfa).then_some(cfa)
    }

    pub(super) fn fp(&self) -> Saved {
        self.state.fp
    }

    /// As a table would have it.
    pub(super) fn step(&self, bytes: &mut Bytes<'_>) -> Step {
        if let CfaRule::Expression(expression) = self.state.cfa
            && self.is_interrupt
            && is_kernel_frame(expression, bytes)
        {
            return Step::Signal;
        }
        match self.state.ra {
            Return::Undefined => return Step::Root,
            Return::Unsupported => return Step::Unsupported,
            Return::BelowCfa => {}
        }
        let (register, offset) = match self.state.cfa {
            CfaRule::Register { register, offset } => (register, offset),
            CfaRule::Expression(_) => return Step::Unsupported,
        };
        let base = match register {
            RSP => Base::Stack,
            RBP => Base::Frame,
            _ => return Step::Unsupported,
        };
        let saved_fp = match self.state.fp {
            Saved::InRegister => Some(0),
            // Below the CFA, or it would be no frame.
            Saved::At(offset) if offset < 0 => {
                offset.checked_neg().and_then(|it| i32::try_from(it).ok())
            }
            _ => None,
        };
        match (i32::try_from(offset), saved_fp) {
            (Ok(cfa), Some(saved_fp)) => Step::Frame(Frame {
                base,
                cfa,
                saved_fp,
                is_interrupt: self.is_interrupt,
            }),
            _ => Step::Unsupported,
        }
    }
}

/// Whether this is the CFA of the frame that the kernel makes for a signal handler to return to, see `build.rs`.
fn is_kernel_frame(expression: Expression, bytes: &mut Bytes<'_>) -> bool {
    const BREG_RSP: u8 = 0x70 + 7;
    const DEREF: u8 = 0x06;
    let mut cursor = Cursor {
        at: expression.at,
        end: expression.end,
    };
    cursor.u8(bytes) == Some(BREG_RSP)
        && cursor.sleb(bytes) == Some(ucontext::SP as i64)
        && cursor.u8(bytes) == Some(DEREF)
        && cursor.at == cursor.end
}

/// What the object's unwind data says of the code at `pc`; None if it has none, or none that this can read.
pub(super) fn look_up(bytes: &mut Bytes<'_>, pc: usize) -> Option<Known> {
    /// Version 1; the address of `.eh_frame`, relative, in 4 bytes; a count of 4 bytes; a table of pairs of 4 bytes that
    /// are relative to the header: what every linker writes.
    const HEADER: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
    let header = bytes.image.eh_frame_header;
    if header == 0 || bytes.read(header)? != HEADER {
        return None;
    }
    let count = bytes.u32(header.checked_add(8)?)? as usize;
    let table = header.checked_add(12)?;
    let relative = |word: u32| header.wrapping_add_signed(word as i32 as isize);
    let entry = |nth: usize| table.checked_add(nth.checked_mul(8)?);
    // The first entry behind `pc`.
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if relative(bytes.u32(entry(middle)?)?) <= pc {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let end = if low < count {
        relative(bytes.u32(entry(low)?)?)
    } else {
        bytes.image.end
    };
    let Some(nth) = low.checked_sub(1) else {
        return Some(Known::Gap {
            start: bytes.image.start,
            end,
        });
    };
    let function = relative(bytes.u32(entry(nth)?.checked_add(4)?)?);
    let function = Function::read(bytes, function)?;
    match function.end <= pc {
        true => Some(Known::Gap {
            start: function.end,
            end,
        }),
        false => Some(Known::Row(function.row(bytes, pc)?)),
    }
}

/// A function's entry, and what it has in common with others.
#[derive(Debug)]
struct Function {
    end: usize,
    is_interrupt: bool,
    instructions: Instructions,
}

impl Function {
    fn read(bytes: &mut Bytes<'_>, at: usize) -> Option<Self> {
        let mut own = Cursor::of_entry(bytes, at)?;
        let common = own.at.wrapping_sub(own.u32(bytes)? as usize);
        let mut common = Cursor::of_entry(bytes, common)?;
        if common.u32(bytes)? != 0 {
            return None;
        }
        let version = common.u8(bytes)?;
        let mut letters = [0_u8; 8];
        for letter in &mut letters {
            *letter = common.u8(bytes)?;
            if *letter == 0 {
                break;
            }
        }
        let code_align = common.uleb(bytes)?;
        let data_align = common.sleb(bytes)?;
        let return_address = match version {
            1 => u64::from(common.u8(bytes)?),
            3 => common.uleb(bytes)?,
            _ => return None,
        };
        if return_address != RETURN_ADDRESS {
            return None;
        }
        let (mut encoding, mut is_interrupt) = (0, false);
        let has_len = match letters {
            [0, ..] => false,
            [b'z', ..] => true,
            _ => return None,
        };
        if has_len {
            let len = common.uleb(bytes)? as usize;
            let instructions = common.at.checked_add(len)?;
            for letter in letters.into_iter().skip(1) {
                match letter {
                    b'R' => encoding = common.u8(bytes)?,
                    b'L' => drop(common.u8(bytes)?),
                    b'P' => {
                        let encoding = common.u8(bytes)?;
                        common.encoded(bytes, encoding & 0x0f)?;
                    }
                    b'S' => is_interrupt = true,
                    b'B' => {}
                    0 => break,
                    _ => return None,
                }
            }
            common.at = instructions;
        }
        let start = own.encoded(bytes, encoding)?;
        let len = own.encoded(bytes, encoding & 0x0f)?;
        if has_len {
            let len = own.uleb(bytes)? as usize;
            own.at = own.at.checked_add(len)?;
        }
        Some(Self {
            end: start.checked_add(len)?,
            is_interrupt,
            instructions: Instructions {
                start,
                code_align,
                data_align,
                common,
                own,
            },
        })
    }

    fn row(self, bytes: &mut Bytes<'_>, pc: usize) -> Option<Row> {
        Some(Row {
            state: self.instructions.state_at(pc, bytes)?,
            is_interrupt: self.is_interrupt,
        })
    }
}
