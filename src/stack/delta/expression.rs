//! Inside malloc: the few operations of DWARF expressions that frames are described with (PLT stubs, realigned frames of C
//! code, hand-written assembly), on the three registers that a walk knows.

use super::cursor::{Cursor, Expression};
use super::image::Bytes;
use super::memory::Memory;
use super::registers::Registers;

/// Values on the stack; unwind data needs two or three.
const DEPTH: usize = 8;

struct Values {
    all: [u64; DEPTH],
    len: usize,
}

impl Values {
    fn push(&mut self, value: u64) -> Option<()> {
        *self.all.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        self.all.get(self.len).copied()
    }
}

/// The value of `expression`, on top of `first` if there is one; None if it uses something else, or memory that is not the
/// stack's.
pub(super) fn evaluate(
    expression: Expression,
    first: Option<usize>,
    bytes: &mut Bytes<'_>,
    registers: &Registers,
    memory: &mut Memory<'_>,
) -> Option<usize> {
    let mut cursor = Cursor {
        at: expression.at,
        end: expression.end,
    };
    let mut values = Values {
        all: [0; DEPTH],
        len: 0,
    };
    if let Some(first) = first {
        values.push(first as u64)?;
    }
    // No operation of these jumps back, so this ends.
    while cursor.at < cursor.end {
        let operation = cursor.u8(bytes)?;
        let value = match operation {
            // DW_OP_deref
            0x06 => memory.read(usize::try_from(values.pop()?).ok()?)? as u64,
            // DW_OP_const1u to const4s, constu, consts
            0x08 => cursor.u8(bytes)?.into(),
            0x09 => cursor.u8(bytes)? as i8 as u64,
            0x0a => cursor.u16(bytes)?.into(),
            0x0b => cursor.u16(bytes)? as i16 as u64,
            0x0c => cursor.u32(bytes)?.into(),
            0x0d => cursor.u32(bytes)? as i32 as u64,
            0x10 => cursor.uleb(bytes)?,
            0x11 => cursor.sleb(bytes)? as u64,
            // DW_OP_plus_uconst
            0x23 => values.pop()?.wrapping_add(cursor.uleb(bytes)?),
            // DW_OP_and, minus, plus, shl, ge
            0x1a | 0x1c | 0x22 | 0x24 | 0x2a => {
                let (right, left) = (values.pop()?, values.pop()?);
                match operation {
                    0x1a => left & right,
                    0x1c => left.wrapping_sub(right),
                    0x22 => left.wrapping_add(right),
                    0x24 => left.checked_shl(u32::try_from(right).ok()?).unwrap_or(0),
                    _ => (left as i64 >= right as i64).into(),
                }
            }
            // DW_OP_lit0 to lit31
            0x30..=0x4f => u64::from(operation - 0x30),
            // DW_OP_breg0 to breg31
            0x70..=0x8f => {
                let register = match operation - 0x70 {
                    6 => registers.fp,
                    7 => registers.sp,
                    16 => registers.pc,
                    _ => return None,
                };
                (register as u64).wrapping_add_signed(cursor.sleb(bytes)?)
            }
            _ => return None,
        };
        values.push(value)?;
    }
    usize::try_from(values.pop()?).ok()
}
