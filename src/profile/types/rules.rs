//! Which functions of the library say what is stored in the memory that they allocate: by path, without generic arguments,
//! and by the position of the arguments in the order that debug information has them, the `impl`'s first.
//!
//! A container's buffer, table or node has the type of what the program stores in it: `T` of a `Vec<T>`, `(K, V)` of a map,
//! `T` of a set, and not that of the library's node around it.

use super::{Code, Reach, arguments};

/// What of a function's arguments is the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The first, or what the library wraps in it: `T` of `ArcInner<T>`, of `[T]`.
    First,
    /// The first two, key and value.
    Entry,
    /// What the collection stores that is the second: `collect::<Vec<T>>`.
    OfSecond,
    /// Bytes, of a text too: whatever the arguments are.
    Bytes,
    /// Bytes if the first is a text: cloning one allocates nothing else.
    Text,
    /// Members of a JSON object.
    Members,
}

/// Functions that are `Code::Forwards`.
const FORWARDS: [&str; 16] = [
    "[]::to_vec",
    "[]::to_vec_in",
    "alloc::collections::linked_list::LinkedList::push_back",
    "alloc::collections::linked_list::LinkedList::push_front",
    "alloc::collections::vec_deque::VecDeque::push_back",
    "alloc::collections::vec_deque::VecDeque::push_front",
    "alloc::vec::Vec::clone",
    "alloc::vec::Vec::extend",
    "alloc::vec::Vec::push",
    "alloc::vec::Vec::spec_extend",
    "alloc::vec::Vec::with_capacity",
    "alloc::vec::from_elem",
    "core::iter::traits::iterator::Iterator::collect",
    "std::collections::hash::map::HashMap::entry",
    "std::collections::hash::map::HashMap::insert",
    "std::collections::hash::set::HashSet::insert",
];

/// What is known of the code of one of the allocator's functions, by its path.
pub(super) fn allocator(path: &str) -> Option<Code> {
    match path.strip_prefix("alloc::alloc::Global::")? {
        "alloc_impl_runtime" | "grow_impl_runtime" => Some(Code::Inner),
        "allocate" | "allocate_zeroed" | "grow" | "grow_zeroed" => Some(Code::Outer),
        _ => None,
    }
}

/// What is known of the code of a function that has a rule.
pub(super) fn code(holds: Holds, paths: [&str; 2]) -> Code {
    match holds {
        Bytes | Members => Code::Constant,
        _ if paths.iter().any(|path| FORWARDS.contains(path)) => Code::Forwards,
        _ => Code::Shared,
    }
}

use Holds::{Bytes, Entry, First, Members, OfSecond, Text};
use Reach::{Elements, Own};

/// A type, or a module with functions, and functions of it.
type Rule = (&'static str, &'static [&'static str], Holds, Reach);

#[rustfmt::skip]
const RULES: &[Rule] = &[
    ("alloc::raw_vec::RawVec", &["grow_one", "reserve", "reserve_exact", "try_reserve", "try_reserve_exact", "with_capacity",
        "with_capacity_in", "with_capacity_zeroed", "with_capacity_zeroed_in", "try_with_capacity_in", "shrink_to_fit",
        "shrink", "reserve_for_push", "grow_amortized", "grow_exact", "try_allocate_in", "allocate_in"], First, Own),
    ("alloc::vec::Vec", &["push", "push_mut", "insert", "insert_mut", "reserve", "reserve_exact", "try_reserve",
        "try_reserve_exact", "with_capacity", "with_capacity_in", "try_with_capacity", "shrink_to_fit", "shrink_to",
        "into_boxed_slice", "append", "append_elements", "split_off"], First, Own),
    ("alloc::vec::Vec", &["extend", "spec_extend", "extend_desugared", "extend_trusted", "extend_from_slice",
        "extend_from_within", "extend_one", "resize", "resize_with", "extend_with", "from_iter", "clone", "from",
        "clone_from"], First, Elements),
    ("alloc::vec", &["from_elem"], First, Elements),
    ("[]", &["to_vec", "to_vec_in", "to_owned"], First, Elements),
    ("core::iter::traits::iterator::Iterator", &["collect"], OfSecond, Elements),

    ("alloc::boxed::Box", &["new", "pin", "new_in", "try_new", "new_uninit", "new_uninit_in", "try_new_uninit_in",
        "new_zeroed", "new_zeroed_in", "new_uninit_slice", "new_uninit_slice_in"], First, Own),
    ("alloc::boxed::Box", &["clone", "default", "from", "from_iter"], First, Elements),
    ("alloc::boxed::Box", &["clone_from_ref", "clone_from_ref_in", "try_clone_from_ref_in"], Text, Own),

    ("alloc::sync::Arc", &["new", "pin", "new_in", "allocate_for_slice", "allocate_for_slice_in", "allocate_for_ptr",
        "allocate_for_ptr_in", "copy_from_slice", "from_box", "from_box_in", "new_uninit", "new_uninit_slice"], First, Own),
    ("alloc::sync::Arc", &["new_cyclic", "make_mut", "default", "from", "from_iter", "from_iter_exact"], First, Elements),
    ("alloc::rc::Rc", &["new", "pin", "new_in", "allocate_for_slice", "allocate_for_slice_in", "allocate_for_ptr",
        "allocate_for_ptr_in", "copy_from_slice", "from_box", "from_box_in", "new_uninit", "new_uninit_slice"], First, Own),
    ("alloc::rc::Rc", &["new_cyclic", "make_mut", "default", "from", "from_iter", "from_iter_exact"], First, Elements),

    ("alloc::string::String", &["with_capacity", "try_with_capacity", "push", "push_str", "insert", "insert_str", "reserve",
        "reserve_exact", "try_reserve", "shrink_to_fit", "into_boxed_str", "clone", "write_str", "write_char",
        "from_utf8_lossy", "from_utf8_lossy_owned", "from_utf16", "split_off", "extend_from_within"], Bytes, Own),
    ("str", &["to_owned", "to_lowercase", "to_uppercase", "to_ascii_lowercase", "to_ascii_uppercase", "repeat", "replace",
        "replacen"], Bytes, Own),
    ("alloc::fmt", &["format", "format::format_inner"], Bytes, Elements),

    ("alloc::collections::vec_deque::VecDeque", &["grow", "push_back", "push_back_mut", "push_front", "push_front_mut",
        "insert", "insert_mut", "reserve", "reserve_exact", "try_reserve", "with_capacity", "with_capacity_in",
        "shrink_to_fit", "append"], First, Own),
    ("alloc::collections::vec_deque::VecDeque", &["extend", "spec_extend", "from_iter", "clone", "resize"], First, Elements),
    ("alloc::collections::binary_heap::BinaryHeap", &["push", "reserve", "with_capacity"], First, Own),
    ("alloc::collections::binary_heap::BinaryHeap", &["extend", "from_iter", "clone", "from"], First, Elements),
    ("alloc::collections::linked_list::LinkedList", &["push_back", "push_back_mut", "push_front", "push_front_mut"], First, Own),
    ("alloc::collections::linked_list::LinkedList", &["extend", "from_iter", "clone"], First, Elements),

    ("alloc::collections::btree::node::LeafNode", &["new"], Entry, Own),
    ("alloc::collections::btree::node::InternalNode", &["new"], Entry, Own),
    ("alloc::collections::btree::map::BTreeMap", &["insert", "try_insert"], Entry, Own),
    ("alloc::collections::btree::map::BTreeMap", &["from_iter", "extend", "clone", "clone::clone_subtree",
        "bulk_build_from_sorted_iter", "from"], Entry, Elements),
    ("alloc::collections::btree::map::entry::VacantEntry", &["insert", "insert_entry"], Entry, Own),
    ("alloc::collections::btree::map::entry::Entry", &["or_insert"], Entry, Own),
    ("alloc::collections::btree::map::entry::Entry", &["or_insert_with", "or_default", "or_insert_with_key"], Entry, Elements),
    ("alloc::collections::btree::set::BTreeSet", &["insert", "replace"], First, Own),
    ("alloc::collections::btree::set::BTreeSet", &["from_iter", "extend", "clone", "from"], First, Elements),

    ("hashbrown::raw::RawTable", &["reserve", "reserve_rehash", "try_reserve", "with_capacity", "with_capacity_in",
        "try_with_capacity", "try_with_capacity_in", "find_or_find_insert_slot", "find_or_find_insert_index", "insert",
        "insert_entry", "shrink_to", "resize"], First, Own),
    ("hashbrown::raw::RawTable", &["clone", "clone_from"], First, Elements),
    ("hashbrown::map::HashMap", &["insert", "find_or_find_insert_slot", "find_or_find_insert_index", "try_insert", "reserve",
        "rustc_entry", "entry", "with_capacity", "with_capacity_in", "with_capacity_and_hasher",
        "with_capacity_and_hasher_in", "shrink_to_fit"], Entry, Own),
    ("hashbrown::map::HashMap", &["clone", "extend", "from_iter"], Entry, Elements),
    ("hashbrown::map::VacantEntry", &["insert", "insert_entry"], Entry, Elements),
    ("hashbrown::rustc_entry::RustcVacantEntry", &["insert", "insert_entry"], Entry, Own),
    ("hashbrown::set::HashSet", &["insert", "replace", "reserve", "with_capacity"], First, Own),
    ("hashbrown::set::HashSet", &["clone", "extend", "from_iter"], First, Elements),
    ("std::collections::hash::map::HashMap", &["insert", "try_insert", "reserve", "try_reserve", "entry", "with_capacity",
        "with_capacity_and_hasher", "shrink_to_fit"], Entry, Own),
    ("std::collections::hash::map::HashMap", &["clone", "extend", "from_iter", "from"], Entry, Elements),
    ("std::collections::hash::map::VacantEntry", &["insert", "insert_entry"], Entry, Own),
    ("std::collections::hash::map::Entry", &["or_insert"], Entry, Own),
    ("std::collections::hash::map::Entry", &["or_insert_with", "or_default", "or_insert_with_key"], Entry, Elements),
    ("std::collections::hash::set::HashSet", &["insert", "replace", "reserve", "with_capacity",
        "with_capacity_and_hasher"], First, Own),
    ("std::collections::hash::set::HashSet", &["clone", "extend", "from_iter", "from"], First, Elements),

    // A tree or, with a feature of the crate, more than that: it only confirms what is said further inside.
    ("serde_json::map::Map", &["insert", "extend", "clone", "from_iter"], Members, Elements),
    ("serde_json::map::VacantEntry", &["insert"], Members, Elements),
    ("serde_json::map::Entry", &["or_insert", "or_insert_with"], Members, Elements),
];

/// The rule for a function, by its path.
pub(super) fn rule(path: &str) -> Option<(Holds, Reach)> {
    let is_meant = |(owner, functions, ..): &&Rule| {
        let function = path
            .strip_prefix(owner)
            .and_then(|rest| rest.strip_prefix("::"));
        function.is_some_and(|function| functions.contains(&function))
    };
    RULES
        .iter()
        .find(is_meant)
        .map(|(_, _, holds, reach)| (*holds, *reach))
}

/// The label that a function gives what it allocates; `name` is its name in debug information, with its arguments.
pub(super) fn label(holds: Holds, name: &str) -> Option<String> {
    match holds {
        Bytes => return Some("u8".to_owned()),
        Members => return Some("(alloc::string::String, serde_json::value::Value)".to_owned()),
        _ => {}
    }
    let all = arguments::split(arguments::of(name)?)?;
    match (holds, all.as_slice()) {
        (First, [first, ..]) => arguments::unsized_label(first),
        (Entry, [key, value, ..]) => arguments::pair(key, value),
        (OfSecond, [_, second, ..]) => arguments::element(second),
        (Text, ["str" | "[u8]", ..]) => Some("u8".to_owned()),
        _ => None,
    }
}
