//! A thread that std does not know of, for work that a fork child must get done too.
//!
//! A thread of std's takes a lock of std's when it starts and when it ends (it lists its stack's guard page, for the message
//! on an overflow). A child that is forked while another thread holds that lock waits for ever at the next thread that it
//! starts: seen in one of some hundred children of a process whose threads come and go. `pthread_create` has no such lock,
//! as the C library puts its own right in a child.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Runs `work` on a new thread with `stack` bytes of stack and waits for its end, a panic included. False if there was no
/// thread to be had.
#[cfg(any(feature = "symbolize", test))]
pub(super) fn run_and_wait<F: FnOnce() + Send>(stack: usize, work: F) -> bool {
    let mut work = Some(work);
    let Some(thread) = start(stack, run_once::<F>, (&raw mut work).cast()) else {
        return false;
    };
    // SAFETY: a thread that was started, and that nobody else joins or detaches.
    unsafe { libc::pthread_join(thread, ptr::null_mut()) };
    true
}

/// Runs `work` on a new thread and does not wait. False if there was no thread to be had.
pub(super) fn run_alone(stack: usize, work: fn()) -> bool {
    // `run_fn` turns it back.
    let argument = work as *mut c_void;
    let Some(thread) = start(stack, run_fn, argument) else {
        return false;
    };
    // SAFETY: as above.
    unsafe { libc::pthread_detach(thread) };
    true
}

/// A thread of [`start_alone`]'s. Dropped without `join`, it runs on by itself.
#[derive(Debug)]
pub(crate) struct BareThread(libc::pthread_t);

// SAFETY: any thread may join any other; musl's name of a thread is a pointer, which is not looked behind.
unsafe impl Send for BareThread {}

/// Runs `work` on a new thread that can be waited for later. None if there was no thread to be had.
pub(crate) fn start_alone<F: FnOnce() + Send + 'static>(
    stack: usize,
    work: F,
) -> Option<BareThread> {
    let work = Box::into_raw(Box::new(work));
    let thread = start(stack, run_boxed::<F>, work.cast());
    if thread.is_none() {
        // SAFETY: made by `into_raw` above, and nobody has got it.
        drop(unsafe { Box::from_raw(work) });
    }
    thread.map(BareThread)
}

impl BareThread {
    /// Returns when its work is over. Only for the process that started it.
    pub(crate) fn join(self) {
        // SAFETY: a thread that was started, and that nobody else joins or detaches: `self` is used up.
        unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
    }
}

fn start(
    stack: usize,
    main: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> Option<libc::pthread_t> {
    let mut attributes = std::mem::MaybeUninit::uninit();
    // SAFETY: makes the attributes valid.
    if unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the attributes are valid. A size that it does not like leaves the default.
    unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack) };
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: all arguments are valid; what `argument` points to is kept by the caller for as long as `main` reads it.
    let started =
        unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), main, argument) };
    // SAFETY: valid, and not used again.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    // SAFETY: written by a call that has worked.
    (started == 0).then(|| unsafe { thread.assume_init() })
}

#[cfg(any(feature = "symbolize", test))]
extern "C" fn run_once<F: FnOnce() + Send>(work: *mut c_void) -> *mut c_void {
    // SAFETY: points to the `Option<F>` in `run_and_wait`, which waits for this thread and does not touch it meanwhile.
    let work = unsafe { &mut *work.cast::<Option<F>>() };
    if let Some(work) = work.take() {
        run(work);
    }
    ptr::null_mut()
}

extern "C" fn run_boxed<F: FnOnce() + Send>(work: *mut c_void) -> *mut c_void {
    // SAFETY: the box that `start_alone` gave away to this thread.
    let work = unsafe { Box::from_raw(work.cast::<F>()) };
    run(work);
    ptr::null_mut()
}

extern "C" fn run_fn(work: *mut c_void) -> *mut c_void {
    // SAFETY: the `fn()` that `run_alone` was given.
    run(unsafe { std::mem::transmute::<*mut c_void, fn()>(work) });
    ptr::null_mut()
}

/// A panic ends here: it must not unwind into the C library.
fn run(work: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(work)));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const STACK: usize = 1 << 20;

    #[test]
    fn it_is_waited_for_and_a_panic_ends_there() {
        let here = std::thread::current().id();
        let mut elsewhere = here;
        assert!(run_and_wait(STACK, || elsewhere = std::thread::current().id()));
        assert_ne!(elsewhere, here);
        assert!(run_and_wait(STACK, || panic!("on purpose")));
    }

    /// How many of `children` do `work`, forked while threads start and end.
    fn forked_among_changing_threads(children: usize, work: fn() -> bool) -> usize {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::thread::spawn(|| ()).join().unwrap();
                    }
                });
            }
            let done = (0..children).filter(|_| child_does(work)).count();
            stop.store(true, Ordering::Relaxed);
            done
        })
    }

    fn child_does(work: fn() -> bool) -> bool {
        // SAFETY: the child starts a thread, which is what the test is about, and ends with `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                // Ends a child that hangs, and no other on a slow machine.
                // SAFETY: no preconditions.
                unsafe { libc::alarm(60) };
                let status = i32::from(!work());
                // SAFETY: ends the child without the parent's exit handlers.
                unsafe { libc::_exit(status) }
            }
            child => {
                let mut status = 0;
                // SAFETY: waits for our child; `status` is valid to write to.
                let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
                waited == child && status == 0
            }
        }
    }

    /// With `std::thread::spawn` in its place two children in a thousand hang.
    #[test]
    fn fork_children_can_start_one_whatever_other_threads_were_doing() {
        let work = || run_and_wait(STACK, || ());
        assert_eq!(forked_among_changing_threads(1_000, work), 1_000);
    }

    #[test]
    fn it_runs_alone_until_it_is_joined() {
        let (sender, said) = std::sync::mpsc::channel();
        let thread = start_alone(STACK, move || {
            let _ = sender.send(());
            panic!("on purpose");
        });
        thread.expect("a thread").join();
        assert_eq!(said.recv(), Ok(()));
    }

    #[test]
    fn it_runs_alone() {
        static RAN: AtomicBool = AtomicBool::new(false);
        assert!(run_alone(STACK, || RAN.store(true, Ordering::Relaxed)));
        while !RAN.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
}
