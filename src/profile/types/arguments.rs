//! Generic arguments as debug information spells them: taken apart, and written as a label.

/// A label that is longer is left out: what is cut off might be what tells it from another. Types of nested futures have
/// some hundred bytes.
const LONGEST_LABEL: usize = 4096;

/// Boxes within boxes that are opened: an `ArcInner` of a `Mutex` of … is one. More is no type of the library's.
const MOST_WRAPPERS: usize = 8;

/// Arguments that have a default and are left out where they have it, as in source.
const DEFAULTS: [&str; 2] = ["alloc::alloc::Global", "std::hash::random::RandomState"];

/// Types that the library puts around what a program stores in its containers, and which of their arguments that is.
const WRAPPERS: [(&str, usize); 12] = [
    ("alloc::sync::ArcInner", 1),
    ("alloc::rc::RcInner", 1),
    ("alloc::rc::RcBox", 1),
    ("alloc::sync::UniqueArc", 1),
    ("alloc::collections::linked_list::Node", 1),
    ("alloc::collections::btree::node::LeafNode", 2),
    ("alloc::collections::btree::node::InternalNode", 2),
    ("core::mem::maybe_uninit::MaybeUninit", 1),
    ("core::mem::manually_drop::ManuallyDrop", 1),
    ("tokio::runtime::task::core::Cell", 1),
    ("tokio::runtime::task::harness::Cell", 1),
    ("tokio::util::cacheline::CachePadded", 1),
];

/// Values of maps that are sets.
const NOTHING: [&str; 2] = ["()", "alloc::collections::btree::set_val::SetValZST"];

/// What stands between the brackets of `new<u8, alloc::alloc::Global>`. None if there is nothing.
pub(super) fn of(name: &str) -> Option<&str> {
    let from = name.find('<')?;
    // `<Mine as Trait>::f` has none of its own.
    let inside = name.get(from + 1..)?.strip_suffix('>')?;
    (from > 0).then_some(inside)
}

/// The arguments, at commas that are in no bracket. None where brackets do not match.
pub(super) fn split(arguments: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut open = Vec::new();
    let (mut start, mut last, mut is_quoted) = (0, ' ', false);
    for (at, letter) in arguments.char_indices() {
        match letter {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '<' => open.push('>'),
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            '>' if last == '-' => {}
            '>' | ')' | ']' | '}' if open.pop() != Some(letter) => return None,
            ',' if open.is_empty() => {
                parts.push(arguments.get(start..at)?.trim());
                start = at + 1;
            }
            _ => {}
        }
        last = letter;
    }
    if !open.is_empty() || is_quoted {
        return None;
    }
    parts.push(arguments.get(start..)?.trim());
    Some(parts)
}

/// A type as its label: what the library wraps around it is taken off, default arguments are left out. None if it is no
/// type or the label would be too long.
pub(super) fn label(of_type: &str) -> Option<String> {
    let mut of_type = of_type.trim();
    for _ in 0..MOST_WRAPPERS {
        let Some((head, arguments)) = generic(of_type) else {
            break;
        };
        let Some((_, count)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == head) else {
            break;
        };
        let arguments = split(arguments)?;
        match (count, arguments.as_slice()) {
            (1, [one, ..]) => of_type = one,
            (2, [key, value, ..]) => return pair(key, value),
            _ => return None,
        }
    }
    // `(T, ())` is an entry of a set's table.
    if let Some(inside) = of_type
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        && let [key, value] = split(inside)?.as_slice()
        && NOTHING.contains(value)
    {
        return label(key);
    }
    let label = without_defaults(of_type);
    let is_type = !label.is_empty() && label.len() <= LONGEST_LABEL;
    (is_type && split(&label)?.len() == 1).then_some(label)
}

/// The label of a map's entry: both types, and the key's alone if it is a set.
pub(super) fn pair(key: &str, value: &str) -> Option<String> {
    if NOTHING.contains(&value) {
        return label(key);
    }
    let (key, value) = (whole(key)?, whole(value)?);
    let pair = format!("({key}, {value})");
    (pair.len() <= LONGEST_LABEL).then_some(pair)
}

fn whole(of_type: &str) -> Option<String> {
    (split(of_type)?.len() == 1 && !of_type.is_empty()).then(|| without_defaults(of_type))
}

/// The element of a collection's type, `Vec<T>` or `Box<[T]>`: what its one buffer holds. None for other types.
pub(super) fn element(collection: &str) -> Option<String> {
    let (head, arguments) = match generic(collection) {
        Some(generic) => generic,
        None if collection == "alloc::string::String" => return Some("u8".to_owned()),
        None => return None,
    };
    let arguments = split(arguments)?;
    match (head, arguments.as_slice()) {
        (
            "alloc::vec::Vec"
            | "alloc::collections::vec_deque::VecDeque"
            | "alloc::collections::binary_heap::BinaryHeap"
            | "alloc::collections::linked_list::LinkedList"
            | "alloc::collections::btree::set::BTreeSet"
            | "std::collections::hash::set::HashSet"
            | "hashbrown::set::HashSet",
            [element, ..],
        ) => label(element),
        (
            "alloc::collections::btree::map::BTreeMap"
            | "std::collections::hash::map::HashMap"
            | "hashbrown::map::HashMap",
            [key, value, ..],
        ) => pair(key, value),
        ("alloc::boxed::Box" | "alloc::sync::Arc" | "alloc::rc::Rc", [block, ..]) => {
            unsized_label(block)
        }
        _ => None,
    }
}

/// As `label`, of `[T]` that of `T`, and of a text that of its bytes: the buffer of a `String` has no other type either.
pub(super) fn unsized_label(of_type: &str) -> Option<String> {
    let element = of_type
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match element {
        None if of_type == "str" => Some("u8".to_owned()),
        // An array has a length.
        Some(element) if !element.contains(';') => label(element),
        _ => label(of_type),
    }
}

/// `Vec<T>` as `Vec` and `T`.
fn generic(of_type: &str) -> Option<(&str, &str)> {
    let (head, rest) = of_type.split_once('<')?;
    Some((head, rest.strip_suffix('>')?))
}

fn without_defaults(of_type: &str) -> String {
    let mut text = of_type.to_owned();
    for default in DEFAULTS {
        for end in [">", ","] {
            let with = format!(", {default}{end}");
            if text.contains(&with) {
                text = text.replace(&with, end);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Random;

    #[test]
    fn arguments_are_split_at_their_own_commas() {
        for (arguments, expected) in [
            (
                "u8, alloc::alloc::Global",
                Some(vec!["u8", "alloc::alloc::Global"]),
            ),
            ("(u8, u16), [u8; 4]", Some(vec!["(u8, u16)", "[u8; 4]"])),
            (
                "fn(u8, u8) -> u8, extern \"C\" fn(a, b)",
                Some(vec!["fn(u8, u8) -> u8", "extern \"C\" fn(a, b)"]),
            ),
            (
                "svc::run::{closure_env#0}<u8, u16>, u8",
                Some(vec!["svc::run::{closure_env#0}<u8, u16>", "u8"]),
            ),
            (
                "dyn core::ops::function::Fn<(u8,), Output=u8> + core::marker::Send, u8",
                Some(vec![
                    "dyn core::ops::function::Fn<(u8,), Output=u8> + core::marker::Send",
                    "u8",
                ]),
            ),
            ("u8>", None),
            ("(u8", None),
            ("[u8)", None),
            ("\"", None),
        ] {
            assert_eq!(split(arguments), expected, "{arguments}");
        }
    }

    #[test]
    fn labels_are_types_as_in_source() {
        for (of_type, expected) in [
            ("svc::Session", "svc::Session"),
            (
                "alloc::vec::Vec<u8, alloc::alloc::Global>",
                "alloc::vec::Vec<u8>",
            ),
            (
                "std::collections::hash::map::HashMap<u8, u16, std::hash::random::RandomState, alloc::alloc::Global>",
                "std::collections::hash::map::HashMap<u8, u16>",
            ),
            (
                "alloc::sync::ArcInner<std::sync::poison::mutex::Mutex<svc::Session>>",
                "std::sync::poison::mutex::Mutex<svc::Session>",
            ),
            (
                "alloc::collections::btree::node::InternalNode<u8, svc::Session>",
                "(u8, svc::Session)",
            ),
            (
                "alloc::collections::btree::node::LeafNode<u8, alloc::collections::btree::set_val::SetValZST>",
                "u8",
            ),
            ("(alloc::string::String, ())", "alloc::string::String"),
            ("(u8, u16)", "(u8, u16)"),
            ("(u8, u16, u32)", "(u8, u16, u32)"),
            (
                "svc::handler::{async_fn_env#0}",
                "svc::handler::{async_fn_env#0}",
            ),
            ("&str", "&str"),
            (
                "dyn svc::Shape + core::marker::Send",
                "dyn svc::Shape + core::marker::Send",
            ),
        ] {
            assert_eq!(label(of_type).as_deref(), Some(expected), "{of_type}");
        }
        for nothing in ["", "u8, u16", "Vec<u8", &"a".repeat(5000)] {
            assert_eq!(label(nothing), None, "{nothing}");
        }
    }

    /// What a damaged file says may be anything.
    #[test]
    fn no_text_is_too_odd() {
        const PIECES: [&str; 20] = [
            "<",
            ">",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ",",
            " ",
            "->",
            "::",
            "\"",
            ";",
            "u8",
            "dyn ",
            "ä",
            "alloc::sync::ArcInner",
            "alloc::collections::btree::node::LeafNode",
            ", alloc::alloc::Global",
        ];
        let mut random = Random::of_this_run();
        for _ in 0..200_000 {
            let count = random.below(12);
            let text: String = (0..count)
                .filter_map(|_| PIECES.get(random.below(20)))
                .copied()
                .collect();
            let parts = of(&text).and_then(split);
            for part in parts.iter().flatten() {
                let _ = (pair(part, &text), unsized_label(part));
            }
            let _ = element(&text);
            if let Some(label) = label(&text) {
                assert!(
                    split(&label).is_some_and(|parts| parts.len() == 1),
                    "{text}: {label}"
                );
            }
            let _ = super::super::path::paths(&text);
        }
    }
}
