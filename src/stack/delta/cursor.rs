//! Inside malloc: reads an object's unwind data from one place to the next.

use super::image::Bytes;

/// A DWARF expression in an object's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expression {
    pub(super) at: usize,
    pub(super) end: usize,
}

/// A place in an object's memory, and where what is there ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Cursor {
    /// The contents of the entry at `at`, a function's or one that several have in common.
    pub(super) fn of_entry(bytes: &mut Bytes<'_>, at: usize) -> Option<Self> {
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

    pub(super) fn take<const N: usize>(&mut self, bytes: &mut Bytes<'_>) -> Option<[u8; N]> {
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

    /// Bits beyond the 64th are lost. None if it goes on for no reason: no number takes more than ten bytes, linkers pad to a
    /// few more.
    fn leb(&mut self, bytes: &mut Bytes<'_>) -> Option<(u64, u32, bool)> {
        let (mut value, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = self.u8(bytes)?;
            if shift < u64::BITS {
                value |= u64::from(byte & 0x7f) << shift;
            }
            shift += 7;
            if byte & 0x80 == 0 {
                return Some((value, shift, byte & 0x40 != 0));
            }
            if shift > 2 * u64::BITS {
                return None;
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
    pub(super) fn encoded(&mut self, bytes: &mut Bytes<'_>, encoding: u8) -> Option<usize> {
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

    pub(super) fn expression(&mut self, bytes: &mut Bytes<'_>) -> Option<Expression> {
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
