//! The calls that a program's machine code makes, as `objdump` of binutils shows them. x86-64 ELF.
//!
//! ```text
//! call 18280 <f>                      a function of the program; jmp and jcc too, as tail calls
//! call *0x5e2(%rip)   # 19e60         through the global offset table: its relocation says which function
//! mov  0x5e2(%rip),%r14 … call *%r14  the same in two steps; so a load of a slot counts as a call
//! lea  -0x3f(%rip),%rdi  # 19800 <f>  an address that is handed on counts as a call
//! call *0x20(%rax), call *%rax        whatever it finds in memory: listed as `unknown`
//! movslq (%rcx,%rdx,4),%rax … jmp *%rax   a jump table: within the function
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A function and what it calls, in demangled names; those of libraries without their version.
#[derive(Debug, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) calls: BTreeSet<String>,
    /// Calls of what only memory knows.
    pub(crate) unknown: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Code(Vec<Function>);

fn objdump(option: &str, program: &Path) -> String {
    let output = Command::new("objdump")
        .args([option, "--no-show-raw-insn"])
        .arg(program)
        .output()
        .expect("objdump, of binutils, can be started");
    assert!(output.status.success(), "objdump: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn hex(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits.trim_start_matches("0x"), 16).ok()
}

/// Without version, PLT suffix and hash, as source would have it.
fn plain(symbol: &str) -> String {
    let symbol = symbol.split('@').next().unwrap_or(symbol);
    let symbol = symbol.split(".llvm.").next().unwrap_or(symbol);
    format!("{:#}", rustc_demangle::demangle(symbol))
}

/// `0000000000018280 <name>:`
fn header(line: &str) -> Option<(u64, &str)> {
    let (address, name) = line.strip_suffix(">:")?.split_once(" <")?;
    Some((hex(address)?, name))
}

/// What the slots of the global offset table hold: a library's function by name, one of the program's by address.
enum Slot {
    Library(String),
    Local(u64),
}

fn slots(program: &Path) -> BTreeMap<u64, Slot> {
    let slot = |line: &str| {
        let mut words = line.split_whitespace();
        let (address, kind, value) = (hex(words.next()?)?, words.next()?, words.next()?);
        let slot = match kind {
            "R_X86_64_GLOB_DAT" | "R_X86_64_JUMP_SLOT" => Slot::Library(plain(value)),
            "R_X86_64_RELATIVE" => Slot::Local(hex(value.strip_prefix("*ABS*+")?)?),
            _ => return None,
        };
        Some((address, slot))
    };
    objdump("-R", program).lines().filter_map(slot).collect()
}

impl Code {
    pub(crate) fn of(program: &Path) -> Self {
        let slots = slots(program);
        let listing = objdump("-d", program);
        let starts: BTreeMap<u64, &str> = listing.lines().filter_map(header).collect();
        let mut functions = Vec::new();
        let mut body: Option<Body<'_>> = None;
        for line in listing.lines() {
            if let Some((start, name)) = header(line) {
                functions.extend(body.take().map(|body| body.function));
                let function = Function {
                    name: plain(name),
                    ..Function::default()
                };
                body = Some(Body {
                    function,
                    start,
                    starts: &starts,
                    slots: &slots,
                    loaded: BTreeSet::new(),
                    tabled: BTreeSet::new(),
                });
            } else if let (Some(body), Some((_, instruction))) =
                (&mut body, line.trim_start().split_once(":\t"))
            {
                body.read(instruction.trim());
            }
        }
        functions.extend(body.map(|body| body.function));
        Code(functions)
    }

    /// Functions whose name is so, or begins so if it ends in `::`.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &Function> {
        let is_it = move |function: &&Function| {
            function.name == name || name.ends_with("::") && function.name.starts_with(name)
        };
        self.0.iter().filter(is_it)
    }
}

/// A function while it is read.
struct Body<'a> {
    function: Function,
    start: u64,
    starts: &'a BTreeMap<u64, &'a str>,
    slots: &'a BTreeMap<u64, Slot>,
    /// Registers that hold what a slot held.
    loaded: BTreeSet<String>,
    /// Registers that hold what a jump table held.
    tabled: BTreeSet<String>,
}

impl Body<'_> {
    fn read(&mut self, instruction: &str) {
        let (code, comment) = instruction.split_once('#').unwrap_or((instruction, ""));
        let mut words = code.split_whitespace().filter(|word| {
            // Prefixes without a meaning for where it goes.
            !["bnd", "notrack", "data16", "addr32", "rex.W", "cs"].contains(word)
        });
        let (Some(mnemonic), operands) = (words.next(), words.collect::<Vec<_>>().join(" ")) else {
            return;
        };
        let jumps = mnemonic.starts_with("call") || mnemonic.starts_with('j');
        // `# 5d0e8 <name>`
        let address = comment.split_whitespace().next().and_then(hex);
        let slot = address.and_then(|address| self.slots.get(&address));
        if jumps {
            self.jump(&operands, address, slot);
        } else if let Some(slot) = slot {
            self.call_slot(slot);
        } else if let Some(address) = address.filter(|_| mnemonic == "lea") {
            self.call_if_start(address);
        }
        let target = operands.rsplit(',').next().unwrap_or_default();
        if !jumps && !mnemonic.starts_with("cmp") && !mnemonic.starts_with("test") {
            match slot.filter(|_| mnemonic == "mov") {
                Some(_) => self.loaded.insert(target.to_owned()),
                None => self.loaded.remove(target),
            };
            // The entry is an offset, to which the table's address is added.
            if mnemonic == "movslq" && operands.contains(",4)") {
                self.tabled.insert(target.to_owned());
            } else if mnemonic != "add" {
                self.tabled.remove(target);
            }
        }
    }

    fn jump(&mut self, operands: &str, address: Option<u64>, slot: Option<&Slot>) {
        let Some(indirect) = operands.strip_prefix('*') else {
            // `18280 <name+0x10>`
            let to = operands.split_whitespace().next().and_then(hex);
            let function = to.and_then(|to| self.starts.range(..=to).next_back());
            match function {
                Some((start, _)) if *start == self.start => {}
                Some((_, name)) => drop(self.function.calls.insert(plain(name))),
                None => self.function.unknown.push(operands.to_owned()),
            }
            return;
        };
        match (slot, address) {
            (Some(slot), _) => self.call_slot(slot),
            (None, None) if self.loaded.contains(indirect) => {}
            (None, None) if self.tabled.contains(indirect) => {}
            _ => self.function.unknown.push(operands.to_owned()),
        }
    }

    fn call_slot(&mut self, slot: &Slot) {
        match slot {
            Slot::Library(name) => drop(self.function.calls.insert(name.clone())),
            Slot::Local(address) => self.call_if_start(*address),
        }
    }

    fn call_if_start(&mut self, address: u64) {
        if let Some(name) = self.starts.get(&address).filter(|_| address != self.start) {
            self.function.calls.insert(plain(name));
        }
    }
}
