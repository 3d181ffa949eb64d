//! Why a file gave no frames, and who is to blame.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{outcome::Fault, score::GateId};

/// Whose file a job decodes: it decides who answers for a file that breaks the decoder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecodeJob {
    /// A miner's clip.
    Clip,
    /// A source clip of our own corpus.
    Source,
}

impl DecodeJob {
    fn owner(self) -> Fault {
        match self {
            DecodeJob::Clip => Fault::Miner,
            DecodeJob::Source => Fault::Us,
        }
    }
}

impl std::fmt::Display for DecodeJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            DecodeJob::Clip => "clip",
            DecodeJob::Source => "source",
        })
    }
}

/// Why a file gave no frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A gate refused a miner's file.
    #[error("{gate} {}: {reason}", gate.catches())]
    Gate {
        /// Which gate.
        gate: GateId,
        /// What was seen and what is allowed.
        reason: String,
    },
    /// A file of our own corpus cannot be used.
    #[error("source clip cannot be used: {reason}: remove it from the corpus")]
    Source {
        /// What was seen and what is allowed.
        reason: String,
    },
    /// The file has more bytes than its job allows.
    #[error("{job} file has {bytes} bytes, at most {limit} are decoded")]
    TooLarge {
        /// Whose file.
        job: DecodeJob,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The child was killed because it did not finish in time.
    #[error("decoding a {job} did not end within {limit:?}: the worker was killed")]
    Timeout {
        /// Whose file.
        job: DecodeJob,
        /// The wall-clock limit.
        limit: Duration,
    },
    /// The child was ended by a signal or an exit code of its own while decoding.
    #[error("decode worker died on a {job} ({}): {stderr}", death(*signal, *code))]
    WorkerDied {
        /// Whose file.
        job: DecodeJob,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Its exit code.
        code: Option<i32>,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// The child could not be started, or did not keep to the protocol.
    #[error("decode worker failed: {detail}")]
    Worker {
        /// What failed.
        detail: String,
    },
    /// The caller asked for something that no file can give.
    #[error("decode request is not valid: {detail}")]
    Request {
        /// What is wrong and what would be right.
        detail: String,
    },
}

fn death(signal: Option<i32>, code: Option<i32>) -> String {
    match (signal, code) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "no status".to_owned(),
    }
}

/// Signals that a process brings upon itself by what it reads: a crash, an abort (also the end of
/// a refused allocation) or the CPU limit. SIGKILL and SIGTERM come from outside: the operator or
/// the kernel's memory killer.
const OWN_SIGNALS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGXCPU, libc::SIGSYS];

impl DecodeError {
    /// Who is to blame.
    pub fn fault(&self) -> Fault {
        match self {
            DecodeError::Gate { .. } => Fault::Miner,
            DecodeError::TooLarge { job, .. } | DecodeError::Timeout { job, .. } => job.owner(),
            DecodeError::WorkerDied { job, signal: Some(signal), .. } if OWN_SIGNALS.contains(signal) => {
                job.owner()
            }
            DecodeError::WorkerDied { .. }
            | DecodeError::Source { .. }
            | DecodeError::Worker { .. }
            | DecodeError::Request { .. } => Fault::Us,
        }
    }

    /// The gate that rejects the miner's clip for this error; `None` where the miner is not to
    /// blame. A file that is too large, too slow or kills the worker falls to G13.
    pub fn gate(&self) -> Option<(GateId, String)> {
        match self {
            DecodeError::Gate { gate, reason } => Some((*gate, reason.clone())),
            other if other.fault() == Fault::Miner => Some((GateId::G13, other.to_string())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died(job: DecodeJob, signal: Option<i32>, code: Option<i32>) -> DecodeError {
        DecodeError::WorkerDied { job, signal, code, stderr: String::new() }
    }

    #[test]
    fn a_crash_on_a_miners_file_is_the_miners_and_falls_to_g13() {
        let crash = died(DecodeJob::Clip, Some(libc::SIGSEGV), None);
        assert_eq!(crash.fault(), Fault::Miner);
        assert_eq!(crash.gate().map(|(gate, _)| gate), Some(GateId::G13));
    }

    #[test]
    fn a_kill_from_outside_a_panic_and_our_own_source_are_ours() {
        for error in [
            died(DecodeJob::Clip, Some(libc::SIGKILL), None),
            died(DecodeJob::Clip, None, Some(101)),
            died(DecodeJob::Source, Some(libc::SIGSEGV), None),
            DecodeError::Timeout { job: DecodeJob::Source, limit: Duration::from_secs(1) },
            DecodeError::Worker { detail: "spawn".to_owned() },
        ] {
            assert_eq!(error.fault(), Fault::Us, "{error}");
            assert_eq!(error.gate(), None, "{error}");
        }
    }

    #[test]
    fn a_slow_or_large_clip_is_the_miners() {
        let slow = DecodeError::Timeout { job: DecodeJob::Clip, limit: Duration::from_secs(1) };
        let large = DecodeError::TooLarge { job: DecodeJob::Clip, bytes: 2, limit: 1 };
        assert_eq!((slow.fault(), large.fault()), (Fault::Miner, Fault::Miner));
    }
}
