//! A lesser processor for a child of this test program: CPUID instructions fault (`ARCH_SET_CPUID` of
//! arch_prctl(2)), and a handler answers in the processor's place with features taken away. So whoever asks at
//! run time which kernels fit (`std_detect` under gemm, pulp and macerator, and `raw-cpuid`) finds fewer.
//!
//! A constructor does it before `main`, because answers are remembered from the first question on; threads
//! inherit it. The loader's own choices were made before: glibc's routines that move and compare bytes.

/// Names the processor that a child shall see.
pub const VARIABLE: &str = "LEOMA_EMBED_PROCESSOR";

/// What a child is left with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// What every x86-64 has: SSE2.
    Baseline,
    /// AVX2 and FMA, nothing of AVX-512.
    Avx2,
    /// Everything that is there.
    Whole,
}

impl Processor {
    /// The value of [`VARIABLE`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "sse2",
            Self::Avx2 => "avx2",
            Self::Whole => "whole",
        }
    }

    /// What the variable says; everything where it is not set.
    pub fn asked_for() -> Self {
        let named = std::env::var(VARIABLE).ok();
        let found = |processor: &Self| Some(processor.name()) == named.as_deref();
        [Self::Baseline, Self::Avx2].into_iter().find(found).unwrap_or(Self::Whole)
    }
}

/// Why no processor can be lessened here, if so.
pub fn why_not() -> Option<&'static str> {
    machine::why_not()
}

/// Whether `std` finds SSE4.2, AVX2, FMA and AVX-512F.
pub fn found() -> [bool; 4] {
    machine::found()
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod machine {
    use std::arch::x86_64::{__cpuid_count, CpuidResult};

    use libc::{c_int, c_long, c_void, siginfo_t, ucontext_t};

    use super::{Processor, VARIABLE};

    /// arch_prctl(2): 0 makes CPUID fault on this thread, 1 lets it through.
    const ARCH_SET_CPUID: c_long = 0x1012;
    const FAULTS: c_long = 0;
    const WORKS: c_long = 1;
    /// The instruction: two bytes.
    const CPUID: [u8; 2] = [0x0f, 0xa2];

    fn set(state: c_long) -> c_long {
        // SAFETY: this call takes two integers and touches no memory.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_CPUID, state) }
    }

    pub fn why_not() -> Option<&'static str> {
        (set(WORKS) != 0)
            .then_some("this processor or kernel has no faulting of CPUID (`cpuid_fault` in /proc/cpuinfo)")
    }

    pub fn found() -> [bool; 4] {
        [
            is_x86_feature_detected!("sse4.2"),
            is_x86_feature_detected!("avx2"),
            is_x86_feature_detected!("fma"),
            is_x86_feature_detected!("avx512f"),
        ]
    }

    /// Takes features out of an answer. Bits: Intel's manual, volume 2A, CPUID.
    fn lessened(mut answer: CpuidResult, leaf: u32, part: u32, left: Processor) -> CpuidResult {
        const CMPXCHG16B_AND_HYPERVISOR: u32 = 1 << 13 | 1 << 31;
        const LAHF: u32 = 1;
        // F, DQ, IFMA, PF, ER, CD, BW, VL.
        const AVX512: u32 = 1 << 16 | 1 << 17 | 1 << 21 | 0b111 << 26 | 1 << 30 | 1 << 31;
        match (left, leaf) {
            (Processor::Baseline, 1) => answer.ecx &= CMPXCHG16B_AND_HYPERVISOR,
            (Processor::Baseline, 0x8000_0001) => answer.ecx &= LAHF,
            (Processor::Baseline, 7) => answer = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 },
            // Its other words hold AVX-512, AMX and what came after them.
            (Processor::Avx2, 7) if part == 0 => {
                answer = CpuidResult { eax: 0, ebx: answer.ebx & !AVX512, ecx: 0, edx: 0 };
            }
            (Processor::Avx2, 7) => answer = CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 },
            _ => {}
        }
        answer
    }

    /// What the handler leaves; written once, before any thread.
    static mut LEFT: Processor = Processor::Whole;

    /// Answers a CPUID that faulted; any other fault ends the program as it would have.
    extern "C" fn answer(_signal: c_int, _about: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: the kernel hands a `ucontext_t` to a handler that was installed with SA_SIGINFO, and the bytes at
        // RIP are there to read, since they were fetched. Only system calls and arithmetic: safe in a handler.
        unsafe {
            let registers = &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs;
            let at = |register: c_int| register as usize;
            let instruction = registers[at(libc::REG_RIP)] as *const [u8; 2];
            if instruction.read_unaligned() != CPUID {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                return;
            }
            let leaf = registers[at(libc::REG_RAX)] as u32;
            let part = registers[at(libc::REG_RCX)] as u32;
            set(WORKS);
            let whole = __cpuid_count(leaf, part);
            set(FAULTS);
            let answer = lessened(whole, leaf, part, LEFT);
            registers[at(libc::REG_RAX)] = answer.eax.into();
            registers[at(libc::REG_RBX)] = answer.ebx.into();
            registers[at(libc::REG_RCX)] = answer.ecx.into();
            registers[at(libc::REG_RDX)] = answer.edx.into();
            registers[at(libc::REG_RIP)] += CPUID.len() as i64;
        }
    }

    /// Runs before `main` and does nothing where the variable is not set.
    extern "C" fn lessen() {
        if std::env::var_os(VARIABLE).is_none() {
            return;
        }
        let left = Processor::asked_for();
        if left == Processor::Whole {
            return;
        }
        // SAFETY: there is one thread yet; the action is whole (zeroes are an empty mask and no restorer) and its
        // function has the signature that SA_SIGINFO asks for.
        unsafe {
            LEFT = left;
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = answer as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGSEGV, &action, std::ptr::null_mut());
        }
        // Where it fails the child sees everything and says so.
        set(FAULTS);
    }

    #[used]
    // SAFETY: a function pointer of the type that the loader calls for each entry of this section.
    #[unsafe(link_section = ".init_array")]
    static BEFORE_MAIN: extern "C" fn() = lessen;
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod machine {
    pub fn why_not() -> Option<&'static str> {
        Some("only Linux on x86-64 lets a program see a lesser processor")
    }

    pub fn found() -> [bool; 4] {
        [false; 4]
    }
}
