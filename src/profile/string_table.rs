//! `StringTable`: the strings of a message, as its parts bring them, in pages of their own.

use super::interned::Text;
use crate::pages::PageVec;

#[derive(Debug)]
pub(super) struct StringTable {
    text: PageVec<u8>,
    strings: PageVec<Text>,
}

impl StringTable {
    pub(super) fn new() -> Self {
        Self {
            text: PageVec::new(),
            strings: PageVec::new(),
        }
    }

    /// Appends them. Those that there is no memory for are empty, and so are all that follow.
    pub(super) fn add(&mut self, strings: &[String]) {
        for string in strings {
            let text = Text::add(&mut self.text, string);
            let is_added = text.is_some_and(|text| self.strings.push(text));
            if !is_added {
                return;
            }
        }
    }

    /// By its index in the message; empty if there is none.
    pub(super) fn get(&self, index: i64) -> &str {
        let index = usize::try_from(index).ok();
        let text = index.and_then(|index| self.strings.as_slice().get(index));
        text.map_or("", |text| self.read(*text))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.strings.as_slice().iter().map(|text| self.read(*text))
    }

    fn read(&self, text: Text) -> &str {
        // What `add` was given, and it takes nothing but strings.
        str::from_utf8(text.of(self.text.as_slice())).unwrap_or_default()
    }
}
