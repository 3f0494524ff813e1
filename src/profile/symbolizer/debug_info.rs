//! Names from the files of the process, found on a thread of its own for each profile.
//!
//! The caller may run on a stack of 16 KiB; a panic in a parser of debug information ends on that thread and not in the
//! caller; and sampling is off there.

use std::sync::Arc;

use super::effort::Effort;
use super::image::{self, Image};
use super::ranges::Wanted;
#[cfg(feature = "http")]
use super::symbol_table;
use super::{Depth, Found, module};
use crate::profile::bare_thread;
use crate::profile::mappings::Mapping;
use crate::profile::own_thread::on_own_thread;
use crate::stack::ReturnAddress;

/// Bytes of stack of the symbolizing thread. It was seen to use 20 KiB; address space, not memory.
const STACK: usize = 2 << 20;

/// Looks up `addresses`, sorted; `headroom` is how many bytes of memory are left. Calls `found` with an address's index
/// and what it resolves to, innermost inlined function first, empty if its file does not say. Not called for those whose
/// file cannot be read or is not what runs, nor for any if the system has no thread to spare: the next profile tries
/// again.
pub(in crate::profile) fn look_up(
    addresses: &[(ReturnAddress, &Arc<Mapping>)],
    headroom: u64,
    found: &mut (dyn FnMut(usize, Vec<Found>, Depth) + Send),
) {
    for_each_file(addresses, |file, image| {
        let mut effort = Effort::new();
        module::look_up(image, &file.wanted, headroom, &mut effort, found);
    });
}

/// Hands `named` the index and the linker's name of each of `addresses`, sorted; those that have none are left out.
#[cfg(feature = "http")]
pub(in crate::profile) fn linker_names(
    addresses: &[(ReturnAddress, &Arc<Mapping>)],
    named: &mut (dyn FnMut(usize, &str) + Send),
) {
    for_each_file(addresses, |file, image| {
        let found = symbol_table::names(image, &file.wanted, &mut Effort::new());
        for (wanted, name) in file.wanted.iter().zip(found) {
            if let Some(name) = name {
                named(wanted.nth, &String::from_utf8_lossy(name));
            }
        }
    });
}

/// The addresses that lie in one mapping of a file.
struct OneFile<'a> {
    mapping: &'a Mapping,
    wanted: Vec<Wanted>,
}

fn files<'a>(
    addresses: &'a [(ReturnAddress, &'a Arc<Mapping>)],
) -> impl Iterator<Item = OneFile<'a>> {
    let mut nth = 0;
    addresses
        .chunk_by(|one, next| Arc::ptr_eq(one.1, next.1))
        .filter_map(move |of_one| {
            let (_, mapping) = of_one.first()?;
            let wanted = of_one.iter().map(|(address, _)| {
                nth += 1;
                Wanted {
                    address: mapping.file_address(address.call()) as u64,
                    nth: nth - 1,
                }
            });
            Some(OneFile {
                mapping,
                wanted: wanted.collect(),
            })
        })
}

/// Opens what is to be read for an address of the file: the file that holds debug information, if there is one.
fn with_image(file: &OneFile<'_>, work: &mut impl FnMut(&OneFile<'_>, &Image<'_>)) {
    let Some(map) = image::open(file.mapping) else {
        return;
    };
    let Some(image) = Image::parse(map.bytes()) else {
        return;
    };
    let debug_file = match image.section(".debug_info") {
        Some(_) => None,
        None => image::open_debug_file(&image),
    };
    match debug_file
        .as_ref()
        .and_then(|map| Image::parse(map.bytes()))
    {
        Some(image) => work(file, &image),
        None => work(file, &image),
    }
}

fn for_each_file(
    addresses: &[(ReturnAddress, &Arc<Mapping>)],
    mut work: impl FnMut(&OneFile<'_>, &Image<'_>) + Send,
) {
    if addresses.is_empty() {
        return;
    }
    // Waited for, so that a panic ends there.
    bare_thread::run_and_wait(STACK, || {
        on_own_thread(c"debug-pprof-sym", || {
            for file in files(addresses) {
                with_image(&file, &mut work);
            }
        });
    });
}
