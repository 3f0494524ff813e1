//! Every allocation recorded, on one thread and on two: against dhat, which always records all.

use crate::ratio::minimum;
use crate::rounds::{self, Plan, Program};
use crate::verdict::verdict;

/// How much more two threads must do than one in the same time.
const SCALING_BAR: f64 = 1.6;

const ONE: &str = "small churn, 1 thread";
const TWO: &str = "small churn, 2 threads";

pub(crate) fn compare(bare: &Program, ours: &Program, dhat: &Program, plan: &Plan) {
    let kinds = bare.start().kinds();
    let number = |wanted: &str| {
        let found = kinds.iter().position(|(_, name)| name == wanted);
        found.expect("a kind of work")
    };
    let sides = [bare.clone(), ours.clone(), dhat.clone()];
    let [one, two] = [ONE, TWO].map(|kind| {
        let samples = rounds::measure(&sides, number(kind), plan);
        samples
            .iter()
            .map(|side| minimum(side))
            .collect::<Vec<f64>>()
    });
    println!("\n### Every allocation recorded, on one and two threads\n");
    println!("| | one thread, ns per block | two, ns per block of each | scaling | bar | |");
    println!("|---|--:|--:|--:|---|---|");
    let names = ["bare", "this crate, rate 1", "dhat"];
    for (nth, name) in names.into_iter().enumerate() {
        // Two threads do two operations in the time of one.
        let scaling = 2.0 * one[nth] / two[nth];
        let bar = if nth == 1 {
            format!(
                "≥ {SCALING_BAR}, no slower than dhat | {}",
                verdict(scaling >= SCALING_BAR && two[1] <= two[2])
            )
        } else {
            "|".to_owned()
        };
        println!(
            "| {name} | {:.0} | {:.0} | {scaling:.2} | {bar} |",
            one[nth], two[nth]
        );
    }
}
