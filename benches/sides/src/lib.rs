//! What the programs beside this file share.

mod histogram;
mod stacks;
mod unwinder;

pub use histogram::Histogram;
pub use stacks::{Leaf, Way};
pub use unwinder::{ready, ready_unless_counting};
