//! What signals tell: where each thread is, and where the processor's time goes.
//!
//! ```text
//!  threads() ─▶ /proc/self/task ─▶ a signal to each thread ─▶ handler ─▶ slot ─▶ threads()
//!  cpu::run() ─▶ a timer on each thread's clock ─▶ SIGPROF ─▶ handler ─▶ ring ─▶ cpu::run()
//! ```
//!
//! A handler interrupts anything: an allocation, a walk, a lock's holder. So it takes nothing that another may hold: it neither
//! allocates nor locks, calls nothing but the walk and the kernel, touches no thread-local variable of Rust's (in a library
//! that was loaded later the first touch allocates), and leaves `errno` as it was. What it writes has been there since before
//! it was installed.
//!
//! Handlers stay installed. A signal may be under way when the last answer has come, and without a handler it would end the
//! process; with one it finds that nobody asks, and returns. Ignored instead, it would be ignored in every program that this
//! one starts too.

pub(crate) mod cpu;
mod handler;
mod kernel_thread;
mod slots;
mod threads;
mod wait_state;

use self::cpu::Cpu;
use self::slots::Slots;
use self::threads::Asker;
pub(crate) use self::threads::{ThreadStack, threads};

/// How many threads there are.
pub(crate) fn thread_count() -> usize {
    kernel_thread::tids().len()
}
use crate::fork_lock::ForkLock;

/// What handlers find.
static SIGNALS: Signals = Signals {
    slots: Slots::new(),
    asker: ForkLock::new(Asker::new(), Asker::new),
    cpu: Cpu::new(),
};

struct Signals {
    slots: Slots,
    /// Who has it asks the threads.
    asker: ForkLock<Asker>,
    cpu: Cpu,
}
