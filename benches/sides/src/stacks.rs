//! Call stacks of any depth through functions of many shapes, as a program's are: 64 functions, each with a body and a
//! frame of its own, call one another in an order that a number decides.

use std::hint::black_box;

/// What is called at the end of a stack.
pub type Leaf<'a> = &'a mut dyn FnMut();

/// Functions that a stack is made of.
const FUNCTIONS: u64 = 64;

/// One frame of the stack, from the root side.
type Step = fn(&Way, u32, Leaf<'_>) -> u64;

/// Which functions a stack goes through.
#[derive(Debug, Clone, Copy)]
pub struct Way(u64);

impl Way {
    /// The `nth` of as many different ways as there are numbers.
    pub fn nth(nth: u64) -> Self {
        Self(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Calls `leaf` under `depth` more frames than the caller's own, not counting `leaf`'s.
    pub fn call(&self, depth: u32, leaf: Leaf<'_>) {
        black_box(self.descend(depth, leaf));
    }

    #[inline(always)]
    fn descend(&self, depth: u32, leaf: Leaf<'_>) -> u64 {
        let Some(left) = depth.checked_sub(1) else {
            leaf();
            return 0;
        };
        // The upper bits of a product, other ones for each depth: neighbours on a stack are strangers in the text.
        let choice = self.0.wrapping_mul(u64::from(depth) * 2 + 1) >> 40;
        STEPS[(choice % FUNCTIONS) as usize](self, left, leaf)
    }
}

/// A frame of `WORDS` words and code that grows with `SHAPE`.
#[inline(never)]
fn step<const SHAPE: u64, const WORDS: usize>(way: &Way, left: u32, leaf: Leaf<'_>) -> u64 {
    let mut frame = black_box([SHAPE; WORDS]);
    if SHAPE.is_multiple_of(2) {
        frame[WORDS / 2] = black_box(u64::from(left)).wrapping_mul(SHAPE | 1);
    }
    if SHAPE.is_multiple_of(3) {
        // Values that live across the call: callee-saved registers, which the unwind rows have to mention.
        let (a, b, c) = (black_box(SHAPE), black_box(SHAPE + 1), black_box(SHAPE + 2));
        let below = way.descend(left, leaf);
        return below ^ a.rotate_left(7) ^ b.wrapping_mul(c) ^ frame[0];
    }
    let below = way.descend(left, leaf);
    // After the call, so that it is no tail call and the frame is there while the leaf runs.
    if SHAPE.is_multiple_of(5) {
        return black_box(frame)
            .iter()
            .fold(below, |sum, word| sum.rotate_left(3) ^ word);
    }
    below.wrapping_add(black_box(frame)[WORDS - 1])
}

macro_rules! steps {
    ($($shape:literal)*) => { [$(step::<$shape, { 1 + $shape % 13 }>),*] };
}

static STEPS: [Step; FUNCTIONS as usize] = steps!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
);
