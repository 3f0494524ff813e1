//! What else can be known of the process's memory: the allocator's own view of it.

mod allocator_view;
mod glibc;
#[cfg(feature = "jemalloc")]
mod jemalloc;
#[cfg(feature = "mimalloc")]
mod mimalloc;

pub use self::allocator_view::{
    AllocatorView, ViewedAllocator, allocator_view, set_allocator_view,
};
pub use self::glibc::Glibc;
#[cfg(feature = "jemalloc")]
pub use self::jemalloc::Jemalloc;
#[cfg(feature = "mimalloc")]
pub use self::mimalloc::Mimalloc;
