//! The three registers that a walk goes by.

use crate::stack::{Interrupted, ReturnAddress};

/// A frame's registers: where it is executing, and its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) pc: usize,
    pub(super) sp: usize,
    pub(super) fp: usize,
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Self {
        let (pc, sp, fp);
        // SAFETY: reads three registers, touches no memory and no flags.
        unsafe {
            core::arch::asm!(
                "lea {pc}, [rip]",
                "mov {sp}, rsp",
                "mov {fp}, rbp",
                pc = out(reg) pc,
                sp = out(reg) sp,
                fp = out(reg) fp,
                options(nomem, nostack, preserves_flags),
            );
        }
        Self { pc, sp, fp }
    }

    /// Those of what a signal has interrupted, its `pc` as if it were a return address.
    pub(super) fn of(interrupted: Interrupted) -> Self {
        let saved = |at: usize| {
            let word = interrupted.0.cast::<u8>().wrapping_add(at);
            // SAFETY: in the kernel's `ucontext`, which `Interrupted::by` was promised; its registers are aligned words.
            unsafe { word.cast::<usize>().read() }
        };
        Self {
            pc: ReturnAddress::of_interrupted(saved(ucontext::PC)).0,
            sp: saved(ucontext::SP),
            fp: saved(ucontext::FP),
        }
    }
}

/// Offsets in the kernel's `ucontext` of x86-64, which lies at the stack pointer of the frame that a handler returns to.
pub(super) mod ucontext {
    /// `uc_flags`, `uc_link` and `uc_stack` come before the general registers, r8 to r15 and rdi, rsi before these.
    const REGISTERS: usize = 40;
    pub(crate) const FP: usize = REGISTERS + 10 * 8;
    pub(crate) const SP: usize = REGISTERS + 15 * 8;
    pub(crate) const PC: usize = REGISTERS + 16 * 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_frames_registers_are_where_libc_says() {
        let register = |index: libc::c_int| {
            core::mem::offset_of!(libc::ucontext_t, uc_mcontext)
                + core::mem::offset_of!(libc::mcontext_t, gregs)
                + 8 * index as usize
        };
        assert_eq!(ucontext::FP, register(libc::REG_RBP));
        assert_eq!(ucontext::SP, register(libc::REG_RSP));
        assert_eq!(ucontext::PC, register(libc::REG_RIP));
    }

    #[test]
    fn the_stack_pointer_is_near_a_local_and_the_pc_near_this_function() {
        let local = 0_u8;
        let here = Registers::here();
        let distance = (core::hint::black_box(&raw const local))
            .addr()
            .abs_diff(here.sp);
        assert!(distance < 64 * 1024, "{distance}");
        assert_eq!(here.sp % 8, 0);
    }
}
