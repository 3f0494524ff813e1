//! The smallest program with a heap profile: two lines for the allocator, one for the endpoint.
//!
//! ```sh
//! cargo run --release --example minimal
//! go tool pprof -top http://127.0.0.1:6060/debug/pprof/heap
//! ```

use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOC: debug_pprof::ProfiledAllocator = debug_pprof::ProfiledAllocator::system();

fn main() -> Result<(), debug_pprof::Error> {
    let addr = debug_pprof::serve("127.0.0.1:6060")?;

    // Something to look at: 64 MiB that stay.
    let kept: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 1 << 20]).collect();
    println!("{} MiB are live; see who allocated them:", kept.len());
    println!("  go tool pprof -top http://{addr}/debug/pprof/heap");
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}
