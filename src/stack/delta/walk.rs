//! Inside malloc: the walk itself.

use core::sync::atomic::Ordering;

use super::call_frame::Saved;
use super::expression::evaluate;
use super::image::{self, Bytes, Image};
use super::in_place::{self, Cfa, Known};
use super::memory::{self, Memory, OwnStack};
use super::objects::main_from;
use super::registers::{Registers, ucontext};
use super::rule::{Base, Frame, Rule, Step};
use super::{Delta, Walk};
use crate::stack::module::ModuleMark;
use crate::stack::{ROOM_IN_PLACE, ReturnAddress, Stack, Start};

/// An object that a walk has met, and its mark if it may be unloaded one day.
#[derive(Debug, Clone, Copy)]
struct Object {
    image: Image,
    mark: Option<ModuleMark>,
}

/// What a walk has come across that may be unloaded one day.
#[derive(Debug)]
struct Met<'t> {
    own: &'t OwnStack,
    /// Whether there is stack left to look things up in place; None before that was asked.
    has_room: Option<bool>,
    object: Option<Object>,
    /// The last mark in the stack.
    mark: Option<ModuleMark>,
    /// There is unwind data that libgcc can read, and this cannot.
    needs_backtrace: bool,
    /// What `by_expression` has found.
    caller: Registers,
}

impl Delta {
    /// As `walk`, whatever the tables are good for: by those of `version`, and where there are none by the unwind data
    /// itself.
    #[inline(never)]
    pub(super) fn walk_by(
        &self,
        version: Option<u64>,
        own_stack: &OwnStack,
        start: Start,
        depth: usize,
        stack: &mut Stack,
    ) -> Walk {
        // A return address is one past the call that it belongs to.
        let (mut registers, mut behind_call) = match start {
            Start::Here(_) => (Registers::here(), 0),
            Start::Interrupted(interrupted) => (Registers::of(interrupted), 1),
        };
        // Generated code, or a jump to nowhere.
        if !ReturnAddress(registers.pc).can_be_code() {
            stack.truncated = true;
            return Walk::Done;
        }
        let mut memory = Memory::from(own_stack, registers.sp);
        let snapshot = version.unwrap_or(0) / 2;
        let mut is_own = matches!(start, Start::Here(_));
        let mut met = Met {
            own: own_stack,
            has_room: None,
            object: None,
            mark: None,
            needs_backtrace: false,
            caller: Registers {
                pc: 0,
                sp: 0,
                fp: 0,
            },
        };
        let mut is_stopped = false;
        loop {
            // Asked only up to the first frame that is not: further frames may be on another stack.
            is_own = match start {
                Start::Here(own_frame) => is_own && own_frame.covers(registers.sp),
                Start::Interrupted(_) => false,
            };
            let pc = registers.pc.wrapping_sub(behind_call);
            // Before the frame is pushed: what has no recent rule may be marked.
            let step = match self.recent.get(pc, snapshot) {
                Some(rule) => rule.step(),
                None => {
                    let (step, mark) = self.step_slow(pc, version, &mut met);
                    if let Some(mark) = mark.filter(|_| !is_own) {
                        // Where there is no room for it, there is none for the frame either.
                        stack.push_mark(mark, depth);
                        met.mark = Some(mark);
                    }
                    step
                }
            };
            if !is_own && !stack.push_word(ReturnAddress(registers.pc), depth) {
                break;
            }
            let next = match step {
                Step::Root => {
                    memory.came_to_root(registers.sp);
                    break;
                }
                Step::FramePointer => caller(registers, &KEEPS_FRAME_POINTER, &mut memory),
                Step::Frame(frame) => caller(registers, &frame, &mut memory),
                Step::Signal => interrupted(registers.sp, &mut memory),
                Step::Unsupported | Step::Wide(_) => {
                    let frame = (registers.sp, registers.fp);
                    let is_found = self.by_expression(pc, frame, &mut memory, &mut met);
                    // Word by word: see `caller`.
                    let Registers { pc, sp, fp } = met.caller;
                    is_found.then_some(Registers { pc, sp, fp })
                }
                Step::Unknown => None,
            };
            let Some(next) = next else {
                is_stopped = true;
                break;
            };
            if !ReturnAddress(next.pc).can_be_code() {
                // A stack's first function may have no return address.
                is_stopped = next.pc != 0;
                break;
            }
            // Of what a signal interrupted, `interrupted` has made what a call would have left.
            let is_interrupt = match step {
                Step::Frame(frame) => frame.is_interrupt,
                _ => false,
            };
            behind_call = usize::from(!is_interrupt);
            registers = next;
        }
        if met.needs_backtrace || version.is_some_and(|version| !self.modules.is_still(version)) {
            return Walk::NoTables;
        }
        if is_stopped {
            stack.truncated = true;
            self.count_stopped();
        }
        Walk::Done
    }

    /// What is known of the code at `pc`, and if its module may be unloaded one day, and is not the last one marked, its
    /// mark.
    #[cold]
    #[inline(never)]
    fn step_slow(
        &self,
        pc: usize,
        version: Option<u64>,
        met: &mut Met<'_>,
    ) -> (Step, Option<ModuleMark>) {
        let (step, mark) = self.step_and_mark(pc, version, met);
        (step, mark.filter(|mark| met.mark != Some(*mark)))
    }

    /// Whether `bytes` of stack are left on the calling thread.
    #[inline]
    pub(in crate::stack) fn has_room(&self, own: &OwnStack, bytes: usize) -> bool {
        let marker = 0_u8;
        let sp = core::hint::black_box(&raw const marker).addr();
        memory::has_room(own, sp, bytes)
    }

    /// A stack was not walked to its root.
    pub(in crate::stack) fn count_stopped(&self) {
        self.stopped.fetch_add(1, Ordering::Relaxed);
    }

    fn step_and_mark(
        &self,
        pc: usize,
        version: Option<u64>,
        met: &mut Met<'_>,
    ) -> (Step, Option<ModuleMark>) {
        let module = version.and_then(|_| self.modules.find(pc));
        if let Some((version, module)) = version.zip(module)
            && module.mark == 0
        {
            let table = module.table.table();
            let rule = table.rule(module.offset);
            if rule.is_free_standing() {
                self.recent.put(pc, version / 2, rule);
            }
            return (table.step(rule), None);
        }
        if !image::can_be_found() {
            // What can be read may be code.
            let is_code = memory::is_readable(pc);
            return (
                if is_code {
                    Step::Unsupported
                } else {
                    Step::Unknown
                },
                None,
            );
        }
        let Some(object) = self.object_at(pc, met) else {
            return (Step::Unknown, Some(ModuleMark::NOWHERE));
        };
        // Another module may have come to be where the table's was.
        let mark = object.mark.filter(|mark| mark.is_of_build_id());
        if let Some((module, mark)) = module.zip(mark)
            && module.mark == mark.bits()
        {
            let table = module.table.table();
            return (table.step(table.rule(module.offset)), object.mark);
        }
        let step = self.step_in_place(pc, &object);
        // Of an object that stays it is true for good; as of version 0, which no tables have.
        if version.is_none()
            && object.mark.is_none()
            && let Some(rule) = Rule::of_step(step)
        {
            self.recent.put(pc, 0, rule);
        }
        (step, object.mark)
    }

    /// None, too, where there is no stack left to read it.
    fn object_at(&self, pc: usize, met: &mut Met<'_>) -> Option<Object> {
        let own = met.own;
        let ask = || self.has_room(own, ROOM_IN_PLACE);
        if !*met.has_room.get_or_insert_with(ask) {
            return None;
        }
        let known = &mut met.object;
        if let Some(known) = known.filter(|known| known.image.contains(pc)) {
            return Some(known);
        }
        let image = Image::at(pc)?;
        let is_pinned = self.pinned.contains(&image);
        let mark = (!is_pinned).then(|| Bytes::of(image, None).mark());
        *known = Some(Object { image, mark });
        *known
    }

    fn bytes_of(&self, object: &Object) -> Bytes<'_> {
        // Of an object that stays, pages stay too.
        Bytes::of(
            object.image,
            object.mark.is_none().then_some(&self.readable),
        )
    }

    fn step_in_place(&self, pc: usize, object: &Object) -> Step {
        let mut bytes = self.bytes_of(object);
        match in_place::look_up(&mut bytes, pc) {
            Some(Known::Row(row)) => row.step(&mut bytes),
            Some(Known::Gap { start, end }) => match main_in(&mut bytes) {
                // See `Object::main` in `objects.rs`.
                Some(main) if start <= main && main <= pc && pc < end => Step::Root,
                _ => Step::Unknown,
            },
            None => Step::Unknown,
        }
    }

    /// Whether there is a caller of a frame that a table cannot describe: `met.caller`. `pc` is where its code is looked up,
    /// and what expressions have for the program counter: those that ask are of stubs that call nothing, so it is where they
    /// were interrupted. `frame` is its stack pointer and its frame pointer: as a pair, which is passed in processor registers
    /// where all three would be passed by address. See `caller`.
    #[cold]
    #[inline(never)]
    fn by_expression(
        &self,
        pc: usize,
        frame: (usize, usize),
        memory: &mut Memory<'_>,
        met: &mut Met<'_>,
    ) -> bool {
        let (sp, fp) = frame;
        let caller = self.caller_by_expression(Registers { pc, sp, fp }, memory, met);
        if let Some(caller) = caller {
            met.caller = caller;
        }
        caller.is_some()
    }

    fn caller_by_expression(
        &self,
        registers: Registers,
        memory: &mut Memory<'_>,
        met: &mut Met<'_>,
    ) -> Option<Registers> {
        let pc = registers.pc;
        met.needs_backtrace = !image::can_be_found();
        let object = self.object_at(pc, met)?;
        let mut bytes = self.bytes_of(&object);
        let Known::Row(row) = in_place::look_up(&mut bytes, pc)? else {
            return None;
        };
        let cfa = match row.cfa_if_called()? {
            Cfa::Stack(offset) => registers.sp.wrapping_add_signed(offset),
            Cfa::Frame(offset) => registers.fp.wrapping_add_signed(offset),
            Cfa::Expression(expression) => {
                evaluate(expression, None, &mut bytes, &registers, memory)?
            }
            Cfa::Unsupported => return None,
        };
        if cfa <= registers.sp {
            return None;
        }
        let pc = memory.read(cfa.wrapping_sub(8))?;
        let fp = match row.fp() {
            Saved::InRegister => registers.fp,
            Saved::At(offset) => memory.read(cfa.wrapping_add_signed(offset as isize))?,
            Saved::AtExpression(expression) => {
                let at = evaluate(expression, Some(cfa), &mut bytes, &registers, memory)?;
                memory.read(at)?
            }
            Saved::Unsupported => return None,
        };
        Some(Registers { pc, sp: cfa, fp })
    }
}

/// The program's `main`, if this is the program.
fn main_in(bytes: &mut Bytes<'_>) -> Option<usize> {
    // SAFETY: looks up a word in the auxiliary vector.
    let entry = (unsafe { libc::getauxval(libc::AT_ENTRY) }) as usize;
    if !bytes.image.contains(entry) {
        return None;
    }
    main_from(entry, &bytes.read::<48>(entry)?)
}

/// What `Step::FramePointer` stands for.
const KEEPS_FRAME_POINTER: Frame = Frame {
    base: Base::Frame,
    cfa: 16,
    saved_fp: 16,
    is_interrupt: false,
};

#[cfg(test)]
pub(super) const KEEPS_FRAME_POINTER_STEP: Step = Step::Frame(KEEPS_FRAME_POINTER);

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

/// What a signal handler interrupted, from the kernel's frame for it at `sp`, as if a call had been there: its `pc` is one
/// past the instruction.
#[cold]
fn interrupted(sp: usize, memory: &mut Memory<'_>) -> Option<Registers> {
    let mut saved = |at: usize| memory.read(sp.wrapping_add(at));
    let interrupted = Registers {
        pc: ReturnAddress::of_interrupted(saved(ucontext::PC)?).0,
        sp: saved(ucontext::SP)?,
        fp: saved(ucontext::FP)?,
    };
    memory.switch_to(interrupted.sp).then_some(interrupted)
}
