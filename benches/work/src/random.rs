//! The same numbers in every process, so that all sides do the same.

/// Xorshift: three shifts, so that drawing a number is nothing beside an allocation.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers of their own for each `seed`.
    pub const fn new(seed: u64) -> Self {
        // Any odd constant: the state must not be 0.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`. Slightly biased, which does no harm here.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() >> 32) as usize % end
    }

    /// A size from `1 << low` to `1 << high` bytes with the same chance for each power of two: small blocks are the
    /// most, as in real heaps.
    pub fn size(&mut self, low: u32, high: u32) -> usize {
        let class = 1_usize << (low as usize + self.below((high - low) as usize));
        class + self.below(class)
    }
}
