//! Frames that unwinders die of: without unwind data, with data that lies, of generated code, and fibres.
#![allow(dead_code, reason = "each test crate uses the part that it needs")]

use std::arch::global_asm;
use std::ffi::c_void;
use std::ptr;

pub(crate) type Callback = unsafe extern "C" fn(*mut c_void);

global_asm!(
    ".text",
    ".globl hostile_bare, hostile_frame_pointer, hostile_return_address, fibre_switch",
    ".globl fibre_first_annotated, fibre_first_bare, fibre_first_lying",
    // No unwind data, and none near it.
    ".p2align 6",
    ".skip 64, 0x90",
    "hostile_bare:",
    "sub rsp, 8",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "add rsp, 8",
    "ret",
    ".p2align 6",
    // Its frame pointer is its third argument, and its unwind data believes it.
    "hostile_frame_pointer:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa rsp, 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rdx",
    ".cfi_def_cfa rbp, 16",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    // Its unwind data finds its third argument where the return address should be.
    "hostile_return_address:",
    ".cfi_startproc",
    "sub rsp, 24",
    "mov [rsp + 8], rdx",
    ".cfi_def_cfa_offset 16",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "add rsp, 24",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    // Leaves the stack that is running at *rdi and goes on with the one at rsi.
    "fibre_switch:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_offset rbp, -16",
    "push rbx",
    ".cfi_adjust_cfa_offset 8",
    "push r12",
    ".cfi_adjust_cfa_offset 8",
    "push r13",
    ".cfi_adjust_cfa_offset 8",
    "push r14",
    ".cfi_adjust_cfa_offset 8",
    "push r15",
    ".cfi_adjust_cfa_offset 8",
    "mov [rdi], rsp",
    "mov rsp, rsi",
    "pop r15",
    ".cfi_adjust_cfa_offset -8",
    "pop r14",
    ".cfi_adjust_cfa_offset -8",
    "pop r13",
    ".cfi_adjust_cfa_offset -8",
    "pop r12",
    ".cfi_adjust_cfa_offset -8",
    "pop rbx",
    ".cfi_adjust_cfa_offset -8",
    "pop rbp",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_restore rbp",
    "ret",
    ".cfi_endproc",
    // A fibre's first function: its data says that it has no caller.
    "fibre_first_annotated:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    "mov rdi, r12",
    "call r13",
    "ud2",
    ".cfi_endproc",
    // The same without data: further away from code with data than padding between functions is.
    ".p2align 6",
    ".skip 64, 0x90",
    "fibre_first_bare:",
    "mov rdi, r12",
    "call r13",
    "ud2",
    ".p2align 6",
    // Data, but for a caller: whatever lies above the stack's first word is taken for one.
    "fibre_first_lying:",
    ".cfi_startproc",
    "nop",
    "mov rdi, r12",
    "call r13",
    "ud2",
    ".cfi_endproc",
);

unsafe extern "C" {
    pub(crate) fn hostile_bare(call: Callback, with: *mut c_void);
    pub(crate) fn hostile_frame_pointer(call: Callback, with: *mut c_void, frame_pointer: usize);
    pub(crate) fn hostile_return_address(call: Callback, with: *mut c_void, return_address: usize);
    fn fibre_switch(save: *mut usize, load: usize);
    fn fibre_first_annotated();
    fn fibre_first_bare();
    fn fibre_first_lying();
}

/// Executable memory with a function of the form of `hostile_bare`, which nobody knows of.
pub(crate) fn generated_thunk() -> unsafe extern "C" fn(Callback, *mut c_void) {
    const CODE: [u8; 17] = [
        0x48, 0x83, 0xec, 0x08, 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0xff, 0xd0, 0x48, 0x83, 0xc4,
        0x08, 0xc3,
    ];
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping where the kernel likes.
    let page = unsafe { libc::mmap(ptr::null_mut(), 4096, all, private, -1, 0) };
    assert!(page != libc::MAP_FAILED);
    // SAFETY: a page of our own.
    unsafe { ptr::copy_nonoverlapping(CODE.as_ptr(), page.cast(), CODE.len()) };
    // SAFETY: the code is that of a function with this signature.
    unsafe { std::mem::transmute(page) }
}

/// How a fibre begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum First {
    Annotated,
    Bare,
    Lying,
}

/// Bytes of a fibre's stack. A walk and a debug build's allocation take some 20 KiB.
pub(crate) const FIBRE_STACK: usize = 128 * 1024;

/// A fibre: runs `body` with itself, which gives way by `give_way`.
pub(crate) struct Fibre {
    stack: *mut u8,
    /// Stack pointers: of the fibre while it waits, of its caller while it runs.
    own: usize,
    caller: usize,
}

// SAFETY: runs on one thread at a time, which `&mut self` sees to.
unsafe impl Send for Fibre {}

impl Fibre {
    /// `stack` has `FIBRE_STACK` bytes, which nobody else uses while the fibre lives.
    pub(crate) fn new(
        stack: *mut u8,
        first: First,
        body: unsafe extern "C" fn(*mut Fibre),
    ) -> Box<Fibre> {
        let first = match first {
            First::Annotated => fibre_first_annotated as unsafe extern "C" fn() as usize,
            First::Bare => fibre_first_bare as unsafe extern "C" fn() as usize,
            // Behind the `nop`, as a return address would be.
            First::Lying => fibre_first_lying as unsafe extern "C" fn() as usize + 1,
        };
        let mut fibre = Box::new(Fibre {
            stack,
            own: 0,
            caller: 0,
        });
        let end = (stack.expose_provenance() + FIBRE_STACK) & !15;
        // r15, r14, r13, r12, rbx, rbp, return address, and garbage above.
        let words = [
            0,
            0,
            body as *const () as usize,
            (&raw mut *fibre).expose_provenance(),
            0,
            0x5ead_b000,
            first,
            0x5ead_b000,
            0x5ead_b000,
        ];
        // So that the stack pointer is a multiple of 16 where the first function calls.
        fibre.own = end - 16 - 7 * 8;
        for (nth, word) in words.into_iter().enumerate() {
            let place = ptr::with_exposed_provenance_mut::<usize>(fibre.own + 8 * nth);
            // SAFETY: inside the stack, near its end.
            unsafe { place.write(word) };
        }
        fibre
    }

    /// Runs the fibre until it gives way.
    pub(crate) fn resume(&mut self) {
        let own = self.own;
        // SAFETY: `own` is a stack that was made by `new` or left by `give_way`.
        unsafe { fibre_switch(&raw mut self.caller, own) };
    }

    /// Called on the fibre: goes on with whoever resumed it.
    ///
    /// # Safety
    /// * `this` is the fibre that runs.
    pub(crate) unsafe fn give_way(this: *mut Fibre) {
        // SAFETY: the caller vouches for it; `resume` has left its stack there.
        let caller = unsafe { (*this).caller };
        // SAFETY: as above.
        let own = unsafe { &raw mut (*this).own };
        // SAFETY: as above; `own` is where `resume` will look for this stack.
        unsafe { fibre_switch(own, caller) };
    }

    pub(crate) fn stack(&self) -> *mut u8 {
        self.stack
    }
}
