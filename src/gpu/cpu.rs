//! The CPU scorer: the twins themselves, on rayon's threads.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::port::{AdapterInfo, ScoreJob, Scorer, ScorerError, Verdict};
use crate::quality::verdict::{JudgeInput, judge};

/// Scores on the CPU.
pub struct CpuScorer {
    pool: Arc<rayon::ThreadPool>,
}

impl CpuScorer {
    /// A scorer with a thread for every core.
    pub fn new() -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new().thread_name(|n| format!("score-{n}")).build()?;
        Ok(Self { pool: Arc::new(pool) })
    }
}

#[async_trait]
impl Scorer for CpuScorer {
    async fn score(&self, job: ScoreJob) -> Result<Verdict, ScorerError> {
        let (reply, verdict) = oneshot::channel();
        self.pool.spawn(move || {
            let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                judge(&JudgeInput {
                    clip: &job.clip,
                    first_frame: &job.first_frame,
                    reference: job.reference.as_deref(),
                    prompt: &job.prompt,
                    rules: &job.rules,
                })
            }));
            let end = match judged {
                Ok(Ok(verdict)) => Ok(verdict),
                Ok(Err(shape)) => Err(ScorerError::Shape(shape.to_string())),
                Err(_) => Err(ScorerError::Device("the scoring thread panicked".into())),
            };
            reply.send(end).ok();
        });
        verdict.await.unwrap_or_else(|_| Err(ScorerError::Device("the scoring pool is gone".into())))
    }

    fn adapter(&self) -> AdapterInfo {
        AdapterInfo { name: format!("{} threads", self.pool.current_num_threads()), backend: "cpu".into() }
    }
}
