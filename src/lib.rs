//! skeleton
mod error;
pub mod http;
mod profile;
pub use error::Error;
pub use profile::HeapProfile;
#[derive(Debug)]
pub struct ProfiledAllocator;
