//! What is stored in an allocated block: the type, as the functions of the library say that allocated it.
//!
//! ```text
//! symbolizer ─▶ Said (what one function says) ─▶ names ─▶ of_levels (what a stack says) ─▶ label `type`
//! ```

#[cfg(feature = "symbolize")]
mod arguments;
#[cfg(feature = "symbolize")]
mod path;
#[cfg(feature = "symbolize")]
mod rules;

/// What else may allocate while such a function runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "symbolize"),
    allow(dead_code, reason = "without the feature nothing is said")
)]
pub(super) enum Reach {
    /// Nothing: whatever is allocated, it is what the function says.
    Own,
    /// The elements: their `clone`, their iterator. Then the function further inside says what it is.
    Elements,
}

/// What is known of a function's machine code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "symbolize"),
    allow(dead_code, reason = "without the feature nothing is said")
)]
pub(super) enum Code {
    /// An optimizer may have merged it with that of another instance that works on a type of the same layout, and kept the
    /// other's name.
    Shared,
    /// What it says does not depend on arguments.
    Constant,
    /// The allocator's function behind `Outer`.
    Inner,
    /// It calls an `Inner`, and does nothing else: where neither is inlined, it was not optimized, nor was its caller.
    Outer,
    /// It does nothing but call another, which does nothing else: where neither is inlined, they were not optimized.
    Forwards,
}

/// What a function of the library says of the memory that it allocates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// The type that is stored there; none of the allocator's own functions.
    pub(super) label: String,
    pub(super) reach: Reach,
    pub(super) code: Code,
}

/// What a function says; `demangled` is its linker's name, `name` the one in debug information. None for most.
#[cfg(feature = "symbolize")]
pub(super) fn said(demangled: &str, name: &str) -> Option<Said> {
    let (of_type, of_trait) = path::paths(demangled);
    // A program's own trait may be implemented for the library's types.
    if !of_trait.is_empty() && !path::is_of_library(&of_trait) {
        return None;
    }
    if let Some(code) = rules::allocator(&of_type) {
        return Some(Said {
            label: String::new(),
            reach: Reach::Own,
            code,
        });
    }
    let (holds, reach) = rules::rule(&of_type).or_else(|| rules::rule(&of_trait))?;
    Some(Said {
        label: rules::label(holds, name)?,
        reach,
        code: rules::code(holds, [&of_type, &of_trait]),
    })
}

/// One function of a stack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'a> {
    /// It belongs to the library.
    pub(super) is_runtime: bool,
    /// It is not inlined into another.
    pub(super) is_outermost: bool,
    /// No other is inlined into it where it calls the next.
    pub(super) is_innermost: bool,
    /// The function whose machine code it is in, itself or the one that it is inlined into, belongs to the library.
    pub(super) is_in_runtime: bool,
    pub(super) said: Option<(&'a str, Reach, Code)>,
}

/// The type that is stored in what a stack has allocated, `levels` from the leaf. None where the stack does not prove it.
///
/// Names of functions in machine code can be wrong: an optimizer merges functions that are equal, as `grow_one` is for
/// all types of one size, and keeps one's name. So a function of the library is believed
///
/// - where it is inlined into a function of the program's, whose name is shown in the profile as well,
/// - where code was not optimized, as far as the stack shows,
/// - where what it says does not depend on the instance.
///
/// What others say must be said again, further out, by one that is believed. Of two that say different things the outer
/// is right if nothing but its own memory can be allocated while it runs; if elements can, either may be.
pub(super) fn of_levels<'a>(levels: impl Iterator<Item = Level<'a>>) -> Option<&'a str> {
    let mut found: Option<(&str, bool)> = None;
    let (mut is_inner_called, mut is_unoptimized) = (false, false);
    // Whether all functions of the frame so far only call the next.
    let mut all_forward = true;
    for level in levels {
        let forwards = matches!(level.said, Some((_, _, Code::Forwards)));
        all_forward = forwards && (level.is_innermost || all_forward);
        if !level.is_runtime && level.said.is_none() {
            break;
        }
        let Some((label, reach, code)) = level.said else {
            continue;
        };
        let proves = match code {
            Code::Forwards => level.is_outermost && all_forward,
            Code::Outer => level.is_outermost && is_inner_called,
            _ => false,
        };
        is_unoptimized |= proves;
        if matches!(code, Code::Inner | Code::Outer) {
            is_inner_called |= code == Code::Inner && level.is_outermost;
            continue;
        }
        let is_believed = !level.is_in_runtime || is_unoptimized || code == Code::Constant;
        found = match (found, reach) {
            (Some((inner, was_believed)), _) if inner == label => {
                Some((inner, was_believed || is_believed))
            }
            (_, Reach::Own) => Some((label, is_believed)),
            (None, Reach::Elements) => None,
            (Some((inner, true)), Reach::Elements) => Some((inner, true)),
            (Some((_, false)), Reach::Elements) => return None,
        };
    }
    found
        .filter(|(_, is_believed)| *is_believed)
        .map(|(label, _)| label)
}

#[cfg(all(test, feature = "symbolize"))]
mod tests;
