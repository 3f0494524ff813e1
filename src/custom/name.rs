//! What a profile may be called: something that is a path, and no other's.

use crate::error::Error;

/// Bytes of a name.
const MOST: usize = 64;

/// What is served under `/debug/pprof/` already, here or by Go: scrapers ask for it and know what it is.
const TAKEN: [&str; 17] = [
    "allocs",
    "block",
    "cmdline",
    "goroutine",
    "goroutineleak",
    "heap",
    "leaks",
    "metrics",
    "mutex",
    "peakheap",
    "profile",
    "symbol",
    "threadcreate",
    "threads",
    "trace",
    "tasks",
    "ui",
];

/// Whether a profile may have this name.
pub(super) fn check(name: &str) -> Result<(), Error> {
    let refused = |reason: &str| Err(Error::config(&format!("profile {name:?}"), reason));
    if name.is_empty() || name.len() > MOST {
        return refused("a name has 1 to 64 bytes; choose another");
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    if !name.bytes().all(is_allowed) {
        return refused(
            "a name is letters, digits, '_', '-', '.' and '/' of ASCII, because it is a part of a URL; choose another",
        );
    }
    if name.split('/').any(|part| ["", ".", ".."].contains(&part)) {
        return refused(
            "between the slashes of a name there has to be something, and not '.' or '..'; take them out",
        );
    }
    // These are found at the end of a path, whatever is before them.
    let last = name.rsplit('/').next();
    if TAKEN.contains(&name) || last == Some("metrics") || name.contains("debug/pprof") {
        return refused(
            "this name is served already; choose another, with the program's name before it, say",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_of_a_path_and_no_others() {
        let long = "x".repeat(MOST);
        for name in [
            "conns",
            "example.com/goref.handles",
            "my_service/open-files.v2",
            "heap2",
            "a/heap",
            "0",
            &long,
        ] {
            assert!(check(name).is_ok(), "{name}");
        }
        let longer = "x".repeat(MOST + 1);
        for (name, remedy) in [
            ("", "choose another"),
            (longer.as_str(), "1 to 64"),
            ("a?b", "part of a URL"),
            ("a b", "part of a URL"),
            ("a::b", "part of a URL"),
            ("a\nb", "part of a URL"),
            ("<b>", "part of a URL"),
            ("a%2fb", "part of a URL"),
            ("verbindungen-ä", "part of a URL"),
            ("/a", "take them out"),
            ("a/", "take them out"),
            ("a//b", "take them out"),
            ("a/../heap", "take them out"),
            ("heap", "served already"),
            ("metrics", "served already"),
            ("a/metrics", "served already"),
            ("x/debug/pprof/heap", "served already"),
        ] {
            let error = check(name).expect_err(name).to_string();
            assert!(
                error.contains(remedy) && error.contains("profile \""),
                "{error}"
            );
        }
    }
}
