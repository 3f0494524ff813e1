//! What the symbolizer has found, until its thread has ended: in pages, so that what is remembered of it is not laid
//! between what that thread frees, which could not go back to the system then.

use super::symbolizer::{Depth, Found};
use super::types::{Code, Reach, Said};
use crate::pages::PageVec;

/// Answers in the order they came.
#[derive(Debug)]
pub(super) struct Spool {
    text: PageVec<u8>,
    lines: PageVec<SpooledLine>,
    answers: PageVec<Answer>,
}

#[derive(Debug, Clone, Copy)]
struct SpooledLine {
    /// Lengths of the function's name and of the file's path; they follow those of the line before in `text`.
    function: u32,
    file: u32,
    line: u32,
    /// The length of the type that follows them in `text`, and the rest of what the function says.
    said: Option<(u32, Reach, Code)>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    /// What it answers, as the symbolizer numbers it.
    nth: usize,
    lines: u32,
    depth: Depth,
}

impl Spool {
    pub(super) fn new() -> Self {
        Self {
            text: PageVec::new(),
            lines: PageVec::new(),
            answers: PageVec::new(),
        }
    }

    /// Without memory for it an answer is left out: the next profile asks again.
    pub(super) fn push(&mut self, nth: usize, found: &[Found], depth: Depth) {
        let room = self.answers.reserve(1)
            && self.lines.reserve(found.len())
            && self.text.reserve(
                found
                    .iter()
                    .map(|line| line.function.len() + line.file.len() + label(line).len())
                    .sum(),
            );
        if !room {
            return;
        }
        for line in found {
            let spooled = SpooledLine {
                function: line.function.len() as u32,
                file: line.file.len() as u32,
                line: line.line,
                said: line.said.as_ref().map(|said| {
                    let len = said.label.len() as u32;
                    (len, said.reach, said.code)
                }),
            };
            let _ = self.text.extend(line.function.as_bytes());
            let _ = self.text.extend(line.file.as_bytes());
            let _ = self.text.extend(label(line).as_bytes());
            let _ = self.lines.push(spooled);
        }
        let _ = self.answers.push(Answer {
            nth,
            lines: found.len() as u32,
            depth,
        });
    }

    /// Calls `learn` for each answer.
    pub(super) fn for_each(&self, mut learn: impl FnMut(usize, Vec<Found>, Depth)) {
        let (mut text, mut lines) = (self.text.as_slice(), self.lines.as_slice().iter());
        let mut next = |len: u32| {
            let (this, rest) = text.split_at_checked(len as usize).unwrap_or((text, &[]));
            text = rest;
            String::from_utf8_lossy(this).into_owned()
        };
        for answer in self.answers.as_slice() {
            let found = lines
                .by_ref()
                .take(answer.lines as usize)
                .map(|line| Found {
                    function: next(line.function),
                    file: next(line.file),
                    line: line.line,
                    said: line.said.map(|(len, reach, code)| Said {
                        label: next(len),
                        reach,
                        code,
                    }),
                });
            learn(answer.nth, found.collect(), answer.depth);
        }
    }
}

fn label(found: &Found) -> &str {
    found.said.as_ref().map_or("", |said| said.label.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_out_as_they_went_in() {
        let line = |function: &str, file: &str, line| Found {
            function: function.into(),
            file: file.into(),
            line,
            said: (line == 1).then(|| Said {
                label: "svc::Session".into(),
                reach: Reach::Own,
                code: Code::Shared,
            }),
        };
        let answers = [
            (
                7,
                vec![line("añ", "f.rs", 1), line("b", "", 0)],
                Depth::DebugInfo,
            ),
            (9, vec![], Depth::SymbolTable),
            (8, vec![line("", "g.rs", 3)], Depth::SymbolTable),
        ];
        let mut spool = Spool::new();
        for (nth, found, depth) in &answers {
            spool.push(*nth, found, *depth);
        }
        let mut out = Vec::new();
        spool.for_each(|nth, found, depth| out.push((nth, found, depth)));
        assert_eq!(out, answers);
    }
}
