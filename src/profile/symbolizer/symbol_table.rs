//! Names from the symbol table: of functions without debug information, and of all when memory is short.

use object::NativeEndian;
use object::elf::{SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, STT_GNU_IFUNC};
use object::read::elf::Sym;

use super::effort::Effort;
use super::image::Image;
use super::ranges::{Wanted, within};

/// The linker's names of the functions that hold `wanted`, sorted by address; in its order.
///
/// One pass over the table, which takes no memory. Of several functions at an address the innermost has it, and of those
/// the first.
pub(super) fn names<'d>(
    image: &Image<'d>,
    wanted: &[Wanted],
    effort: &mut Effort,
) -> Vec<Option<&'d [u8]>> {
    // The table of what is exported is part of the other.
    let table = [SHT_SYMTAB, SHT_DYNSYM].into_iter().find_map(|kind| {
        let table = image
            .sections
            .symbols(NativeEndian, image.data, kind)
            .ok()?;
        (!table.is_empty()).then_some(table)
    });
    let mut best: Vec<Option<(u64, u32)>> = vec![None; wanted.len()];
    let Some(table) = table else {
        return vec![None; wanted.len()];
    };
    for symbol in table.iter() {
        if !effort.step() {
            break;
        }
        let start = symbol.st_value.get(NativeEndian);
        let end = start.saturating_add(symbol.st_size.get(NativeEndian));
        if !matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC)
            || symbol.is_undefined(NativeEndian)
        {
            continue;
        }
        for nth in within(wanted, &(start..end)) {
            if !effort.step() {
                break;
            }
            if let Some(best) = best.get_mut(nth)
                && best.is_none_or(|(known, _)| known < start)
            {
                *best = Some((start, symbol.st_name.get(NativeEndian)));
            }
        }
    }
    let name = |best: Option<(u64, u32)>| table.strings().get(best?.1).ok();
    best.into_iter()
        .map(|best| name(best).filter(|name| !name.is_empty()))
        .collect()
}
