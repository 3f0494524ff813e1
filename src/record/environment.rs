//! `DEBUG_PPROF_RATE`, read inside the first allocation: no allocation, no lock of `std::env`.

/// Mean bytes between samples; 0 is off, 1 samples everything.
pub(crate) const RATE_VARIABLE: &core::ffi::CStr = c"DEBUG_PPROF_RATE";

/// What the variable says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RateVariable {
    Unset,
    Bytes(usize),
    /// Set, but not a whole number of bytes.
    Bad,
}

impl RateVariable {
    /// Reads the variable. `getenv` walks `environ` in place; it races only with a `setenv`, which is why the first
    /// allocation, before `main`, is the time for it.
    pub(super) fn read() -> Self {
        // SAFETY: the name is a C string; getenv does not keep it.
        let value = unsafe { libc::getenv(RATE_VARIABLE.as_ptr()) };
        if value.is_null() {
            return RateVariable::Unset;
        }
        // SAFETY: getenv returns null or a C string of the environment, which nobody changes while it is parsed.
        Self::parse(unsafe { core::ffi::CStr::from_ptr(value) }.to_bytes())
    }

    fn parse(value: &[u8]) -> Self {
        if value.is_empty() {
            return RateVariable::Bad;
        }
        let digit = |bytes: usize, byte: &u8| {
            let digit = char::from(*byte).to_digit(10)?;
            bytes.checked_mul(10)?.checked_add(digit as usize)
        };
        match value.iter().try_fold(0, digit) {
            Some(bytes) => RateVariable::Bytes(bytes),
            None => RateVariable::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_of_bytes_are_rates() {
        assert_eq!(RateVariable::parse(b"0"), RateVariable::Bytes(0));
        assert_eq!(RateVariable::parse(b"524288"), RateVariable::Bytes(524_288));
        for bad in [
            "",
            " 1",
            "1 ",
            "-1",
            "512k",
            "0x10",
            "1.5",
            "99999999999999999999999",
        ] {
            assert_eq!(
                RateVariable::parse(bad.as_bytes()),
                RateVariable::Bad,
                "{bad:?}"
            );
        }
    }
}
