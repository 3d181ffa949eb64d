//! The scorer where there is no GPU: the integer twins on this machine's cores.
//!
//! One owned thread takes one clip at a time and runs its frames in parallel on a rayon pool; the async
//! side waits on a oneshot. A panic while scoring is contained in that clip.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use super::{
    port::{AdapterInfo, ScoreJob, Scorer, ScorerError, Verdict},
    prepared::{LastTask, judge_input},
};
use crate::quality::{
    opponents::Known,
    verdict::{JudgeError, Twins, judge_by},
};

/// Jobs that may wait behind the one in work; senders beyond it wait themselves.
const QUEUE: usize = 4;

type Reply = oneshot::Sender<Result<Verdict, ScorerError>>;

/// The CPU scorer. Dropping it ends its thread after the clip in work.
pub struct CpuScorer {
    jobs: mpsc::Sender<(ScoreJob, Reply)>,
    threads: usize,
}

impl CpuScorer {
    /// Starts a scorer that uses `threads` threads, zero for one per core.
    ///
    /// # Errors
    /// `ScorerError::Device` when the system refuses threads.
    pub fn new(threads: usize) -> Result<Self, ScorerError> {
        let refused = |e: &dyn std::fmt::Display| ScorerError::Device(format!("cannot start threads: {e}"));
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("score-{index}"))
            .build()
            .map_err(|e| refused(&e))?;
        let threads = pool.current_num_threads();
        let (jobs, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("scorer".to_owned())
            .spawn(move || work(queue, &pool))
            .map_err(|e| refused(&e))?;
        Ok(Self { jobs, threads })
    }
}

fn work(mut queue: mpsc::Receiver<(ScoreJob, Reply)>, pool: &rayon::ThreadPool) {
    let mut last = LastTask::default();
    while let Some((job, reply)) = queue.blocking_recv() {
        if reply.is_closed() {
            continue;
        }
        let verdict = catch_unwind(AssertUnwindSafe(|| pool.install(|| score(&job, &mut last))))
            .unwrap_or_else(|panic| Err(ScorerError::Device(panic_text(panic.as_ref()))));
        // The asker may have given up meanwhile; then nobody needs the verdict.
        let _ = reply.send(verdict);
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("a kernel panicked: {}", text.unwrap_or("without a message"))
}

fn score(job: &ScoreJob, last: &mut LastTask) -> Result<Verdict, ScorerError> {
    let judged =
        last.of(job, &mut Twins).and_then(|task| judge_by(&judge_input(job), Known::task(task), &mut Twins));
    judged.map_err(|error| match error {
        JudgeError::Shape(shape) => ScorerError::Shape(shape.to_string()),
        JudgeError::Models(cause) => ScorerError::Models(cause),
        JudgeError::Measure(never) => match never {},
    })
}

#[async_trait]
impl Scorer for CpuScorer {
    async fn score(&self, job: ScoreJob) -> Result<Verdict, ScorerError> {
        let gone = || ScorerError::Device("the scorer's thread has ended".to_owned());
        let (reply, verdict) = oneshot::channel();
        self.jobs.send((job, reply)).await.map_err(|_| gone())?;
        verdict.await.map_err(|_| gone())?
    }

    fn adapter(&self) -> AdapterInfo {
        AdapterInfo { name: format!("CPU, {} threads", self.threads), backend: "cpu".to_owned() }
    }
}
