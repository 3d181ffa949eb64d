//! Failures of a GPU and of what is asked of it.

/// Why a GPU could not be opened or did not compute. Never the miner's fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeviceError {
    /// No adapter fits the choice.
    #[error("no GPU {wanted}; adapters here: {found}")]
    NoAdapter {
        /// What was asked for.
        wanted: String,
        /// Names of the adapters that exist.
        found: String,
    },
    /// The adapter is too small.
    #[error("{adapter} cannot run the kernels: it lacks {lacks}")]
    Unsuitable {
        /// The adapter.
        adapter: String,
        /// Limits below WebGPU's defaults.
        lacks: String,
    },
    /// The driver refused a device.
    #[error("{adapter} gives no device: {cause}")]
    Refused {
        /// The adapter.
        adapter: String,
        /// The driver's words.
        cause: String,
    },
    /// The device is gone: driver reset, unplugged, or destroyed.
    #[error("the GPU was lost: {0}")]
    Lost(String),
    /// The driver reported an error: out of memory, or a command that it refuses.
    #[error("the GPU reported an error: {0}")]
    Fault(String),
    /// Work that did not end in time.
    #[error("the GPU did not finish its work within {0} s")]
    Stuck(u64),
    /// Frames that do not fit the device's bindings.
    #[error("frames of {width}x{height} are too large for this GPU: {least} of them must fit {bytes} bytes")]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Frames that must fit at once.
        least: usize,
        /// Bytes of the largest binding.
        bytes: u64,
    },
    /// The system refuses a thread.
    #[error("cannot start the GPU's thread: {0}")]
    Thread(String),
    /// A kernel does not give its twin's answers on this adapter.
    #[error(
        "{adapter} computes {kernels} otherwise than the CPU twins: it must not score; update its driver, or choose --scorer cpu"
    )]
    WrongAnswers {
        /// The adapter.
        adapter: String,
        /// The kernels that differ.
        kernels: String,
    },
}
