//! The functions, files and lines that addresses resolve to: each text once, in pages of their own. In the program's heap
//! the names that stay would lie between scratch that does not, and keep it from going back to the system.

use super::interned::{Interned, Text, hash};
use super::runtime_frames::is_runtime;
use super::symbolizer::Found;
use super::types::{Code, Reach};
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
    /// One past the index in the table of what functions say, 0 if this one says nothing.
    said: u32,
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
    said: Interned<Says>,
}

/// What a function says of the memory that it allocates: `types::Said`.
#[derive(Debug, Clone, Copy)]
struct Says {
    label: Text,
    reach: Reach,
    code: Code,
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
            said: Interned::new(),
        }
    }
}

impl Names {
    /// Bytes of memory in use.
    pub(super) fn bytes(&self) -> usize {
        let lines = size_of_val(self.lines.as_slice());
        self.text.as_slice().len()
            + self.files.bytes()
            + self.functions.bytes()
            + lines
            + self.said.bytes()
    }

    /// One past the highest index in `Line::function`.
    pub(super) fn function_count(&self) -> usize {
        self.functions.len()
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

    /// What the line's function says of the memory that it allocates.
    pub(super) fn said(&self, line: &Line) -> Option<(&str, Reach, Code)> {
        let says = self.said.get(line.said.checked_sub(1)?)?;
        Some((self.read(says.label), says.reach, says.code))
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
            let said = found.said.as_ref();
            let said = said.map(|said| (said.label.as_str(), said.reach, said.code));
            (function, found.line, said)
        });
        self.add_lines(found)
    }

    /// Adds lines of other names.
    pub(super) fn add_from(&mut self, other: &Names, lines: Lines) -> Option<Lines> {
        let lines = other.lines(lines).iter();
        self.add_lines(
            lines.filter_map(|line| Some((other.function(line)?, line.line, other.said(line)))),
        )
    }

    fn add_lines<'f>(
        &mut self,
        lines: impl Iterator<Item = (Function<'f>, u32, Option<(&'f str, Reach, Code)>)>,
    ) -> Option<Lines> {
        let start = self.lines.as_slice().len();
        for (function, line, said) in lines {
            let function = self.function_of(function)?;
            let said = match said {
                Some(said) => self.said_of(said)? + 1,
                None => 0,
            };
            let line = Line {
                function,
                line,
                said,
            };
            self.lines.push(line).then_some(())?;
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
        let of_function = hash(&(function.name, function.file));
        let is_same = |text: &[u8], named: &Named| {
            named.name.of(text) == function.name.as_bytes()
                && named.file.of(text) == function.file.as_bytes()
        };
        if let Some(known) = functions.find(of_function, |named| is_same(text.as_slice(), named)) {
            return Some(known);
        }
        let of_file = hash(function.file);
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
        functions.add(of_function, named)
    }

    fn said_of(&mut self, (label, reach, code): (&str, Reach, Code)) -> Option<u32> {
        let Names { text, said, .. } = self;
        let hash = hash(&(label, reach, code));
        let is_same = |says: &Says| {
            says.label.of(text.as_slice()) == label.as_bytes()
                && (says.reach, says.code) == (reach, code)
        };
        if let Some(known) = said.find(hash, is_same) {
            return Some(known);
        }
        let label = Text::add(text, label)?;
        said.add(hash, Says { label, reach, code })
    }

    fn read(&self, text: Text) -> &str {
        // What `add` was given, and it takes nothing but strings.
        str::from_utf8(text.of(self.text.as_slice())).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::types::Said;

    fn found(nth: usize) -> Vec<Found> {
        (0..nth % 4)
            .map(|inlined| Found {
                function: format!("svc::function_{}", nth / 3 + inlined),
                file: format!("file_{}.rs", nth % 7),
                line: nth as u32,
                said: (nth.is_multiple_of(5)).then(|| Said {
                    label: format!("svc::Type{}", nth % 11),
                    reach: Reach::Own,
                    code: if nth.is_multiple_of(2) {
                        Code::Shared
                    } else {
                        Code::Constant
                    },
                }),
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
                said: names.said(line).map(|(label, reach, code)| Said {
                    label: label.into(),
                    reach,
                    code,
                }),
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
            said: None,
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
