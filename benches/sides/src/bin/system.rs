//! The work on the system's allocator, bare.

use std::alloc::System;

#[global_allocator]
static ALLOC: System = System;

fn main() {
    work::answer();
}
