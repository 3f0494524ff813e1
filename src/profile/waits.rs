//! Which frames at the leaf of a task's stack are how it waits, and not where: Go leaves those of its runtime out of its texts as
//! well. A profile's file has them all.

use super::names::Function;

/// Parts of the paths of sources: Rust's library, and what of the executors and of channels registers wakers. Not their
/// sockets and files, which say what is waited for, as in Go.
const SOURCES: [(&str, &[&str]); 8] = [
    ("/library/core/src/", &[""]),
    ("/library/std/src/", &[""]),
    ("/library/alloc/src/", &[""]),
    (
        "/tokio-1.",
        &[
            "/src/sync/",
            "/src/time/",
            "/src/runtime/",
            "/src/task/",
            "/src/loom/",
            "/src/util/",
            "/src/macros/",
            "/src/future/",
        ],
    ),
    ("/futures-core-", &[""]),
    ("/futures-channel-", &[""]),
    ("/async-channel-", &[""]),
    ("/event-listener-", &[""]),
];

/// How such functions are called where there are no line tables.
const PATHS: [&str; 14] = [
    "core::",
    "std::",
    "alloc::",
    "__rust_try",
    "tokio::sync::",
    "tokio::time::",
    "tokio::runtime::",
    "tokio::task::",
    "tokio::loom::",
    "tokio::util::",
    "tokio::macros::",
    "futures_core::",
    "futures_channel::",
    "event_listener::",
];

/// Whether a function is part of how a task waits.
pub(super) fn is_wait(function: &Function<'_>) -> bool {
    let Function { name, file } = *function;
    if file.is_empty() {
        let name = name.trim_start_matches(['<', '&']);
        return PATHS.iter().any(|path| name.starts_with(path));
    }
    SOURCES.iter().any(|(library, parts)| {
        let rest = file.split_once(library).map(|(_, rest)| rest);
        rest.is_some_and(|rest| parts.iter().any(|part| rest.contains(part)))
    })
}

/// How many functions at the beginning of a task's stack, the leaf first, are how it waits; none if there is nothing else.
pub(super) fn waiting(is_wait: impl Iterator<Item = bool>) -> usize {
    let mut is_all = true;
    let waiting = is_wait.take_while(|is_wait| {
        is_all &= *is_wait;
        *is_wait
    });
    let count = waiting.count();
    if is_all { 0 } else { count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registers_wakers_is_how_it_waits_and_what_is_read_is_not() {
        let tokio = "/root/.cargo/registry/src/index-0123/tokio-1.54.1";
        for (name, file, expected) in [
            ("clone", "/rustc/abc/library/core/src/task/wake.rs", true),
            ("recv", &*format!("{tokio}/src/sync/mpsc/bounded.rs"), true),
            ("accept", &format!("{tokio}/src/net/tcp/listener.rs"), false),
            ("svc::task::run", "/srv/src/sync/task.rs", false),
            (
                "<core::task::wake::Waker as core::clone::Clone>::clone",
                "",
                true,
            ),
            ("tokio::sync::mpsc::chan::Rx<T,S>::recv", "", true),
            ("__rust_try", "", true),
            ("tokio::net::tcp::listener::TcpListener::accept", "", false),
            ("svc::wait::{{closure}}", "", false),
        ] {
            assert_eq!(is_wait(&Function { name, file }), expected, "{name}");
        }
    }

    #[test]
    fn a_stack_of_nothing_else_is_shown_whole() {
        for (stack, expected) in [
            (&[true, true, false, true][..], 2),
            (&[false, true], 0),
            (&[true, true], 0),
            (&[], 0),
        ] {
            assert_eq!(waiting(stack.iter().copied()), expected);
        }
    }
}
