//! The symbolizer of the `backtrace` crate, on a thread of its own for each batch.
//!
//! The caller may run on a stack of 16 KiB, on which the symbolizer overflows; what it allocates is freed on the thread
//! that allocated it; and sampling is off there.

use std::thread;

use super::Found;
use crate::record::Suspended;
use crate::stack::ReturnAddress;

/// Bytes of stack of the symbolizing thread. It was seen to use 20 KiB; address space, not memory.
const STACK: usize = 2 << 20;

/// Calls `found` for each of `addresses` with what it resolves to, innermost inlined function first. If the system has
/// no thread to spare, for none of them: the next profile tries again.
pub(in crate::profile) fn look_up<T: Sync>(
    addresses: &[(ReturnAddress, T)],
    found: &mut (dyn FnMut(ReturnAddress, &T, Vec<Found>) + Send),
) {
    if addresses.is_empty() {
        return;
    }
    on_own_thread(|| {
        for (address, tag) in addresses {
            found(*address, tag, lines_of(*address));
        }
    });
}

fn lines_of(address: ReturnAddress) -> Vec<Found> {
    let mut lines = Vec::new();
    // `resolve` takes a return address and looks up the call before it.
    backtrace::resolve(address.0 as *mut _, |symbol| {
        let Some(name) = symbol.name() else { return };
        let file = symbol.filename().map(|path| path.to_string_lossy());
        lines.push(Found {
            // The alternate form leaves out the hash.
            function: format!("{name:#}"),
            file: file.unwrap_or_default().into_owned(),
            line: symbol.lineno().unwrap_or(0),
        });
    });
    lines
}

/// The linker's names of the functions that contain `addresses`, call addresses; those that have none are left out.
#[cfg(feature = "http")]
pub(in crate::profile) fn linker_names(addresses: &[usize]) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    on_own_thread(|| {
        for address in addresses {
            let mut found = None;
            backtrace::resolve(address.wrapping_add(1) as *mut _, |symbol| {
                // The last is the function that the address is in; those before are inlined into it.
                found = symbol
                    .name()
                    .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
            });
            names.extend(found.map(|name| (*address, name)));
        }
    });
    names
}

fn on_own_thread(work: impl FnOnce() + Send) {
    let work = || {
        let _own = Suspended::new();
        work();
        // The parsed debug information is tens of megabytes; names are kept in `symbols.rs`.
        backtrace::clear_symbol_cache();
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("debug-pprof-sym".into())
            .stack_size(STACK);
        if let Ok(thread) = thread.spawn_scoped(scope, work) {
            // Joined, so that a panic in a parser of debug information ends there and not in the caller.
            let _ = thread.join();
        }
    });
}
