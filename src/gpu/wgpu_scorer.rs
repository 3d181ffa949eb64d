//! A GPU as a scorer: one owned thread opens the device, tests it, scores one clip at a time, and opens it anew when
//! it is lost.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread,
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::{
    cpu::panic_text,
    device::{Counters, DeviceOptions, Generation},
    error::DeviceError,
    port::{AdapterInfo, ScoreJob, Scorer, ScorerError, ScorerHealth, Verdict},
    prepared::{LastTask, judge_input},
    quality::{
        embeddings::ModelError,
        opponents::Known,
        verdict::{JudgeError, ShapeError, judge_by},
    },
    selftest::{self, SelfTest},
};

/// Jobs that may wait behind the one in work; senders beyond it wait themselves.
const QUEUE: usize = 4;

type Reply = oneshot::Sender<Result<Verdict, ScorerError>>;

/// A GPU that scores. Dropping it waits for the clip in work and closes the device, so that no driver's thread runs into
/// the end of the process.
pub struct WgpuScorer {
    /// Only absent while dropping.
    jobs: Option<mpsc::Sender<(ScoreJob, Reply)>>,
    /// Only absent while dropping.
    thread: Option<thread::JoinHandle<()>>,
    adapter: AdapterInfo,
    tested: SelfTest,
    counters: Arc<Counters>,
}

impl WgpuScorer {
    /// Opens a device on a thread of its own and runs the self-test; blocks until both are done.
    ///
    /// # Errors
    /// When no device can be opened, or a kernel does not give its twin's integers on it: then nothing is scored.
    pub fn open(options: DeviceOptions) -> Result<Self, DeviceError> {
        let counters = Arc::<Counters>::default();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (opened, outcome) = std::sync::mpsc::channel();
        let mut lane =
            Lane { options, counters: Arc::clone(&counters), device: None, last: LastTask::default() };
        let thread = thread::Builder::new()
            .name("gpu".to_owned())
            .spawn(move || {
                let outcome = lane.open();
                let usable = outcome.is_ok();
                if opened.send(outcome).is_ok() && usable {
                    lane.work(queue);
                }
            })
            .map_err(|e| DeviceError::Thread(e.to_string()))?;
        let gone = |_| DeviceError::Thread("it ended before the device was open".to_owned());
        let tested = outcome.recv().map_err(gone)??;
        let adapter = AdapterInfo { name: tested.adapter.clone(), backend: tested.backend.clone() };
        Ok(Self { jobs: Some(jobs), thread: Some(thread), adapter, tested, counters })
    }

    /// What the self-test at the start found.
    pub fn self_test(&self) -> &SelfTest {
        &self.tested
    }

    /// Drill: the device is destroyed before its `submissions`-th submission from now, as a driver reset would.
    pub fn destroy_device_after(&self, submissions: u64) {
        self.counters.destroy_in.store(submissions, Ordering::Relaxed);
    }
}

impl Drop for WgpuScorer {
    fn drop(&mut self) {
        // Without senders the thread ends.
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic outside of a clip has been printed; there is nothing left to save.
            let _ = thread.join();
        }
    }
}

/// What the device's thread owns.
struct Lane {
    options: DeviceOptions,
    counters: Arc<Counters>,
    device: Option<Generation>,
    last: LastTask,
}

/// Why an attempt gave no verdict.
enum Failed {
    Shape(ShapeError),
    /// The device is well, the networks are not.
    Models(ModelError),
    Device(String),
}

impl Lane {
    /// Opens and tests the device.
    fn open(&mut self) -> Result<SelfTest, DeviceError> {
        let mut device = Generation::open_counting(&self.options, Arc::clone(&self.counters))?;
        let tested = selftest::of_device(&mut device)?;
        if let Some(kernels) = tested.differing() {
            return Err(DeviceError::WrongAnswers { adapter: tested.adapter, kernels });
        }
        info!(adapter = %tested.adapter, driver = %tested.driver, tier = ?device.tier(), "GPU opened, its kernels agree with the twins");
        self.device = Some(device);
        Ok(tested)
    }

    fn work(&mut self, mut queue: mpsc::Receiver<(ScoreJob, Reply)>) {
        while let Some((job, reply)) = queue.blocking_recv() {
            if reply.is_closed() {
                continue;
            }
            // The asker may have given up meanwhile; then nobody needs the verdict.
            let _ = reply.send(self.score(&job));
        }
    }

    /// Scores a clip; when the device fails under it, once more on a device opened anew.
    fn score(&mut self, job: &ScoreJob) -> Result<Verdict, ScorerError> {
        let mut attempt = self.attempt(job);
        if let Err(Failed::Device(cause)) = &attempt {
            warn!(%cause, "the GPU failed while scoring: opening it anew, the clip is scored again");
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            attempt = self.attempt(job);
        }
        attempt.map_err(|failed| match failed {
            Failed::Shape(error) => ScorerError::Shape(error.to_string()),
            Failed::Models(cause) => ScorerError::Models(cause),
            Failed::Device(cause) => ScorerError::Device(cause),
        })
    }

    /// One attempt; a failed device and everything that hangs off it is dropped.
    fn attempt(&mut self, job: &ScoreJob) -> Result<Verdict, Failed> {
        if self.device.is_none() {
            self.open().map_err(|e| Failed::Device(e.to_string()))?;
            self.counters.rebuilds.fetch_add(1, Ordering::Relaxed);
        }
        let Some(mut device) = self.device.take() else {
            return Err(Failed::Device("no device is open".to_owned()));
        };
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&mut device, job, &mut self.last)));
        let failed = match judged {
            Ok(Ok(verdict)) => {
                self.device = Some(device);
                return Ok(verdict);
            }
            Ok(Err(JudgeError::Shape(error))) => {
                self.device = Some(device);
                return Err(Failed::Shape(error));
            }
            Ok(Err(JudgeError::Models(cause))) => {
                self.device = Some(device);
                return Err(Failed::Models(cause));
            }
            Ok(Err(JudgeError::Measure(error))) => error.to_string(),
            Err(panic) => panic_text(panic.as_ref()),
        };
        self.counters.losses.fetch_add(1, Ordering::Relaxed);
        Err(Failed::Device(failed))
    }
}

fn judge(
    device: &mut Generation,
    job: &ScoreJob,
    last: &mut LastTask,
) -> Result<Verdict, JudgeError<DeviceError>> {
    let task = last.of(job, device)?;
    judge_by(&judge_input(job), Known::task(task), device)
}

#[async_trait]
impl Scorer for WgpuScorer {
    async fn score(&self, job: ScoreJob) -> Result<Verdict, ScorerError> {
        let gone = || ScorerError::Device("the GPU's thread has ended".to_owned());
        let (reply, verdict) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send((job, reply)).await.map_err(|_| gone())?;
        verdict.await.map_err(|_| gone())?
    }

    fn adapter(&self) -> AdapterInfo {
        self.adapter.clone()
    }

    fn health(&self) -> ScorerHealth {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        ScorerHealth {
            device_failures: read(&self.counters.losses),
            rebuilds: read(&self.counters.rebuilds),
            retried_clips: read(&self.counters.retries),
            submissions: read(&self.counters.submissions),
            longest_submission_us: read(&self.counters.longest_us),
            buffer_bytes: read(&self.counters.buffer_bytes),
        }
    }
}
