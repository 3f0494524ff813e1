//! What the programs beside this file share.

mod histogram;
mod processor_wait;
mod stacks;
mod unwinder;

pub use histogram::Histogram;
pub use processor_wait::ProcessorWait;
pub use stacks::{Leaf, Way};
pub use unwinder::{ready, ready_unless_counting};
