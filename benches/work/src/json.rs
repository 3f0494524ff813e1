//! A JSON document, parsed into a tree: many small strings, vectors that grow, one drop of all.

use std::fmt::Write;
use std::hint::black_box;

use serde_json::Value;

use crate::Started;

/// Entries of the document, which is 15 kB.
const ENTRIES: usize = 100;

/// Operation: the document is parsed and the tree dropped.
pub(crate) fn start() -> Started {
    let document = document();
    Box::new(move |count| {
        for _ in 0..count {
            let tree: Value = serde_json::from_str(black_box(&document)).expect("valid JSON");
            black_box(tree);
        }
    })
}

fn document() -> String {
    let mut document = String::from("[");
    for nth in 0..ENTRIES {
        let comma = if nth == 0 { "" } else { "," };
        write!(
            document,
            r#"{comma}{{"id":{nth},"name":"customer number {nth}","tags":["new","north-{nth}","paid"],
            "address":{{"street":"{nth} Long Street","city":"Anywhere"}},"amounts":[{nth}.5,20,-3],"open":true}}"#
        )
        .expect("a String takes all");
    }
    document.push(']');
    document
}
