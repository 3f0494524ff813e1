//! The walk by stack-delta tables: each step is a look-up and two bounded loads.
//!
//! ```text
//! outside malloc   loader ─▶ objects ─▶ build ─▶ tables, kept for good ─▶ modules (sequence lock)
//! inside malloc    registers ─▶ recent, else modules ─▶ rule ─▶ memory (bounded) ─▶ next frame
//! ```
//!
//! No allocation, no lock, no foreign code; memory is read only where it is known to be mapped, so that bad unwind
//! data, fibres and frames of generated code end a stack instead of the process.

mod build;
mod memory;
mod modules;
mod objects;
mod recent;
mod registers;
mod rule;
mod self_test;
mod table;

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use self::memory::Memory;
pub(crate) use self::memory::OwnStack;
use self::modules::{KeptTable, Loaded, MODULES, Modules};
use self::objects::{Changes, Object, Objects, Reader};
use self::recent::Recent;
use self::registers::{Registers, ucontext};
use self::rule::{Base, Frame, Step};
use super::{OwnFrame, ReturnAddress, Stack};

/// Bytes of tables that are kept at most, for a program that loads ever new libraries: 200 MiB of text. What comes
/// later is walked by `backtrace`.
const MAX_BYTES: usize = 64 << 20;

/// The tables and their state.
#[derive(Debug)]
pub(crate) struct Delta {
    modules: Modules,
    recent: Recent,
    /// See `State`.
    state: AtomicU8,
    /// 1 while a thread is refreshing; for ever in a fork child whose parent was.
    refreshing: AtomicU8,
    /// The loader's counts when `modules` was written.
    added: AtomicU64,
    removed: AtomicU64,
    /// All tables, newest first.
    kept: AtomicPtr<KeptTable>,
    bytes: AtomicUsize,
    /// Walks that ended before the root.
    stopped: AtomicU64,
    /// The loader's lock-free look-up, where the C library has one (glibc 2.35).
    find_object: AtomicPtr<c_void>,
}

/// What the tables are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum State {
    /// Not tried yet.
    Untested,
    /// They give what `backtrace` gives.
    Good,
    /// They do not, or there is no memory for them: never used.
    Failed,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// The stack holds what there is.
    Done,
    /// There are no tables for this stack, or they are being changed: another way must be found.
    NoTables,
}

impl Delta {
    pub(crate) const fn new() -> Self {
        Self {
            modules: Modules::new(),
            recent: Recent::new(),
            state: AtomicU8::new(State::Untested as u8),
            refreshing: AtomicU8::new(0),
            added: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            kept: AtomicPtr::new(ptr::null_mut()),
            bytes: AtomicUsize::new(0),
            stopped: AtomicU64::new(0),
            find_object: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Whether walks go by the tables.
    pub(crate) fn is_good(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Good as u8
    }

    /// Bytes of all tables.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Stacks that ended before their root, for lack of unwind data or of stack to read.
    pub(crate) fn stopped(&self) -> u64 {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether a `refresh` has something to do: the loader has loaded or unloaded something since the last one, and none
    /// is under way. Outside malloc only.
    ///
    /// In a process that was forked while its parent refreshed, never again: the loader's lock may be held there by a
    /// thread that does not exist.
    pub(crate) fn is_stale(&self) -> bool {
        self.refreshing.load(Ordering::Relaxed) == 0 && self.is_outdated()
    }

    fn is_outdated(&self) -> bool {
        self.state.load(Ordering::Relaxed) != State::Failed as u8
            && (self.modules.version().is_none() || Changes::read() != self.changes())
    }

    fn changes(&self) -> Changes {
        Changes {
            added: self.added.load(Ordering::Relaxed),
            removed: self.removed.load(Ordering::Relaxed),
        }
    }

    /// Walks the calling thread's stack into `stack`, leaving out the frames that `own_frame` covers.
    pub(super) fn walk(
        &self,
        own: &OwnStack,
        own_frame: OwnFrame,
        depth: usize,
        stack: &mut Stack,
    ) -> Walk {
        if self.is_good() {
            self.walk_tables(own, own_frame, depth, stack)
        } else {
            Walk::NoTables
        }
    }

    #[inline(never)]
    fn walk_tables(
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
                Step::FramePointer => caller(&registers, &KEEPS_FRAME_POINTER, &mut memory),
                Step::Frame(frame) => caller(&registers, &frame, &mut memory),
                Step::Signal => interrupted(&registers, &mut memory),
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

    #[cold]
    fn stop(&self, stack: &mut Stack) {
        stack.truncated = true;
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

    /// Brings the tables up to what is loaded now. Outside malloc, on a thread whose time nobody waits for: 8 ms for
    /// each MiB of new text. Does nothing while another thread is at it.
    pub(crate) fn refresh(&self) {
        // Acquire pairs with the Release below: what the last one wrote is seen.
        let taken = self
            .refreshing
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return;
        }
        // Another thread may have done it since this one was sent.
        if self.is_outdated() {
            self.refresh_alone();
        }
        self.refreshing.store(0, Ordering::Release);
    }

    fn refresh_alone(&self) {
        // SAFETY: the name is a C string.
        let find_object = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
        self.find_object.store(find_object, Ordering::Relaxed);
        let (objects, reader) = (Objects::read(), Reader::new());
        // The program and what it was linked with come first: of too many, those have a table.
        let mut loaded: Vec<Loaded> = objects
            .list
            .as_slice()
            .iter()
            .take(MODULES)
            .filter_map(|object| self.load(object, reader.unwind(object).as_slice()))
            .collect();
        loaded.sort_by_key(|module| module.start);
        self.modules.write(&loaded, || self.recent.clear());
        self.added.store(objects.changes.added, Ordering::Relaxed);
        self.removed
            .store(objects.changes.removed, Ordering::Relaxed);
        if self.state.load(Ordering::Relaxed) == State::Untested as u8 {
            let state = if memory::can_be_asked_about() && self_test::passes(self) {
                State::Good
            } else {
                State::Failed
            };
            self.state.store(state as u8, Ordering::Relaxed);
        }
    }

    /// The module of an object, with its table: one that was made from the same data, or a new one.
    fn load(&self, object: &Object, unwind: &[u8]) -> Option<Loaded> {
        let identity = identity(object, unwind);
        let newest = self.kept.load(Ordering::Relaxed).cast_const();
        // SAFETY: null or a table that is kept for good.
        let follow = |table: *const KeptTable| unsafe { table.as_ref() };
        let mut known = core::iter::successors(follow(newest), |table| follow(table.next));
        let table = match known.find(|table| table.identity == identity) {
            Some(table) => table,
            None => self.keep(identity, newest, object, unwind)?,
        };
        Some(Loaded {
            start: object.bias.wrapping_add(object.text),
            end: object.bias.wrapping_add(object.text_end),
            table,
        })
    }

    fn keep(
        &self,
        identity: u64,
        next: *const KeptTable,
        object: &Object,
        unwind: &[u8],
    ) -> Option<&'static KeptTable> {
        if self.bytes() > MAX_BYTES {
            return None;
        }
        let built = build::build(object, unwind)?;
        // Never freed: a walk may be reading it at any time.
        let table: &'static KeptTable = Box::leak(Box::new(KeptTable {
            identity,
            next,
            blocks: built.blocks.leak(),
            rows: built.rows.leak(),
            wide: built.wide.leak(),
        }));
        self.bytes.fetch_add(table.bytes(), Ordering::Relaxed);
        self.kept
            .store(ptr::from_ref(table).cast_mut(), Ordering::Relaxed);
        Some(table)
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
#[inline(always)]
fn caller(registers: &Registers, frame: &Frame, memory: &mut Memory<'_>) -> Option<Registers> {
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

/// What a signal handler interrupted, from the kernel's frame for it.
#[cold]
fn interrupted(registers: &Registers, memory: &mut Memory<'_>) -> Option<Registers> {
    let mut saved = |at: usize| memory.read(registers.sp.wrapping_add(at));
    let interrupted = Registers {
        pc: saved(ucontext::PC)?,
        sp: saved(ucontext::SP)?,
        fp: saved(ucontext::FP)?,
    };
    memory.switch_to(interrupted.sp).then_some(interrupted)
}

/// A number that differs for objects whose tables differ: of their unwind data, and of where it lies from the text.
fn identity(object: &Object, unwind: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(26) ^ word).wrapping_mul(K);
    let head = [
        object.text as u64,
        object.text_end as u64,
        object.eh_frame as u64,
        unwind.len() as u64,
    ];
    let words = unwind.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        u64::from_ne_bytes(word)
    });
    head.into_iter().chain(words).fold(K, mix)
}

#[cfg(test)]
mod tests;
