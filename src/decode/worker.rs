//! The child: reads one request, locks itself in, works, answers, ends.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use super::{
    clip,
    container::ContainerError,
    policy::Refusal,
    protocol::{Ending, Job, RecordWriter, read_request},
    sandbox, source,
};
use crate::domain::score::GateId;

/// Why a job stopped before its end.
#[derive(Debug)]
pub(super) enum JobError {
    /// The file is refused.
    Refused(Refusal),
    /// The parent cannot be written to.
    Pipe(io::Error),
}

impl From<Refusal> for JobError {
    fn from(refusal: Refusal) -> Self {
        JobError::Refused(refusal)
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> Self {
        JobError::Pipe(error)
    }
}

impl From<ContainerError> for Refusal {
    fn from(error: ContainerError) -> Self {
        Refusal::new(GateId::G13, error.0)
    }
}

impl From<ContainerError> for JobError {
    fn from(error: ContainerError) -> Self {
        JobError::Refused(error.into())
    }
}

/// Serves one request on stdin and stdout: the whole life of `leoma decode-worker`.
///
/// Exit code 0 whenever an ending was sent, also for a refused file; 2 where the parent could not
/// be understood or reached.
pub fn serve() -> ExitCode {
    sandbox::widen_stdout();
    let (request, file) = match read_request(io::stdin().lock()) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("decode-worker: no valid request on stdin: {error}");
            return ExitCode::from(2);
        }
    };
    let mut out = RecordWriter(io::stdout().lock());
    let locked = sandbox::enter(request.limits).and_then(|()| sandbox::leave_with_parent(io::stdin()));
    let ending = match locked {
        Ok(()) => perform(request.job, file, &mut out),
        Err(error) => Ok(Ending::Failed { detail: format!("cannot enter the sandbox: {error}") }),
    };
    match ending.and_then(|ending| out.ending(&ending)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("decode-worker: cannot answer: {error}");
            ExitCode::from(2)
        }
    }
}

/// Does one job; every record but the ending is written to `out`.
pub(super) fn perform(job: Job, file: Vec<u8>, out: &mut RecordWriter<impl Write>) -> io::Result<Ending> {
    let ended = match job {
        Job::Clip { spec } => clip::run(spec, file, out).map(|facts| Ending::Clip { facts }),
        Job::Scan => source::scan(file, out).map(|()| Ending::Source),
        Job::Extract { request } => source::extract(file, &request, out).map(|()| Ending::Source),
    };
    match ended {
        Ok(ending) => Ok(ending),
        Err(JobError::Refused(Refusal { gate, reason })) => {
            // The parent bounds the record; a reason quotes the file at most in part.
            Ok(Ending::Refused { gate, reason: reason.chars().take(400).collect() })
        }
        Err(JobError::Pipe(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::domain::plan::ClipSpec;

    /// Compare with `decode::speed` of the story tests; the file is named by `LEOMA_CLIP`.
    #[test]
    #[ignore = "a measurement"]
    fn full_size_clip_in_this_process() {
        let file = std::fs::read(std::env::var_os("LEOMA_CLIP").expect("a path")).expect("readable");
        let spec = ClipSpec { frames: 81, width: 832, height: 480, fps: 16 };
        let mut times = Vec::new();
        for _ in 0..9 {
            let mut out = RecordWriter(Vec::with_capacity(50_000_000));
            let start = Instant::now();
            let ending = perform(Job::Clip { spec }, file.clone(), &mut out).expect("memory");
            times.push(start.elapsed());
            assert!(matches!(ending, Ending::Clip { .. }), "{ending:?}");
        }
        times.sort();
        println!("in process: fastest {:?}, median {:?}", times[0], times[4]);
    }
}
