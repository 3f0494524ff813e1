//! Which frames at a thread's root belong to how threads are started, and not to what this one was started to run.

use super::frames::Frames;
use super::mappings::Mappings;
use super::names::Function;
use super::sites::Site;

/// Parts of the paths of the library's sources: the toolchain's own, wherever it was built or installed.
const STD_SOURCES: [&str; 3] = [
    "/library/std/src/",
    "/library/core/src/",
    "/library/alloc/src/",
];

/// How such functions are called where there are no line tables.
const STD_CRATES: [&str; 6] = [
    "std::", "core::", "alloc::", "<std::", "<alloc::", "<core::",
];

/// Where C starts a program, rustc's function that calls std there, and what rustc makes of catching a panic.
const MADE: [&str; 3] = ["_start", "main", "__rust_try"];

/// The files of the C library.
const C_LIBRARIES: [&str; 5] = ["libc.so", "libc-", "libpthread", "ld-linux", "ld-musl"];

/// Whether all functions at an address are of std or of the C library.
pub(super) fn is_start(frames: &Frames, mappings: &Mappings, site: Site) -> bool {
    let is_in_c = mappings.of(site).is_some_and(|mapping| {
        let name: &str = &mapping.file;
        C_LIBRARIES.iter().any(|library| name.starts_with(library))
    });
    let mut lines = frames.lines(site).iter().peekable();
    is_in_c
        || (lines.peek().is_some()
            && lines.all(|line| {
                let function = frames.resolved.names().function(line);
                function.is_none_or(|function| is_std(&function))
            }))
}

fn is_std(function: &Function<'_>) -> bool {
    match function.file {
        "" => {
            MADE.contains(&function.name)
                || STD_CRATES
                    .iter()
                    .any(|path| function.name.starts_with(path))
        }
        file => STD_SOURCES.iter().any(|part| file.contains(part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_whose_a_function_is_or_else_its_name() {
        let std = "/rustc/abc/library/std/src/sys/backtrace.rs";
        for (name, file, expected) in [
            (
                "std::sys::backtrace::__rust_begin_short_backtrace",
                std,
                true,
            ),
            ("std::rt::lang_start", "", true),
            (
                "<alloc::boxed::Box<F> as core::ops::FnOnce<A>>::call_once",
                "",
                true,
            ),
            ("main", "", true),
            ("main", "/srv/main.c", false),
            ("svc::main", "", false),
            ("svc::main::{{closure}}", "src/main.rs", false),
            (
                "tokio::runtime::blocking::pool::Inner::run",
                "tokio-1.0/src/pool.rs",
                false,
            ),
        ] {
            assert_eq!(
                is_std(&Function { name, file }),
                expected,
                "{name} in {file}"
            );
        }
    }
}
