//! The path of a function without generic arguments, the same for both manglings: what the table of rules is written in.

/// `demangled` without generic arguments: `alloc::vec::Vec::push`, and for a method of a trait the type's path and the
/// trait's, of which one may be empty: `<alloc::vec::Vec<T> as core::clone::Clone>::clone` is `alloc::vec::Vec::clone` and
/// `core::clone::Clone::clone`. Slices are `[]`.
///
/// ```text
/// legacy                                      v0
/// alloc::vec::Vec<T,A>::push                  <alloc::vec::Vec<svc::Session>>::push
/// alloc::slice::<impl [T]>::to_vec            <[svc::Session]>::to_vec
/// <T as alloc::slice::hack::ConvertVec>::f    <svc::Session as alloc::slice::hack::ConvertVec>::f::<alloc::alloc::Global>
/// ```
pub(super) fn paths(demangled: &str) -> (String, String) {
    if let Some(inside) = demangled.strip_prefix('<')
        && let Some(end) = closing(inside)
    {
        let (owner, rest) = inside.split_at(end);
        let function = plain(rest.get(1..).unwrap_or_default());
        let (owner, of_trait) = match at_top(owner, " as ") {
            Some((owner, of_trait)) => (owner, plain(of_trait) + &function),
            None => (owner, String::new()),
        };
        return (plain_owner(owner) + &function, of_trait);
    }
    // `alloc::str::<impl alloc::borrow::ToOwned for str>::to_owned`.
    if let Some((_, inside)) = demangled.split_once("<impl ")
        && let Some(end) = closing(inside)
    {
        let (owner, rest) = inside.split_at(end);
        let function = plain(rest.get(1..).unwrap_or_default());
        let (of_trait, owner) = match at_top(owner, " for ") {
            Some((of_trait, owner)) => (plain(of_trait) + &function, owner),
            None => (String::new(), owner),
        };
        return (plain_owner(owner) + &function, of_trait);
    }
    (plain(demangled), String::new())
}

/// Whether a path begins in a crate of the standard library.
pub(super) fn is_of_library(path: &str) -> bool {
    ["alloc::", "core::", "std::"]
        .iter()
        .any(|name| path.starts_with(name))
}

fn plain_owner(owner: &str) -> String {
    match owner {
        _ if owner.starts_with('[') => "[]".to_owned(),
        _ => plain(owner),
    }
}

/// Without what is in angle brackets, and without the `::` of a turbofish.
fn plain(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let (mut depth, mut last) = (0_usize, ' ');
    for letter in path.chars() {
        match letter {
            '<' => {
                if depth == 0 && plain.ends_with("::") {
                    plain.truncate(plain.len() - 2);
                }
                depth += 1;
            }
            // Not of an arrow.
            '>' if last != '-' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
        last = letter;
    }
    plain
}

/// Where the bracket is that closes what has begun before `text`.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut last) = (0_usize, ' ');
    for (at, letter) in text.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' if last == '-' => {}
            '>' if depth == 0 => return Some(at),
            '>' => depth -= 1,
            _ => {}
        }
        last = letter;
    }
    None
}

/// `text` before and after the first `mark` that is not in angle brackets.
fn at_top<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    let (mut depth, mut last) = (0_usize, ' ');
    for (at, letter) in text.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' if last != '-' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => {
                if let Some(rest) = text.get(at..).and_then(|rest| rest.strip_prefix(mark)) {
                    return Some((text.get(..at)?, rest));
                }
            }
            _ => {}
        }
        last = letter;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_manglings_have_the_same_paths() {
        for (legacy, v0, expected) in [
            (
                "alloc::vec::Vec<T,A>::push",
                "<alloc::vec::Vec<svc::Session>>::push",
                ("alloc::vec::Vec::push", ""),
            ),
            (
                "alloc::boxed::Box<T>::new",
                "<alloc::boxed::Box<fn(u8) -> u8>>::new",
                ("alloc::boxed::Box::new", ""),
            ),
            (
                "alloc::vec::from_elem",
                "alloc::vec::from_elem::<(u8, svc::Pair<u8>)>",
                ("alloc::vec::from_elem", ""),
            ),
            (
                "alloc::slice::<impl [T]>::to_vec",
                "<[svc::Session]>::to_vec",
                ("[]::to_vec", ""),
            ),
            (
                "<alloc::vec::Vec<T,A> as core::clone::Clone>::clone",
                "<alloc::vec::Vec<alloc::vec::Vec<u8>> as core::clone::Clone>::clone",
                ("alloc::vec::Vec::clone", "core::clone::Clone::clone"),
            ),
            (
                "alloc::str::<impl alloc::borrow::ToOwned for str>::to_owned",
                "<str as alloc::borrow::ToOwned>::to_owned",
                ("str::to_owned", "alloc::borrow::ToOwned::to_owned"),
            ),
            ("main", "<", ("main", "")),
        ] {
            let (owner, of_trait) = paths(legacy);
            assert_eq!((owner.as_str(), of_trait.as_str()), expected, "{legacy}");
            if v0 != "<" {
                let (owner, of_trait) = paths(v0);
                assert_eq!((owner.as_str(), of_trait.as_str()), expected, "{v0}");
            }
        }
    }

    #[test]
    fn anything_has_some_path() {
        for text in [
            "",
            "<",
            "<>",
            "<impl ",
            "<impl >",
            "a<b",
            "a>b>",
            "< as >::",
            "<impl  for >::x",
            "->",
            "<ä as ö>::ü",
        ] {
            let _ = paths(text);
        }
    }
}
