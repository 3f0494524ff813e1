//! A system that has no thread to give gets an error from `start` and a 503 for its clients; nothing panics, and the
//! endpoint is whole again when there are threads again.
//!
//! The system is stood in for by a `pthread_create` of this program's own, which the standard library is linked to.
#![cfg(all(feature = "http", target_os = "linux", target_env = "gnu"))]

mod http_client;
mod local_server;

use std::ffi::{c_int, c_void};
use std::mem::transmute;
use std::sync::atomic::{AtomicUsize, Ordering};

use debug_pprof::http::Server;
use debug_pprof::{Error, ProfiledAllocator};
use http_client::{connect, get, get_when_free, send, try_get};

#[global_allocator]
static ALLOC: ProfiledAllocator = ProfiledAllocator::system();

type Start = extern "C" fn(*mut c_void) -> *mut c_void;
type Create =
    unsafe extern "C" fn(*mut libc::pthread_t, *const c_void, Start, *mut c_void) -> c_int;

/// How many more threads there are, and how many were refused.
static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    let take = |left: usize| match left {
        usize::MAX => Some(left),
        _ => left.checked_sub(1),
    };
    if LEFT
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
        .is_err()
    {
        REFUSED.fetch_add(1, Ordering::SeqCst);
        return libc::EAGAIN;
    }
    // SAFETY: a C string; the C library has this function.
    let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) };
    assert!(!real.is_null());
    // SAFETY: the function of that name has this type.
    let real = unsafe { transmute::<*mut c_void, Create>(real) };
    // SAFETY: the caller's own arguments.
    unsafe { real(thread, attributes, start, argument) }
}

fn with_threads<T>(left: usize, work: impl FnOnce() -> T) -> T {
    LEFT.store(left, Ordering::SeqCst);
    let result = work();
    LEFT.store(usize::MAX, Ordering::SeqCst);
    result
}

/// One test, because the number of threads is the process's.
#[test]
fn nothing_panics_and_all_comes_back() {
    let started = with_threads(0, || Server::builder().addr("127.0.0.1:0").start());
    assert!(matches!(started, Err(Error::Thread(_))), "{started:?}");
    let served = with_threads(0, || debug_pprof::serve("127.0.0.1:0"));
    assert!(matches!(served, Err(Error::Thread(_))), "{served:?}");

    let (server, addr) = local_server::start();
    for _ in 0..3 {
        let refused = REFUSED.load(Ordering::SeqCst);
        with_threads(0, || {
            // Clients that say nothing, or leave, hold nothing up.
            let silent = connect(addr);
            drop(send(addr, b"GET"));
            // A refusal in passing may overtake the request, and is lost to a client that is still sending.
            let told = || match try_get(addr, "/debug/pprof/heap", "") {
                Ok(answer) => {
                    assert_eq!(answer.status, 503);
                    answer.header("Retry-After").is_some()
                }
                Err(_) => false,
            };
            while !told() {}
            drop(silent);
        });
        // One for each of these.
        assert!(REFUSED.load(Ordering::SeqCst) >= refused + 3);
        assert_eq!(get_when_free(addr, "/debug/pprof/heap").status, 200);
    }
    // A thread for the connection, and none for its names: a profile without them.
    let answer = with_threads(1, || get(addr, "/debug/pprof/allocs"));
    assert_eq!(answer.status, 200);
    assert_eq!(get(addr, "/debug/pprof/allocs").status, 200);
    with_threads(0, || server.shutdown());
}
