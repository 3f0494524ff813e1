//! A profile as JSON: the parts of the pprof message, without what only a symbolizer needs.
//!
//! ```text
//! {"sample_types":  [["alloc_objects","count"], …],
//!  "default_sample_type": "inuse_space",            what to open on
//!  "period_type":   ["space","bytes"], "period": 524288,
//!  "time_ms":       1764085687123,                  since 1970; "duration_ms" is 0 unless it is growth over a time
//!  "total":         [n, …],                         the sum of all samples, one for each sample type
//!  "comments":      ["…", …],                       what was left out or folded, and the error of sampling
//!  "strings":       ["", "svc::keep", "/srv/src/keep.rs", …],
//!  "functions":     [[name, file], …],              indices of strings
//!  "frames":        [[function, line, …], …],       a machine address: pairs, the innermost inlined function first
//!  "samples":       [[[frame, …], [value, …], [key, text, …], [key, number, …]], …]}
//!                     leaf first   as the types   labels: indices of strings, and numbers; left out if there are none
//! ```
//!
//! Values are whole numbers of 64 bits: a reader that has only doubles rounds those above 2⁵³.

use std::fmt::Write;

use super::pieces::Pieces;
use super::proto;
use super::string_table::StringTable;

/// A profile so far. The lists are apart until the end, because each part of the message adds to all of them.
#[derive(Debug)]
pub(super) struct Json {
    strings: StringTable,
    functions: List,
    frames: List,
    samples: List,
    total: Vec<i64>,
    /// What is said once.
    rest: proto::Profile,
}

impl Json {
    pub(super) fn new() -> Self {
        Self {
            strings: StringTable::new(),
            functions: List::default(),
            frames: List::default(),
            samples: List::default(),
            total: Vec::new(),
            rest: proto::Profile::default(),
        }
    }

    pub(super) fn add(&mut self, part: &proto::Profile) {
        self.strings.add(&part.string_table);
        // Writing to a String cannot fail, here and below.
        for function in &part.function {
            let _ = write!(
                self.functions.next(),
                "[{},{}]",
                function.name,
                function.filename
            );
        }
        for location in &part.location {
            let lines = location.line.iter();
            let pairs = lines
                .flat_map(|line| [line.function_id.cast_signed().saturating_sub(1), line.line]);
            numbers(self.frames.next(), pairs);
        }
        for sample in &part.sample {
            self.total.resize(sample.value.len(), 0);
            for (total, value) in self.total.iter_mut().zip(&sample.value) {
                *total = total.saturating_add(*value);
            }
            write_sample(self.samples.next(), sample);
        }
        if !part.sample_type.is_empty() {
            self.rest = proto::Profile {
                sample_type: part.sample_type.clone(),
                period_type: part.period_type,
                period: part.period,
                time_nanos: part.time_nanos,
                duration_nanos: part.duration_nanos,
                default_sample_type: part.default_sample_type,
                comment: part.comment.clone(),
                ..Default::default()
            };
        }
    }

    pub(super) fn finish(self) -> Pieces {
        let Json {
            strings,
            rest,
            mut total,
            functions,
            frames,
            samples,
        } = self;
        let named = |named: &proto::ValueType| [strings.get(named.r#type), strings.get(named.unit)];
        let types: Vec<[&str; 2]> = rest.sample_type.iter().map(named).collect();
        let default = match strings.get(rest.default_sample_type) {
            // As every reader of pprof takes it.
            "" => types.last().map_or("", |[name, _]| name),
            set => set,
        };
        let mut out = String::from("{\"sample_types\":[");
        for (nth, named) in types.iter().enumerate() {
            out.push_str(if nth > 0 { "," } else { "" });
            strings_of(&mut out, named);
        }
        out.push_str("],\"default_sample_type\":");
        string(&mut out, default);
        out.push_str(",\"period_type\":");
        strings_of(&mut out, &rest.period_type.as_ref().map_or([""; 2], named));
        let ms = |nanos: i64| nanos / 1_000_000;
        let _ = write!(
            out,
            ",\"period\":{},\"time_ms\":{},\"duration_ms\":{},\"total\":",
            rest.period,
            ms(rest.time_nanos),
            ms(rest.duration_nanos)
        );
        total.resize(types.len(), 0);
        numbers(&mut out, total.iter().copied());
        out.push_str(",\"comments\":");
        let comments: Vec<&str> = rest.comment.iter().map(|at| strings.get(*at)).collect();
        strings_of(&mut out, &comments);
        out.push_str(",\"strings\":[");
        let mut whole = Pieces::of(out.as_bytes());
        let mut all = List::default();
        for text in strings.iter() {
            string(all.next(), text);
        }
        whole.append(all.finish());
        for (name, list) in [
            ("functions", functions),
            ("frames", frames),
            ("samples", samples),
        ] {
            whole.add(format!("],\"{name}\":[").as_bytes());
            whole.append(list.finish());
        }
        whole.add(b"]}\n");
        whole
    }
}

fn write_sample(out: &mut String, sample: &proto::Sample) {
    out.push('[');
    let frames = sample.location_id.iter();
    numbers(out, frames.map(|id| id.cast_signed().saturating_sub(1)));
    out.push(',');
    numbers(out, sample.value.iter().copied());
    let (texts, counts): (Vec<&proto::Label>, Vec<_>) =
        sample.label.iter().partition(|label| label.str != 0);
    if !sample.label.is_empty() {
        out.push(',');
        numbers(out, texts.iter().flat_map(|label| [label.key, label.str]));
    }
    if !counts.is_empty() {
        out.push(',');
        numbers(out, counts.iter().flat_map(|label| [label.key, label.num]));
    }
    out.push(']');
}

/// The inside of a JSON array.
#[derive(Debug, Default)]
struct List {
    written: Pieces,
    /// What comes next to `written`; some thousand bytes, so that not each entry is a call.
    latest: String,
    has_entries: bool,
}

impl List {
    /// Where the next entry is to be written.
    fn next(&mut self) -> &mut String {
        const LATEST_BYTES: usize = 4096;
        if self.latest.len() >= LATEST_BYTES {
            self.written.add(self.latest.as_bytes());
            self.latest.clear();
        }
        if self.has_entries {
            self.latest.push(',');
        }
        self.has_entries = true;
        &mut self.latest
    }

    fn finish(mut self) -> Pieces {
        self.written.add(self.latest.as_bytes());
        self.written
    }
}

fn numbers(out: &mut String, numbers: impl Iterator<Item = i64>) {
    out.push('[');
    for (nth, number) in numbers.enumerate() {
        out.push_str(if nth > 0 { "," } else { "" });
        let _ = write!(out, "{number}");
    }
    out.push(']');
}

fn strings_of(out: &mut String, texts: &[&str]) {
    out.push('[');
    for (nth, text) in texts.iter().enumerate() {
        out.push_str(if nth > 0 { "," } else { "" });
        string(out, text);
    }
    out.push(']');
}

/// A JSON string.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // The rest of what JSON demands.
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    // That all of it reads back, `tests/profiles_have_json_and_collapsed_forms.rs` shows with a parser.
    #[test]
    fn strings_are_escaped_where_json_demands_it() {
        let mut out = String::new();
        for text in [
            "",
            "<a \"b\">\\",
            "\n\t\r\0\u{1f}\u{7f}",
            "é\u{1f980}\u{2028}",
        ] {
            string(&mut out, text);
        }
        assert_eq!(
            out,
            "\"\"\"<a \\\"b\\\">\\\\\"\"\\n\\t\\u000d\\u0000\\u001f\u{7f}\"\"é\u{1f980}\u{2028}\""
        );
    }
}
