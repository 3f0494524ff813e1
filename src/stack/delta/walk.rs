//! Inside malloc: the walk itself.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::Ordering;

use super::memory::{self, Memory, OwnStack};
use super::registers::{Registers, ucontext};
use super::rule::{Base, Frame, Step};
use super::{Delta, Walk};
use crate::stack::{OwnFrame, ReturnAddress, Stack};

impl Delta {
    /// As `walk`, whatever the tables are good for.
    #[inline(never)]
    pub(super) fn walk_tables(
        &self,
        own_stack: &OwnStack,
        own_frame: OwnFrame,
        depth: usize,
        stack: &mut Stack,
    ) -> Walk {
        let Some(version) = self.modules.version() else {
            return Walk::NoTables;
        };
        let mut registers = Registers::here();
        let mut memory = Memory::from(own_stack, registers.sp);
        // A return address is one past the call that it belongs to.
        let mut behind_call = 0;
        let mut is_own = true;
        loop {
            // Asked only up to the first frame that is not: further frames may be on another stack.
            is_own = is_own && own_frame.covers(registers.sp);
            if !is_own && !stack.push(ReturnAddress(registers.pc), depth) {
                break;
            }
            let Some(step) = self.step(registers.pc.wrapping_sub(behind_call), version) else {
                // A library that was loaded since the tables were made, or no code at all.
                if self.is_loaded(registers.pc) {
                    return Walk::NoTables;
                }
                self.stop(stack);
                break;
            };
            let next = match step {
                Step::Root => {
                    memory.came_to_root(registers.sp);
                    break;
                }
                Step::FramePointer => caller(registers, &KEEPS_FRAME_POINTER, &mut memory),
                Step::Frame(frame) => caller(registers, &frame, &mut memory),
                Step::Signal => interrupted(registers.sp, &mut memory),
                // Valid data, which libgcc reads.
                Step::Unsupported | Step::Wide(_) => return Walk::NoTables,
                Step::Unknown => None,
            };
            let Some(next) = next else {
                self.stop(stack);
                break;
            };
            // A stack's first function may have no return address.
            if next.pc == 0 {
                break;
            }
            let is_interrupt = match step {
                Step::Signal => true,
                Step::Frame(frame) => frame.is_interrupt,
                _ => false,
            };
            behind_call = usize::from(!is_interrupt);
            registers = next;
        }
        if self.modules.is_still(version) {
            Walk::Done
        } else {
            Walk::NoTables
        }
    }

    /// What is known of the code at `pc`; None if it is in no module.
    #[inline(always)]
    fn step(&self, pc: usize, version: u64) -> Option<Step> {
        if let Some(rule) = self.recent.get(pc, version / 2) {
            return Some(rule.step());
        }
        self.step_slow(pc, version)
    }

    #[cold]
    #[inline(never)]
    fn step_slow(&self, pc: usize, version: u64) -> Option<Step> {
        let (module, offset) = self.modules.find(pc)?;
        let table = module.table();
        let rule = table.rule(offset);
        if rule.is_free_standing() {
            self.recent.put(pc, version / 2, rule);
        }
        Some(table.step(rule))
    }

    /// Whether `bytes` of stack are left on the calling thread.
    #[inline]
    pub(in crate::stack) fn has_room(&self, own: &OwnStack, bytes: usize) -> bool {
        let marker = 0_u8;
        let sp = core::hint::black_box(&raw const marker).addr();
        memory::has_room(own, sp, bytes)
    }

    #[cold]
    fn stop(&self, stack: &mut Stack) {
        stack.truncated = true;
        self.count_stopped();
    }

    /// A stack was not walked to its root.
    pub(in crate::stack) fn count_stopped(&self) {
        self.stopped.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the loader knows an object at `pc`: asked without its lock. Where the C library cannot tell, whatever can be
    /// read may be one.
    #[cold]
    fn is_loaded(&self, pc: usize) -> bool {
        let find_object = self.find_object.load(Ordering::Relaxed);
        if find_object.is_null() {
            return memory::is_readable(pc);
        }
        // SAFETY: set by `refresh` to the address of `_dl_find_object`, which has this signature.
        let find_object = unsafe {
            core::mem::transmute::<
                *mut c_void,
                unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
            >(find_object)
        };
        // Larger than the 96 bytes that it fills.
        let mut answer = [0_u64; 24];
        let pc = ptr::with_exposed_provenance_mut(pc);
        // SAFETY: any address may be asked about; lock-free and made for signal handlers.
        (unsafe { find_object(pc, answer.as_mut_ptr().cast()) }) == 0
    }
}

/// What `Step::FramePointer` stands for.
const KEEPS_FRAME_POINTER: Frame = Frame {
    base: Base::Frame,
    cfa: 16,
    saved_fp: 16,
    is_interrupt: false,
};

/// The frame that called the one with these registers; None if that leads off the stack.
///
/// By value, as all that is told of them: once their address is known somewhere they live in memory, and are written in
/// halves and read as a whole there, for which the processor waits (4 ns a frame, measured).
#[inline(always)]
fn caller(registers: Registers, frame: &Frame, memory: &mut Memory<'_>) -> Option<Registers> {
    let base = match frame.base {
        Base::Stack => registers.sp,
        Base::Frame => registers.fp,
    };
    let cfa = base.wrapping_add_signed(frame.cfa as isize);
    let return_address = cfa.wrapping_sub(8);
    // A caller's frame lies above, or the walk would not end.
    let on_this_stack = if cfa > registers.sp {
        memory.read(return_address)
    } else {
        None
    };
    let pc = match on_this_stack {
        Some(pc) => pc,
        None => behind_switch(frame, return_address, memory)?,
    };
    let fp = match frame.saved_fp {
        0 => registers.fp,
        saved => memory.read(cfa.wrapping_add_signed(-(saved as isize)))?,
    };
    Some(Registers { pc, sp: cfa, fp })
}

/// The return address of a frame whose caller is not on this stack: a function that keeps a frame pointer may have changed
/// the stack under it, as those that enter fibres do.
#[cold]
fn behind_switch(frame: &Frame, return_address: usize, memory: &mut Memory<'_>) -> Option<usize> {
    if frame.base == Base::Stack || !memory.switch_to(return_address) {
        return None;
    }
    memory.read(return_address)
}

/// What a signal handler interrupted, from the kernel's frame for it at `sp`.
#[cold]
fn interrupted(sp: usize, memory: &mut Memory<'_>) -> Option<Registers> {
    let mut saved = |at: usize| memory.read(sp.wrapping_add(at));
    let interrupted = Registers {
        pc: saved(ucontext::PC)?,
        sp: saved(ucontext::SP)?,
        fp: saved(ucontext::FP)?,
    };
    memory.switch_to(interrupted.sp).then_some(interrupted)
}
