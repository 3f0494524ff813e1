//! An allocation in a signal handler has the function that was interrupted in its call stack, at its very first instruction
//! too: not the one that lies before it.
#![cfg(all(feature = "symbolize", target_arch = "x86_64", target_os = "linux"))]

use std::hint::black_box;
use std::mem;
use std::ptr;
use std::sync::Mutex;

use debug_pprof::{HeapProfile, ProfiledAllocator};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system().sample_every(1);

const SIZE: usize = 33_347;

static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

core::arch::global_asm!(
    ".text",
    ".type lies_before, @function",
    "lies_before:",
    ".cfi_startproc",
    "call rdi",
    ".cfi_endproc",
    ".size lies_before, . - lies_before",
    ".type interrupted_at_once, @function",
    "interrupted_at_once:",
    ".cfi_startproc",
    "ud2",
    "ret",
    ".cfi_endproc",
    ".size interrupted_at_once, . - interrupted_at_once",
);

unsafe extern "C" {
    fn interrupted_at_once();
}

extern "C" fn on_signal(
    _signal: libc::c_int,
    _info: *mut libc::siginfo_t,
    context: *mut libc::ucontext_t,
) {
    *KEPT.lock().expect("nobody else") = vec![1; black_box(SIZE)];
    // SAFETY: the kernel's, for this handler.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    // Past the instruction that caused the signal, of two bytes.
    registers[libc::REG_RIP as usize] += 2;
}

/// The entry of the allocation in the handler, as text.
fn entry() -> String {
    // SAFETY: the handler goes on behind the instruction that causes the signal.
    unsafe { interrupted_at_once() };
    let mut text = Vec::new();
    let profile = HeapProfile::capture().expect("installed");
    profile.write_text(&mut text).expect("a vector takes all");
    drop(mem::take(&mut *KEPT.lock().expect("nobody else")));
    let text = String::from_utf8(text).expect("UTF-8");
    let is_it = |entry: &&str| entry.contains(&format!("1: {SIZE} ["));
    text.split("\n\n")
        .find(is_it)
        .expect("the entry")
        .to_owned()
}

#[test]
fn interrupted_functions_have_their_own_names() {
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    let handler =
        on_signal as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::ucontext_t);
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a valid handler, for a signal that nothing else here causes.
    let set = unsafe { libc::sigaction(libc::SIGILL, &raw const action, ptr::null_mut()) };
    assert_eq!(set, 0);
    // By unwind data in place, and then by tables.
    for entry in [entry(), entry()] {
        assert!(entry.contains("\tinterrupted_at_once+0x0"), "{entry}");
        assert!(!entry.contains("lies_before"), "{entry}");
    }
}
