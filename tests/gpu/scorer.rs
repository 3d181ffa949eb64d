//! Scorers behind their trait.

use std::sync::Arc;

use leoma_core::quality::{
    opponents::{Known, Opponents, PreparedTask, TaskInput},
    verdict::{Twins, judge_measured},
};
use leoma_gpu::{
    adapters::AdapterWish,
    cpu::CpuScorer,
    device::DeviceOptions,
    judge_input,
    port::{ScoreJob, Scorer, ScorerError, Verdict},
    wgpu_scorer::WgpuScorer,
};

use crate::{scenes::*, stages::device};

fn job(clip: leoma_core::quality::frame::Yuv420Clip) -> ScoreJob {
    let reference = living(11, 1.0);
    ScoreJob {
        clip: Arc::new(clip),
        first_frame: Arc::new(frame(&reference, 0)),
        reference: Some(Arc::new(reference)),
        prompt: "waves".into(),
        others: Arc::new([]),
        rules: Arc::new(rules()),
        models: None,
    }
}

#[tokio::test]
async fn concurrent_jobs_get_the_verdicts_of_the_pure_function_on_every_device() {
    let cpu: Box<dyn Scorer> = Box::new(CpuScorer::new(2).expect("threads"));
    let gpu: Box<dyn Scorer> =
        Box::new(WgpuScorer::open(DeviceOptions::of(AdapterWish::Any)).expect("an adapter"));
    let honest = job(living(11, 0.8));
    let freeze = ScoreJob { clip: Arc::new(frames(&living(11, 1.0), vec![0; FRAMES])), ..honest.clone() };
    let mut without = honest.clone();
    without.reference = None;
    let task = PreparedTask::of(&task_of(&honest)).expect("fits");
    let of = |job: &ScoreJob| {
        let known = Known::task(job.reference.as_ref().map(|_| &task));
        judge_measured(&judge_input(job), known).expect("fits")
    };
    let wanted = [of(&honest), of(&freeze), of(&without)];
    let stands = |verdict: &Verdict| matches!(verdict, Verdict::Scored(card) if card.opponents.is_some());
    assert_eq!(
        wanted.each_ref().map(stands),
        [true, false, false],
        "a reading needs a reference and no gate"
    );
    for scorer in [cpu, gpu] {
        let (a, b, c) = tokio::join!(
            scorer.score(honest.clone()),
            scorer.score(freeze.clone()),
            scorer.score(without.clone())
        );
        assert_eq!([a, b, c].map(|found| found.expect("scored")), wanted);
    }
}

fn task_of(job: &ScoreJob) -> TaskInput<'_> {
    judge_input(job).task().expect("with a reference")
}

#[test]
fn opponents_are_measured_alike_on_the_device_and_by_the_twins() {
    let (mut device, job) = (device(), crate::device::jobs(1).remove(0));
    let twins = Opponents::measure(&job.first_frame, &job.rules, &mut Twins);
    let found = Opponents::measure(&job.first_frame, &job.rules, &mut device).expect("measured");
    assert_eq!(twins, Ok(found));
}

#[tokio::test]
async fn a_first_frame_of_another_size_is_our_fault_and_the_scorer_lives_on() {
    let scorer = CpuScorer::new(1).expect("threads");
    let mut broken = job(living(11, 1.0));
    broken.first_frame = Arc::new(
        leoma_core::quality::frame::Yuv420Clip::from_planes(32, 32, 1, vec![0; 1536]).expect("sizes agree"),
    );
    assert!(matches!(scorer.score(broken.clone()).await, Err(ScorerError::Shape(_))));
    broken.first_frame = job(living(11, 1.0)).first_frame;
    assert!(matches!(scorer.score(broken).await, Ok(Verdict::Scored(card)) if card.passed));
}
