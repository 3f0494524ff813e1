//! Inside malloc: runs a function's call frame instructions up to an address.

use super::cursor::{Cursor, Expression};
use super::image::Bytes;

/// Instructions of one function that are looked at. Compilers write tens.
const MOST_INSTRUCTIONS: usize = 1 << 14;

/// States that a function may remember, one in the other. Compilers use one.
const MOST_REMEMBERED: usize = 4;

pub(super) const RBP: u64 = 6;
pub(super) const RSP: u64 = 7;
pub(super) const RETURN_ADDRESS: u64 = 16;

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
pub(super) enum Return {
    /// In the word below the CFA.
    BelowCfa,
    /// There is no caller.
    Undefined,
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CfaRule {
    Register { register: u64, offset: i64 },
    Expression(Expression),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) cfa: CfaRule,
    pub(super) fp: Saved,
    pub(super) ra: Return,
}

/// The instructions of a function that begins at `start`, and those that it has in common with others.
#[derive(Debug)]
pub(super) struct Instructions {
    pub(super) start: usize,
    pub(super) code_align: u64,
    pub(super) data_align: i64,
    pub(super) common: Cursor,
    pub(super) own: Cursor,
}

impl Instructions {
    /// The state at `pc`.
    pub(super) fn state_at(self, pc: usize, bytes: &mut Bytes<'_>) -> Option<State> {
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
        Some(run.state)
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
