//! What the programs beside this file share.

mod stacks;
mod unwinder;

pub use stacks::{Leaf, Way};
pub use unwinder::ready;
