//! Runs a program and reads what it prints.

use std::path::Path;
use std::process::{Command, Stdio};

/// The lines that `program` prints.
pub(crate) fn lines(program: &Path, arguments: &[&str]) -> Vec<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(output.status.success(), "{} failed", program.display());
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// The numbers of a line.
pub(crate) fn numbers<const COUNT: usize>(line: &str) -> [f64; COUNT] {
    let numbers: Vec<f64> = line.split([' ', ';']).map(number).collect();
    numbers
        .try_into()
        .unwrap_or_else(|_| panic!("{COUNT} numbers, not {line}"))
}

pub(crate) fn number(word: &str) -> f64 {
    word.parse()
        .unwrap_or_else(|_| panic!("a number, not {word}"))
}
