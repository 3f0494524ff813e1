//! Stacks, and what they prove.

use super::*;

/// A frame: what its functions say, innermost first, and whether the last belongs to the library.
type Frame<'a> = (&'a [Option<(&'a str, Reach, Code)>], bool);

const NOTHING: Option<(&str, Reach, Code)> = None;
const INNER: Option<(&str, Reach, Code)> = Some(("", Reach::Own, Code::Inner));
const OUTER: Option<(&str, Reach, Code)> = Some(("", Reach::Own, Code::Outer));

fn own(label: &str) -> Option<(&str, Reach, Code)> {
    Some((label, Reach::Own, Code::Shared))
}

fn elements(label: &str) -> Option<(&str, Reach, Code)> {
    Some((label, Reach::Elements, Code::Shared))
}

fn constant(label: &str) -> Option<(&str, Reach, Code)> {
    Some((label, Reach::Own, Code::Constant))
}

fn forwards(label: &str) -> Option<(&str, Reach, Code)> {
    Some((label, Reach::Own, Code::Forwards))
}

fn found<'a>(stack: &[Frame<'a>]) -> Option<&'a str> {
    let levels = stack.iter().flat_map(|(functions, is_in_runtime)| {
        let count = functions.len();
        functions.iter().enumerate().map(move |(nth, said)| Level {
            is_runtime: *is_in_runtime || nth + 1 < count,
            is_outermost: nth + 1 == count,
            is_innermost: nth == 0,
            is_in_runtime: *is_in_runtime,
            said: *said,
        })
    });
    of_levels(levels)
}

#[test]
fn the_program_s_own_frame_is_believed_and_merged_code_is_not() {
    let pushed: [Frame; 3] = [
        (&[INNER, OUTER, NOTHING], true),
        (&[NOTHING, own("Twin")], true),
        (&[own("Session"), NOTHING], false),
    ];
    assert_eq!(found(&pushed), Some("Session"));
    // Called from a function of the library's that may be another's as well.
    assert_eq!(found(&[(&[own("Twin")], true), (&[NOTHING], false)]), None);
    assert_eq!(
        found(&[
            (&[own("Twin")], true),
            (&[own("Session")], true),
            (&[NOTHING], false)
        ]),
        None
    );
    // Said again where it is believed.
    assert_eq!(
        found(&[
            (&[own("Session")], true),
            (&[elements("Session"), NOTHING], false)
        ]),
        Some("Session")
    );
}

#[test]
fn where_elements_may_allocate_two_types_prove_none() {
    let cloned: [Frame; 2] = [
        (&[own("u8")], true),
        (&[elements("String"), NOTHING], false),
    ];
    assert_eq!(found(&cloned), None);
    let text: [Frame; 2] = [
        (&[own("u8"), constant("u8")], true),
        (&[elements("String"), NOTHING], false),
    ];
    assert_eq!(found(&text), Some("u8"));
    let inlined: [Frame; 1] = [(&[own("u8"), elements("String"), NOTHING], false)];
    assert_eq!(found(&inlined), Some("u8"));
    // Only what is said where memory is allocated counts.
    assert_eq!(
        found(&[(&[NOTHING, elements("String"), NOTHING], false)]),
        None
    );
}

#[test]
fn code_that_was_not_optimized_is_believed() {
    let debug: [Frame; 4] = [
        (&[NOTHING, INNER], true),
        (&[NOTHING, OUTER], true),
        (&[own("Session")], true),
        (&[NOTHING], false),
    ];
    assert_eq!(found(&debug), Some("Session"));
    // Optimized for size, the one is not inlined, and the other is gone.
    let small: [Frame; 3] = [
        (&[NOTHING, INNER], true),
        (&[own("Twin")], true),
        (&[NOTHING], false),
    ];
    assert_eq!(found(&small), None);
    // Inlined as it is everywhere.
    let optimized: [Frame; 2] = [(&[INNER, OUTER, own("Session")], true), (&[NOTHING], false)];
    assert_eq!(found(&optimized), None);
    let forwarded: [Frame; 4] = [
        (&[NOTHING, own("Path")], true),
        (&[own("String")], true),
        (&[forwards("String")], true),
        (&[NOTHING], false),
    ];
    assert_eq!(found(&forwarded), Some("String"));
    assert_eq!(
        found(&[
            (&[own("String"), forwards("String")], true),
            (&[NOTHING], false)
        ]),
        None
    );
}

#[test]
fn nothing_beyond_the_program_s_frame_counts() {
    let nested: [Frame; 3] = [
        (&[NOTHING], true),
        (&[NOTHING], false),
        (&[elements("Session"), NOTHING], false),
    ];
    assert_eq!(found(&nested), None);
    assert_eq!(found(&[]), None);
}

#[test]
fn functions_say_what_they_hold_in_either_mangling() {
    let cases = [
        (
            "alloc::boxed::Box<T>::new",
            "new<svc::Session>",
            Some("svc::Session"),
        ),
        (
            "<alloc::boxed::Box<svc::Session>>::new",
            "new<svc::Session>",
            Some("svc::Session"),
        ),
        (
            "alloc::raw_vec::RawVec<T,A>::grow_one",
            "grow_one<u8, alloc::alloc::Global>",
            Some("u8"),
        ),
        (
            "hashbrown::raw::RawTable<T,A>::reserve_rehash",
            "reserve_rehash<(u8, u16), A, B>",
            Some("(u8, u16)"),
        ),
        (
            "std::collections::hash::set::HashSet<T,S>::insert",
            "insert<u8, S>",
            Some("u8"),
        ),
        (
            "alloc::collections::btree::map::BTreeMap<K,V,A>::insert",
            "insert<u8, u16, A>",
            Some("(u8, u16)"),
        ),
        (
            "core::iter::traits::iterator::Iterator::collect",
            "collect<I, alloc::vec::Vec<u8, alloc::alloc::Global>>",
            Some("u8"),
        ),
        (
            "core::iter::traits::iterator::Iterator::collect",
            "collect<I, svc::Mine<u8>>",
            None,
        ),
        ("alloc::string::String::push_str", "push_str", Some("u8")),
        ("alloc::boxed::Box<T>::new", "new", None),
        ("svc::boxed::Box<T>::new", "new<u8>", None),
        (
            "<alloc::vec::Vec<T,A> as svc::Extra>::push",
            "push<u8, A>",
            None,
        ),
        (
            "svc::<impl svc::Extra for alloc::vec::Vec<T>>::push",
            "push<u8>",
            None,
        ),
        (
            "alloc::raw_vec::RawVecInner<A>::grow_one",
            "grow_one<alloc::alloc::Global>",
            None,
        ),
    ];
    for (linker, name, expected) in cases {
        let said = said(linker, name).map(|said| said.label);
        assert_eq!(said.as_deref(), expected, "{linker} {name}");
    }
}
