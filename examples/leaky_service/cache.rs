//! Leak 1: a cache without eviction. Each URL is new, so each page stays for ever and none is hit again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
pub(crate) struct Cache {
    pages: Mutex<HashMap<u64, Box<str>>>,
}

/// Keeps a copy of `page`. What is missing: a limit, and something that removes the oldest.
#[inline(never)]
pub(crate) fn remember(cache: &Cache, id: u64, page: &str) {
    let mut pages = cache.pages.lock().unwrap_or_else(PoisonError::into_inner);
    pages.insert(id, page.into());
}
