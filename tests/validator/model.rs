//! A profile as a test reads it: totals and stacks by name, without ids and string indices.

use std::collections::BTreeMap;

use super::{proto, string};

/// A decoded profile.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) proto: proto::Profile,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stack {
    /// Leaf first, inlined calls spelled out.
    pub(crate) frames: Vec<Frame>,
    /// In the order of the sample types.
    pub(crate) values: Vec<i64>,
    pub(crate) numeric_labels: BTreeMap<String, i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// Empty if the consumer is to symbolize.
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: i64,
    pub(crate) address: u64,
}

impl Profile {
    pub(crate) fn new(proto: proto::Profile) -> Profile {
        Profile { proto }
    }

    /// The sum over all samples.
    pub(crate) fn total(&self, sample_type: &str) -> i64 {
        let column = self.column(sample_type);
        self.proto
            .sample
            .iter()
            .map(|sample| sample.value[column])
            .sum()
    }

    /// `-top`'s flat column.
    pub(crate) fn by_leaf_function(&self, sample_type: &str) -> BTreeMap<String, i64> {
        let column = self.column(sample_type);
        let mut totals = BTreeMap::new();
        for stack in self.stacks() {
            if let Some(leaf) = stack.frames.first() {
                *totals.entry(leaf.name.clone()).or_default() += stack.values[column];
            }
        }
        totals
    }

    /// The sum over the stacks with a frame whose name contains `function`: `-top`'s cum column.
    pub(crate) fn through(&self, function: &str, sample_type: &str) -> i64 {
        let column = self.column(sample_type);
        self.stacks()
            .iter()
            .filter(|stack| stack.has(function))
            .map(|stack| stack.values[column])
            .sum()
    }

    pub(crate) fn stacks(&self) -> Vec<Stack> {
        self.proto
            .sample
            .iter()
            .map(|sample| self.stack(sample))
            .collect()
    }

    pub(crate) fn function_names(&self) -> Vec<&str> {
        self.proto
            .function
            .iter()
            .map(|function| string(&self.proto, function.name))
            .collect()
    }

    pub(crate) fn comments(&self) -> Vec<&str> {
        self.proto
            .comment
            .iter()
            .map(|&index| string(&self.proto, index))
            .collect()
    }

    /// File name and build id of the mapping that titles the profile.
    pub(crate) fn main_binary(&self) -> Option<(&str, &str)> {
        let first = self.proto.mapping.first()?;
        Some((
            string(&self.proto, first.filename),
            string(&self.proto, first.build_id),
        ))
    }

    fn column(&self, sample_type: &str) -> usize {
        let is_it = |t: &proto::ValueType| string(&self.proto, t.r#type) == sample_type;
        self.proto
            .sample_type
            .iter()
            .position(is_it)
            .unwrap_or_else(|| panic!("the profile has no sample type {sample_type:?}"))
    }

    fn stack(&self, sample: &proto::Sample) -> Stack {
        let locations = sample
            .location_id
            .iter()
            .map(|&id| entry(&self.proto.location, id));
        let frames = locations
            .flat_map(|location| self.frames(location))
            .collect();
        let numbers = sample.label.iter().filter(|label| label.str == 0);
        Stack {
            frames,
            values: sample.value.clone(),
            numeric_labels: numbers
                .map(|label| (string(&self.proto, label.key).to_owned(), label.num))
                .collect(),
        }
    }

    /// Innermost first.
    pub(crate) fn frames(&self, location: &proto::Location) -> Vec<Frame> {
        let address = location.address;
        if location.line.is_empty() {
            return vec![Frame {
                name: String::new(),
                file: String::new(),
                line: 0,
                address,
            }];
        }
        let frame = |line: &proto::Line| {
            let function = entry(&self.proto.function, line.function_id);
            Frame {
                name: string(&self.proto, function.name).to_owned(),
                file: string(&self.proto, function.filename).to_owned(),
                line: line.line,
                address,
            }
        };
        location.line.iter().map(frame).collect()
    }
}

impl Stack {
    pub(crate) fn names(&self) -> Vec<&str> {
        self.frames
            .iter()
            .map(|frame| frame.name.as_str())
            .collect()
    }

    /// Whether a frame's name contains `function`.
    pub(crate) fn has(&self, function: &str) -> bool {
        self.frames
            .iter()
            .any(|frame| frame.name.contains(function))
    }
}

/// Ids are 1..n in table order: the validator has checked it.
fn entry<T>(table: &[T], id: u64) -> &T {
    let index = usize::try_from(id).expect("an id fits usize");
    &table[index - 1]
}
