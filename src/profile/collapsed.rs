//! A profile as lines `root;…;leaf value`, one for each sample, which flame graph tools and speedscope read.
//!
//! One value of each sample; lines for values of 0 or less are left out, because those tools know none. Stacks may come more
//! than once, for objects of several sizes; the tools add them up. A `;` in a name (Rust has them: `[u8; 32]`) is written as
//! `:`, and what would end a line as a space. There is no way to write them that all the tools undo.

use std::fmt::Write;

use super::pieces::Pieces;
use super::proto;
use super::string_table::StringTable;
use crate::pages::PageVec;

/// Stands for a function whose name there was no memory for.
const UNKNOWN: &str = "[unknown]";

#[derive(Debug)]
pub(super) struct Collapsed {
    /// Which value is written.
    value: usize,
    strings: StringTable,
    /// Index of each function's name in `strings`.
    functions: PageVec<i64>,
    /// Function ids of all locations, the innermost of a location first, and where those of each end.
    lines: PageVec<u64>,
    ends: PageVec<usize>,
    lines_written: Pieces,
    /// Reused for each line.
    line: String,
}

impl Collapsed {
    pub(super) fn new(value: usize) -> Self {
        Self {
            value,
            strings: StringTable::new(),
            functions: PageVec::new(),
            lines: PageVec::new(),
            ends: PageVec::new(),
            lines_written: Pieces::default(),
            line: String::new(),
        }
    }

    pub(super) fn add(&mut self, part: &proto::Profile) {
        self.strings.add(&part.string_table);
        // What there is no memory for has no name below.
        for function in &part.function {
            let _ = self.functions.push(function.name);
        }
        for location in &part.location {
            for line in &location.line {
                let _ = self.lines.push(line.function_id);
            }
            let _ = self.ends.push(self.lines.as_slice().len());
        }
        for sample in &part.sample {
            let value = sample.value.get(self.value).copied().unwrap_or(0);
            if value > 0 {
                self.write(sample, value);
            }
        }
    }

    fn write(&mut self, sample: &proto::Sample, value: i64) {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        for location in sample.location_id.iter().rev() {
            for function in self.functions_of(*location).iter().rev() {
                if !line.is_empty() {
                    line.push(';');
                }
                let name = self.name(*function);
                line.extend(name.chars().map(|c| match c {
                    ';' => ':',
                    c if c.is_control() || c == '\u{2028}' || c == '\u{2029}' => ' ',
                    c => c,
                }));
            }
        }
        // Writing to a String cannot fail.
        let _ = writeln!(line, " {value}");
        self.lines_written.add(line.as_bytes());
        self.line = line;
    }

    /// Ids and indices begin at 1 and 0.
    fn functions_of(&self, location: u64) -> &[u64] {
        let nth = usize::try_from(location).unwrap_or(0);
        let end = |nth: usize| self.ends.as_slice().get(nth.wrapping_sub(1)).copied();
        let start = end(nth.saturating_sub(1)).unwrap_or(0);
        let lines = end(nth).and_then(|end| self.lines.as_slice().get(start..end));
        lines.unwrap_or_default()
    }

    fn name(&self, function: u64) -> &str {
        let nth = usize::try_from(function).unwrap_or(0).wrapping_sub(1);
        let name = self.functions.as_slice().get(nth);
        match name.map_or("", |index| self.strings.get(*index)) {
            "" => UNKNOWN,
            name => name,
        }
    }

    pub(super) fn finish(self) -> Pieces {
        self.lines_written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_from_root_to_leaf_through_inlined_functions() {
        let mut collapsed = Collapsed::new(1);
        let strings = ["", "main", "<[u8; 2] as svc::Of>::f", "svc::leaf\n 7"];
        let function = |id: u64| proto::Function {
            id,
            name: id as i64,
            ..Default::default()
        };
        let location = |id: u64, functions: &[u64]| proto::Location {
            id,
            line: functions
                .iter()
                .map(|id| proto::Line {
                    function_id: *id,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        };
        let sample = |ids: &[u64], value: i64| proto::Sample {
            location_id: ids.to_vec(),
            value: vec![99, value],
            label: Vec::new(),
        };
        collapsed.add(&proto::Profile {
            string_table: strings.map(str::to_owned).to_vec(),
            function: vec![function(1), function(2)],
            location: vec![location(1, &[1])],
            sample: vec![sample(&[1], 5)],
            ..Default::default()
        });
        collapsed.add(&proto::Profile {
            function: vec![function(3)],
            location: vec![location(2, &[3, 2]), location(3, &[77])],
            sample: vec![
                sample(&[2, 1], 6),
                sample(&[2, 1], 0),
                sample(&[1], -4),
                sample(&[3, 1], 1),
            ],
            ..Default::default()
        });
        let text: Vec<u8> = collapsed.finish().iter().flatten().copied().collect();
        assert_eq!(
            String::from_utf8(text).expect("UTF-8"),
            "main 5\n\
             main;<[u8: 2] as svc::Of>::f;svc::leaf  7 6\n\
             main;[unknown] 1\n"
        );
    }
}
