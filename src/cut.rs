//! Texts that may be so long and no longer.

/// The longest part of `text`, from its begin, that has at most `most` bytes and ends between two characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    // `str::floor_char_boundary` is younger than the oldest Rust that this crate is for.
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, most, expected) in [
            ("", 0, ""),
            ("short", 5, "short"),
            ("short", 4, "shor"),
            ("aä", 2, "a"),
            ("aä", 3, "aä"),
            ("ä", 1, ""),
            ("a", usize::MAX, "a"),
        ] {
            assert_eq!(cut(text, most), expected, "{text} {most}");
        }
    }
}
