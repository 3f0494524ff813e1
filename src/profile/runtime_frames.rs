//! Which frames belong to the allocator and the collections of Rust's library rather than to whoever called them.
//!
//! Go hides its runtime on the leaf side of every stack, so that the bytes of `make([]byte, n)` stand at the function
//! that called `make`. The counterpart here are the profiler, the allocator shims, and the crates `alloc`, `core` and
//! `hashbrown` with std's maps: the bytes of `vec![0; n]` stand at the function that wrote it. Only the leaf side is
//! hidden, and only where something remains.

use crate::allocator::SOURCE;

/// Parts of the paths of the library's sources: the toolchain's own, wherever it was built or installed.
const RUNTIME_SOURCES: [&str; 6] = [
    "/library/alloc/src/",
    "/library/core/src/",
    "/library/std/src/alloc.rs",
    "/library/std/src/collections/",
    "/library/std/src/sys/alloc/",
    "/hashbrown-",
];

/// First components of the paths of such functions, for binaries without line tables.
const RUNTIME_CRATES: [&str; 4] = ["alloc", "core", "hashbrown", "__rustc"];

/// Linker names of the shims between `alloc::alloc` and the global allocator.
const SHIMS: [&str; 6] = [
    "__rust_alloc",
    "__rust_alloc_zeroed",
    "__rust_realloc",
    "__rg_alloc",
    "__rg_alloc_zeroed",
    "__rg_realloc",
];

/// Whether this is a function of the allocation runtime.
pub(super) fn is_runtime(function: &str, file: &str) -> bool {
    if SHIMS.contains(&function) || function.starts_with("__rustc::") || is_wrapper(function, file)
    {
        return true;
    }
    // The file says in which crate a function was written. Its name may say less: `<Mine as Clone>::clone`.
    if file.is_empty() {
        return RUNTIME_CRATES.contains(&defining_crate(function))
            || function.starts_with("std::collections::");
    }
    RUNTIME_SOURCES.iter().any(|part| file.contains(part))
}

/// The wrapper itself: `<debug_pprof::allocator::ProfiledAllocator as …GlobalAlloc>::alloc`, or something in its file.
fn is_wrapper(function: &str, file: &str) -> bool {
    function
        .trim_start_matches('<')
        .starts_with("debug_pprof::allocator::ProfiledAllocator")
        || file.ends_with(SOURCE)
}

/// The crate of the type or trait that a path names first: `alloc` for `<alloc::vec::Vec<T> as core::clone::Clone>::…`,
/// and for `<T as alloc::slice::Join>::…`, where the type has none.
fn defining_crate(function: &str) -> &str {
    let path = function
        .trim_start_matches(['<', '&', '[', '(', '*'])
        .trim_start_matches("mut ");
    let (owner, rest) = match path.find(" as ") {
        Some(at) if function.starts_with('<') => path.split_at(at),
        _ => (path, ""),
    };
    let first = |path: &str| path.split_once("::").map(|(first, _)| first.len());
    match (first(owner), rest.strip_prefix(" as ")) {
        (Some(len), _) if owner.get(..len).is_some_and(is_identifier) => {
            owner.get(..len).unwrap_or_default()
        }
        (_, Some(owner_trait)) => owner_trait.split("::").next().unwrap_or_default(),
        _ => owner,
    }
}

fn is_identifier(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_decides_where_it_is_known() {
        let library = "/rustc/0123abcd/library";
        for (file, expected) in [
            ("alloc/src/raw_vec/mod.rs", true),
            ("core/src/iter/traits/iterator.rs", true),
            ("std/src/collections/hash/map.rs", true),
            ("std/src/io/buffered/bufwriter.rs", false),
            ("std/src/thread/mod.rs", false),
        ] {
            assert_eq!(
                is_runtime("x::y", &format!("{library}/{file}")),
                expected,
                "{file}"
            );
        }
        assert!(is_runtime(
            "hashbrown::raw::RawTable<T,A>::reserve_rehash",
            "/rust/deps/hashbrown-0.15.5/src/raw/mod.rs"
        ));
        // Where line tables are all there is, names have no path.
        assert!(is_runtime(
            "alloc<std::alloc::System>",
            &format!("/home/x/{SOURCE}")
        ));
        // Code that was derived or written for one's own type lives in one's own file.
        assert!(!is_runtime(
            "<svc::Order as core::clone::Clone>::clone",
            "/srv/src/order.rs"
        ));
        assert!(!is_runtime("alloc::mine", "/srv/alloc/src/lib.rs"));
    }

    #[test]
    fn the_name_decides_without_line_tables() {
        for function in [
            "alloc::raw_vec::finish_grow",
            "alloc::raw_vec::RawVec<T,A>::grow_one",
            "<alloc::vec::Vec<svc::Order> as core::clone::Clone>::clone",
            "<u8 as alloc::slice::hack::ConvertVec>::to_vec",
            "<T as alloc::slice::hack::ConvertVec>::to_vec",
            "<[T] as alloc::slice::Concat<Item>>::concat",
            "<&mut alloc::vec::Vec<u8> as core::iter::Extend<u8>>::extend",
            "hashbrown::raw::inner::RawTable<T,A>::reserve_rehash",
            "std::collections::hash::map::HashMap<K,V,S>::insert",
            "__rustc::__rust_alloc",
            "__rust_realloc",
            "<debug_pprof::allocator::ProfiledAllocator<A> as core::alloc::global::GlobalAlloc>::alloc",
            "debug_pprof::allocator::ProfiledAllocator<A>::x",
        ] {
            assert!(is_runtime(function, ""), "{function}");
        }
        for function in [
            "svc::cache::remember",
            "<svc::Order as core::clone::Clone>::clone",
            "<svc::Order<alloc::string::String> as svc::Named>::name",
            "alloc_free::run",
            "main",
            "std::io::Read::read_to_end",
            "svc::run::{{closure}}",
            "",
            "<",
            "< as ",
        ] {
            assert!(!is_runtime(function, ""), "{function}");
        }
    }
}
