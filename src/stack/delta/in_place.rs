//! Inside malloc: a step by an object's own `.eh_frame`, for what has no table. Every byte is read where the kernel says
//! that it can be, so whatever a return address or unwind data may be, the walk ends and the process does not.
//!
//! Where libgcc would do: it reads code at a return address that no unwind data covers, and follows a frame pointer
//! wherever it leads.

use super::image::Bytes;
use super::registers::ucontext;
use super::rule::{Base, Frame, Step};

/// Instructions of one function that are looked at. Compilers write tens.
const MOST_INSTRUCTIONS: usize = 1 << 14;

/// States that a function may remember, one in the other. Compilers use one.
const MOST_REMEMBERED: usize = 4;

const RBP: u64 = 6;
const RSP: u64 = 7;
const RETURN_ADDRESS: u64 = 16;

/// A DWARF expression in an object's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) at: usize,
    pub(super) end: usize,
}

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

/// Where the caller's frame pointer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    InRegister,
    /// Bytes from the CFA.
    At(i64),
    /// The expression's value is its address.
    AtExpression(Expression),
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Return {
    /// In the word below the CFA.
    BelowCfa,
    /// There is no caller.
    Undefined,
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CfaRule {
    Register { register: u64, offset: i64 },
    Expression(Expression),
}

#[derive(Debug, Clone, Copy)]
struct State {
    cfa: CfaRule,
    fp: Saved,
    ra: Return,
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
    start: usize,
    end: usize,
    code_align: u64,
    data_align: i64,
    is_interrupt: bool,
    common: Cursor,
    own: Cursor,
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
            start,
            end: start.checked_add(len)?,
            code_align,
            data_align,
            is_interrupt,
            common,
            own,
        })
    }

    fn row(self, bytes: &mut Bytes<'_>, pc: usize) -> Option<Row> {
        let first = State {
            cfa: CfaRule::Register {
                register: u64::MAX,
                offset: 0,
            },
            fp: Saved::InRegister,
            ra: Return::Unsupported,
        };
        let mut run = Run {
            location: self.start as u64,
            pc: u64::MAX,
            state: first,
            initial: first,
            remembered: [first; MOST_REMEMBERED],
            depth: 0,
            code_align: self.code_align,
            data_align: self.data_align,
        };
        run.all(self.common, bytes)?;
        run.initial = run.state;
        (run.location, run.pc) = (self.start as u64, pc as u64);
        run.all(self.own, bytes)?;
        Some(Row {
            state: run.state,
            is_interrupt: self.is_interrupt,
        })
    }
}

/// Call frame instructions, run up to an address.
struct Run {
    location: u64,
    pc: u64,
    state: State,
    /// After the instructions that functions have in common.
    initial: State,
    remembered: [State; MOST_REMEMBERED],
    depth: usize,
    code_align: u64,
    data_align: i64,
}

impl Run {
    fn all(&mut self, mut cursor: Cursor, bytes: &mut Bytes<'_>) -> Option<()> {
        for _ in 0..MOST_INSTRUCTIONS {
            if cursor.at >= cursor.end || !self.one(&mut cursor, bytes)? {
                return Some(());
            }
        }
        None
    }

    /// Runs one instruction; false if the next ones hold for code behind `pc`.
    fn one(&mut self, cursor: &mut Cursor, bytes: &mut Bytes<'_>) -> Option<bool> {
        let instruction = cursor.u8(bytes)?;
        let operand = u64::from(instruction & 0x3f);
        match (instruction >> 6, instruction) {
            // DW_CFA_advance_loc, _offset, _restore
            (1, _) => return Some(self.advance(operand)),
            (2, _) => {
                let offset = self.factored(cursor.uleb(bytes)?)?;
                self.saved(operand, Saved::At(offset));
            }
            (3, _) => self.restore(operand),
            // DW_CFA_nop, _GNU_args_size
            (_, 0x00) => {}
            (_, 0x2e) => drop(cursor.uleb(bytes)?),
            // DW_CFA_advance_loc1, 2, 4
            (_, 0x02) => {
                let [by] = cursor.take(bytes)?;
                return Some(self.advance(by.into()));
            }
            (_, 0x03) => {
                let by = u16::from_ne_bytes(cursor.take(bytes)?);
                return Some(self.advance(by.into()));
            }
            (_, 0x04) => {
                let by = u32::from_ne_bytes(cursor.take(bytes)?);
                return Some(self.advance(by.into()));
            }
            // DW_CFA_offset_extended, _restore_extended, _undefined, _same_value
            (_, 0x05) => {
                let register = cursor.uleb(bytes)?;
                let offset = self.factored(cursor.uleb(bytes)?)?;
                self.saved(register, Saved::At(offset));
            }
            (_, 0x06) => {
                let register = cursor.uleb(bytes)?;
                self.restore(register);
            }
            (_, 0x07) => match cursor.uleb(bytes)? {
                RETURN_ADDRESS => self.state.ra = Return::Undefined,
                register => self.saved(register, Saved::InRegister),
            },
            (_, 0x08) => {
                let register = cursor.uleb(bytes)?;
                self.saved(register, Saved::InRegister);
            }
            // DW_CFA_register, _val_offset, _val_offset_sf, _val_expression: the caller's value is not in memory.
            (_, 0x09 | 0x14) => {
                let register = cursor.uleb(bytes)?;
                cursor.uleb(bytes)?;
                self.saved(register, Saved::Unsupported);
            }
            (_, 0x15) => {
                let register = cursor.uleb(bytes)?;
                cursor.sleb(bytes)?;
                self.saved(register, Saved::Unsupported);
            }
            (_, 0x16) => {
                let register = cursor.uleb(bytes)?;
                cursor.expression(bytes)?;
                self.saved(register, Saved::Unsupported);
            }
            // DW_CFA_remember_state, _restore_state
            (_, 0x0a) => {
                *self.remembered.get_mut(self.depth)? = self.state;
                self.depth += 1;
            }
            (_, 0x0b) => {
                self.depth = self.depth.checked_sub(1)?;
                self.state = *self.remembered.get(self.depth)?;
            }
            // DW_CFA_def_cfa, _register, _offset, _expression, and the signed forms
            (_, 0x0c) => {
                let register = cursor.uleb(bytes)?;
                let offset = cursor.uleb(bytes)? as i64;
                self.state.cfa = CfaRule::Register { register, offset };
            }
            (_, 0x12) => {
                let register = cursor.uleb(bytes)?;
                let offset = cursor.sleb(bytes)?.checked_mul(self.data_align)?;
                self.state.cfa = CfaRule::Register { register, offset };
            }
            (_, 0x0d) => {
                let CfaRule::Register { offset, .. } = self.state.cfa else {
                    return None;
                };
                let register = cursor.uleb(bytes)?;
                self.state.cfa = CfaRule::Register { register, offset };
            }
            (_, 0x0e | 0x13) => {
                let CfaRule::Register { register, .. } = self.state.cfa else {
                    return None;
                };
                let offset = match instruction {
                    0x0e => cursor.uleb(bytes)? as i64,
                    _ => cursor.sleb(bytes)?.checked_mul(self.data_align)?,
                };
                self.state.cfa = CfaRule::Register { register, offset };
            }
            (_, 0x0f) => self.state.cfa = CfaRule::Expression(cursor.expression(bytes)?),
            // DW_CFA_expression
            (_, 0x10) => {
                let register = cursor.uleb(bytes)?;
                let expression = cursor.expression(bytes)?;
                self.saved(register, Saved::AtExpression(expression));
            }
            // DW_CFA_offset_extended_sf
            (_, 0x11) => {
                let register = cursor.uleb(bytes)?;
                let offset = cursor.sleb(bytes)?.checked_mul(self.data_align)?;
                self.saved(register, Saved::At(offset));
            }
            _ => return None,
        }
        Some(true)
    }

    fn advance(&mut self, by: u64) -> bool {
        self.location = self.location.wrapping_add(by.wrapping_mul(self.code_align));
        self.location <= self.pc
    }

    fn factored(&self, offset: u64) -> Option<i64> {
        i64::try_from(offset).ok()?.checked_mul(self.data_align)
    }

    fn saved(&mut self, register: u64, saved: Saved) {
        match register {
            RBP => self.state.fp = saved,
            RETURN_ADDRESS => {
                self.state.ra = match saved {
                    Saved::At(-8) => Return::BelowCfa,
                    _ => Return::Unsupported,
                }
            }
            // The others are not followed.
            _ => {}
        }
    }

    fn restore(&mut self, register: u64) {
        match register {
            RBP => self.state.fp = self.initial.fp,
            RETURN_ADDRESS => self.state.ra = self.initial.ra,
            _ => {}
        }
    }
}

/// A place in an object's memory, and where what is there ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Cursor {
    /// The contents of the entry at `at`, a function's or one that several have in common.
    fn of_entry(bytes: &mut Bytes<'_>, at: usize) -> Option<Self> {
        let len = bytes.u32(at)?;
        // 0 ends the section; the other is the 64-bit form, for sections of more than 4 GiB.
        if len == 0 || len == u32::MAX {
            return None;
        }
        let at = at.checked_add(4)?;
        Some(Self {
            at,
            end: at.checked_add(len as usize)?,
        })
    }

    fn take<const N: usize>(&mut self, bytes: &mut Bytes<'_>) -> Option<[u8; N]> {
        let next = self.at.checked_add(N)?;
        if next > self.end {
            return None;
        }
        let taken = bytes.read(self.at)?;
        self.at = next;
        Some(taken)
    }

    pub(super) fn u8(&mut self, bytes: &mut Bytes<'_>) -> Option<u8> {
        self.take(bytes).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, bytes: &mut Bytes<'_>) -> Option<u16> {
        self.take(bytes).map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self, bytes: &mut Bytes<'_>) -> Option<u32> {
        self.take(bytes).map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self, bytes: &mut Bytes<'_>) -> Option<u64> {
        self.take(bytes).map(u64::from_ne_bytes)
    }

    /// Bits beyond the 64th are lost.
    fn leb(&mut self, bytes: &mut Bytes<'_>) -> Option<(u64, u32, bool)> {
        let (mut value, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = self.u8(bytes)?;
            if shift < u64::BITS {
                value |= u64::from(byte & 0x7f) << shift;
            }
            shift = shift.saturating_add(7);
            if byte & 0x80 == 0 {
                return Some((value, shift, byte & 0x40 != 0));
            }
        }
    }

    pub(super) fn uleb(&mut self, bytes: &mut Bytes<'_>) -> Option<u64> {
        self.leb(bytes).map(|(value, _, _)| value)
    }

    pub(super) fn sleb(&mut self, bytes: &mut Bytes<'_>) -> Option<i64> {
        let (value, shift, is_negative) = self.leb(bytes)?;
        let extended = if is_negative && shift < u64::BITS {
            value | u64::MAX << shift
        } else {
            value
        };
        Some(extended as i64)
    }

    /// A pointer as `encoding` says: absolute or relative to its place, of 2, 4 or 8 bytes.
    fn encoded(&mut self, bytes: &mut Bytes<'_>, encoding: u8) -> Option<usize> {
        let at = self.at;
        let value = match encoding & 0x0f {
            0x00 | 0x04 | 0x0c => self.u64(bytes)?,
            0x02 => self.u16(bytes)?.into(),
            0x0a => self.u16(bytes)? as i16 as u64,
            0x03 => self.u32(bytes)?.into(),
            0x0b => self.u32(bytes)? as i32 as u64,
            _ => return None,
        };
        match encoding & 0xf0 {
            0x00 => Some(value as usize),
            0x10 => Some(at.wrapping_add(value as usize)),
            _ => None,
        }
    }

    fn expression(&mut self, bytes: &mut Bytes<'_>) -> Option<Expression> {
        let len = self.uleb(bytes)?;
        let at = self.at;
        let end = at.checked_add(usize::try_from(len).ok()?)?;
        if end > self.end {
            return None;
        }
        self.at = end;
        Some(Expression { at, end })
    }
}
