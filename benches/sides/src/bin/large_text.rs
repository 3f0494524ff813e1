//! A program with 10 MiB of text: what its unwind tables cost. Prints the bytes of text, the bytes that the
//! profiler's memory grew by, the milliseconds from the first request until the unwinder is in use, and its name.
//!
//! The text is made by the assembler: 17 476 functions of 600 B, each with the unwind rows of a compiled function that
//! saves all registers, one row for 43 B. Real programs have one for 40 to 60 B.

use std::arch::global_asm;
use std::hint::black_box;
use std::time::Instant;

use debug_pprof::{ProfiledAllocator, mem_stats};
use debug_pprof_bench_sides::ready;

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

global_asm!(
    ".section .text.large, \"ax\", @progbits",
    ".globl large_text_start",
    "large_text_start:",
    ".rept 17476",
    ".p2align 3",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    "push r15",
    ".cfi_def_cfa_offset 24",
    "push r14",
    ".cfi_def_cfa_offset 32",
    "push r13",
    ".cfi_def_cfa_offset 40",
    "push r12",
    ".cfi_def_cfa_offset 48",
    "push rbx",
    ".cfi_def_cfa_offset 56",
    "sub rsp, 56",
    ".cfi_def_cfa_offset 112",
    ".cfi_offset rbx, -56",
    ".cfi_offset r12, -48",
    ".cfi_offset r13, -40",
    ".cfi_offset r14, -32",
    ".cfi_offset r15, -24",
    ".cfi_offset rbp, -16",
    ".fill 568, 1, 0x90",
    "add rsp, 56",
    ".cfi_def_cfa_offset 56",
    "pop rbx",
    ".cfi_def_cfa_offset 48",
    "pop r12",
    ".cfi_def_cfa_offset 40",
    "pop r13",
    ".cfi_def_cfa_offset 32",
    "pop r14",
    ".cfi_def_cfa_offset 24",
    "pop r15",
    ".cfi_def_cfa_offset 16",
    "pop rbp",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    ".endr",
    ".globl large_text_end",
    "large_text_end:",
    ".text",
);

unsafe extern "C" {
    static large_text_start: u8;
    static large_text_end: u8;
}

fn main() {
    // Named, so that the linker keeps them.
    let text =
        black_box(&raw const large_text_end).addr() - black_box(&raw const large_text_start).addr();
    let before = mem_stats().profiler.memory_bytes;
    let start = Instant::now();
    let unwinder = ready();
    let took = start.elapsed().as_secs_f64() * 1e3;
    let grown = mem_stats().profiler.memory_bytes.saturating_sub(before);
    println!("{text} {grown} {took:.1} {unwinder}");
}
