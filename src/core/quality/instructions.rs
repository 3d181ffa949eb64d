//! Kernels compiled for more than one instruction set; which version runs is decided by the processor at run time.
//!
//! All versions come from one body of integer code and therefore give the same bits: what differs is how many values
//! the compiler may take at once. A development or release build thus uses AVX2 where there is AVX2 and still runs
//! where there is none. There is no AVX-512 version: rows of patches are eight pixels, and it was measured to be up to
//! a tenth slower than AVX2.

use std::cell::Cell;

/// A set of instructions that kernels are compiled for, the plainest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum InstructionSet {
    /// What every processor of the target has: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// AVX2 (x86-64).
    Avx2,
}

thread_local! {
    /// The widest set that kernels called on this thread may use.
    static LIMIT: Cell<InstructionSet> = const { Cell::new(InstructionSet::Avx2) };
}

impl InstructionSet {
    /// All sets, the plainest first.
    pub const ALL: [Self; 2] = [Self::Baseline, Self::Avx2];

    /// The widest set of this processor.
    #[cfg(target_arch = "x86_64")]
    pub fn widest() -> Self {
        if is_x86_feature_detected!("avx2") { Self::Avx2 } else { Self::Baseline }
    }

    /// The widest set of this processor.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn widest() -> Self {
        Self::Baseline
    }

    /// The set that kernels called on this thread use; never more than the processor has.
    pub fn in_use() -> Self {
        LIMIT.get().min(Self::widest())
    }

    /// Runs `work` with kernels called on this thread limited to this set, for tests and benches. Work that goes to
    /// other threads is not limited.
    pub fn limit<R>(self, work: impl FnOnce() -> R) -> R {
        /// Puts the old limit back, after a panic too.
        struct Restore(InstructionSet);
        impl Drop for Restore {
            fn drop(&mut self) {
                LIMIT.set(self.0);
            }
        }
        let _restore = Restore(LIMIT.replace(self));
        work()
    }
}

/// Defines functions that are compiled once for every [`InstructionSet`] and choose between the versions when called.
///
/// What the body calls takes part only where it is inlined: helpers are `#[inline(always)]`.
macro_rules! for_every_instruction_set {
    ($($(#[$attribute:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $out:ty $body:block)+) => {$(
        $(#[$attribute])*
        $vis fn $name($($arg: $type),*) -> $out {
            #[inline(always)]
            fn plain($($arg: $type),*) -> $out $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::quality::instructions::InstructionSet;

                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) -> $out {
                    plain($($arg),*)
                }

                match InstructionSet::in_use() {
                    InstructionSet::Baseline => plain($($arg),*),
                    // SAFETY: `in_use` names only what it found this processor to have.
                    InstructionSet::Avx2 => unsafe { avx2($($arg),*) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            plain($($arg),*)
        }
    )+};
}

pub(crate) use for_every_instruction_set;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_for_its_work_only_and_never_exceeds_the_processor() {
        let before = InstructionSet::in_use();
        assert_eq!(before, InstructionSet::widest());
        for set in InstructionSet::ALL {
            assert_eq!(set.limit(InstructionSet::in_use), set.min(InstructionSet::widest()));
        }
        let panicked = std::panic::catch_unwind(|| InstructionSet::Baseline.limit(|| panic!("inside")));
        assert!(panicked.is_err());
        assert_eq!(InstructionSet::in_use(), before);
    }
}
