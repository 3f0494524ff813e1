//! The functions, files and lines that addresses resolve to: each text once, in pages of their own. In the program's heap
//! the names that stay would lie between scratch that does not, and keep it from going back to the system.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::runtime_frames::is_runtime;
use super::symbolizer::Found;
use crate::pages::PageVec;

/// A function of the program, or an instance of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Function<'a> {
    /// Demangled in full, generic arguments and all, without the hash of legacy mangling.
    pub(super) name: &'a str,
    /// Empty if unknown.
    pub(super) file: &'a str,
}

/// A source position inside a function, one of those that were inlined into one machine address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// Index in the table of functions.
    pub(super) function: u32,
    /// 0 if unknown.
    pub(super) line: u32,
}

/// Where the lines of an address begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lines {
    start: u32,
    end: u32,
}

/// Only ever added to.
#[derive(Debug, Clone)]
pub(super) struct Names {
    text: PageVec<u8>,
    files: Interned<Text>,
    functions: Interned<Named>,
    lines: PageVec<Line>,
}

/// A part of `Names::text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Text {
    start: u32,
    len: u32,
}

#[derive(Debug, Clone, Copy)]
struct Named {
    name: Text,
    file: Text,
    /// Whether it belongs to the allocation runtime.
    is_runtime: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            text: PageVec::new(),
            files: Interned::new(),
            functions: Interned::new(),
            lines: PageVec::new(),
        }
    }
}

impl Names {
    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        let lines = size_of_val(self.lines.as_slice());
        self.text.as_slice().len() + self.files.bytes() + self.functions.bytes() + lines
    }

    /// One past the highest index in `Line::function`.
    pub(super) fn function_count(&self) -> usize {
        self.functions.entries.as_slice().len()
    }

    pub(super) fn lines(&self, lines: Lines) -> &[Line] {
        let range = lines.start as usize..lines.end as usize;
        self.lines.as_slice().get(range).unwrap_or_default()
    }

    pub(super) fn function(&self, line: &Line) -> Option<Function<'_>> {
        let function = self.functions.get(line.function)?;
        Some(Function {
            name: self.read(function.name),
            file: self.read(function.file),
        })
    }

    /// Whether a line is of the allocation runtime.
    pub(super) fn is_runtime(&self, line: &Line) -> bool {
        let function = self.functions.get(line.function);
        function.is_some_and(|function| function.is_runtime)
    }

    /// Adds what an address resolves to. None if there is no memory for it.
    pub(super) fn add(&mut self, found: &[Found]) -> Option<Lines> {
        let found = found.iter().map(|found| {
            let function = Function {
                name: &found.function,
                file: &found.file,
            };
            (function, found.line)
        });
        self.add_lines(found)
    }

    /// Adds lines of other names.
    pub(super) fn add_from(&mut self, other: &Names, lines: Lines) -> Option<Lines> {
        let lines = other.lines(lines).iter();
        self.add_lines(lines.filter_map(|line| Some((other.function(line)?, line.line))))
    }

    fn add_lines<'f>(&mut self, lines: impl Iterator<Item = (Function<'f>, u32)>) -> Option<Lines> {
        let start = self.lines.as_slice().len();
        for (function, line) in lines {
            let function = self.function_of(function)?;
            self.lines.push(Line { function, line }).then_some(())?;
        }
        Some(Lines {
            start: u32::try_from(start).ok()?,
            end: u32::try_from(self.lines.as_slice().len()).ok()?,
        })
    }

    fn function_of(&mut self, function: Function<'_>) -> Option<u32> {
        let Names {
            text,
            files,
            functions,
            ..
        } = self;
        let hash = hash(&(function.name, function.file));
        let is_same = |text: &[u8], named: &Named| {
            named.name.of(text) == function.name.as_bytes()
                && named.file.of(text) == function.file.as_bytes()
        };
        if let Some(known) = functions.find(hash, |named| is_same(text.as_slice(), named)) {
            return Some(known);
        }
        let of_file = self::hash(function.file);
        let is_file = |file: &Text| file.of(text.as_slice()) == function.file.as_bytes();
        let file = match files.find(of_file, is_file) {
            Some(known) => *files.get(known)?,
            None => {
                let file = Text::add(text, function.file)?;
                files.add(of_file, file)?;
                file
            }
        };
        let named = Named {
            name: Text::add(text, function.name)?,
            file,
            is_runtime: is_runtime(function.name, function.file),
        };
        functions.add(hash, named)
    }

    fn read(&self, text: Text) -> &str {
        // What `add` was given, and it takes nothing but strings.
        str::from_utf8(text.of(self.text.as_slice())).unwrap_or_default()
    }
}

impl Text {
    fn add(to: &mut PageVec<u8>, text: &str) -> Option<Self> {
        let start = u32::try_from(to.as_slice().len()).ok()?;
        let len = u32::try_from(text.len()).ok()?;
        to.extend(text.as_bytes()).then_some(Self { start, len })
    }

    fn of(self, all: &[u8]) -> &[u8] {
        let start = self.start as usize;
        let text = start..start + self.len as usize;
        all.get(text).unwrap_or_default()
    }
}

/// Entries that are found by what they hold.
#[derive(Debug, Clone)]
struct Interned<T: Copy> {
    entries: PageVec<T>,
    hashes: PageVec<u64>,
    /// Indices of entries plus 1, 0 where there is none; a power of two of them, at most half of them used. The hash of an
    /// entry says where to begin to look for it.
    slots: PageVec<u32>,
}

impl<T: Copy> Interned<T> {
    fn new() -> Self {
        Self {
            entries: PageVec::new(),
            hashes: PageVec::new(),
            slots: PageVec::new(),
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(self.entries.as_slice())
            + size_of_val(self.hashes.as_slice())
            + size_of_val(self.slots.as_slice())
    }

    fn get(&self, nth: u32) -> Option<&T> {
        self.entries.as_slice().get(nth as usize)
    }

    fn find(&self, hash: u64, is_meant: impl Fn(&T) -> bool) -> Option<u32> {
        let slots = self.slots.as_slice();
        let mask = slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let nth = slots.get(at)?.checked_sub(1)?;
            let is_found =
                self.hashes.as_slice().get(nth as usize) == Some(&hash) && is_meant(self.get(nth)?);
            if is_found {
                return Some(nth);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an entry that `find` does not find.
    fn add(&mut self, hash: u64, entry: T) -> Option<u32> {
        let nth = u32::try_from(self.entries.as_slice().len()).ok()?;
        if (nth as usize + 1) * 2 > self.slots.as_slice().len() {
            self.spread()?;
        }
        // Room for both first, so that one is never there without the other.
        (self.hashes.reserve(1) && self.entries.push(entry) && self.hashes.push(hash))
            .then_some(())?;
        Self::put(&mut self.slots, hash, nth);
        Some(nth)
    }

    /// Makes twice as many slots.
    #[cold]
    fn spread(&mut self) -> Option<()> {
        let count = (self.slots.as_slice().len() * 2).max(1024);
        let mut slots = PageVec::new();
        slots.reserve(count).then_some(())?;
        (0..count).all(|_| slots.push(0)).then_some(())?;
        for (nth, hash) in (0..).zip(self.hashes.as_slice()) {
            Self::put(&mut slots, *hash, nth);
        }
        self.slots = slots;
        Some(())
    }

    fn put(slots: &mut PageVec<u32>, hash: u64, nth: u32) {
        let slots = slots.as_mut_slice();
        let mask = slots.len().saturating_sub(1);
        let mut at = hash as usize & mask;
        // At most half are used, so there is an empty one.
        while let Some(slot) = slots.get_mut(at) {
            if *slot == 0 {
                *slot = nth + 1;
                return;
            }
            at = (at + 1) & mask;
        }
    }
}

fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(nth: usize) -> Vec<Found> {
        (0..nth % 4)
            .map(|inlined| Found {
                function: format!("svc::function_{}", nth / 3 + inlined),
                file: format!("file_{}.rs", nth % 7),
                line: nth as u32,
            })
            .collect()
    }

    fn read(names: &Names, lines: Lines) -> Vec<Found> {
        let read = |line: &Line| {
            let function = names.function(line).expect("a function");
            Found {
                function: function.name.into(),
                file: function.file.into(),
                line: line.line,
            }
        };
        names.lines(lines).iter().map(read).collect()
    }

    #[test]
    fn what_is_added_is_read_back_and_each_text_is_kept_once() {
        let mut names = Names::default();
        let all: Vec<Lines> = (0..20_000)
            .map(|nth| names.add(&found(nth)).unwrap())
            .collect();
        let check = |names: &Names, all: &[Lines]| {
            for (nth, lines) in all.iter().enumerate() {
                assert_eq!(read(names, *lines), found(nth));
            }
        };
        check(&names, &all);
        let (functions, text) = (names.function_count(), names.text.as_slice().len());
        for nth in 0..20_000 {
            names.add(&found(nth)).unwrap();
        }
        assert_eq!(
            (names.function_count(), names.text.as_slice().len()),
            (functions, text)
        );
        let mut copy = Names::default();
        let copied: Vec<Lines> = all
            .iter()
            .map(|lines| copy.add_from(&names, *lines).unwrap())
            .collect();
        check(&copy, &copied);
        check(&names.clone(), &all);
    }

    #[test]
    fn one_name_in_two_files_is_two_functions() {
        let mut names = Names::default();
        let in_file = |file: &str| Found {
            function: "core::fmt::write".into(),
            file: file.into(),
            line: 1,
        };
        let lines = names
            .add(&[in_file("/library/core/src/fmt.rs"), in_file("mine.rs")])
            .unwrap();
        let [of_core, mine] = names.lines(lines) else {
            panic!("two lines");
        };
        assert!(names.is_runtime(of_core) && !names.is_runtime(mine));
    }
}
