//! A device that is lost, destroyed, wrong, or not there.

use std::sync::Arc;

use leoma_core::quality::{
    frame::Yuv420Clip,
    verdict::{JudgeInput, Measure, judge},
};
use leoma_gpu::{
    adapters::AdapterWish,
    caps::Tier,
    choose::{ScorerChoice, open_scorer},
    device::{DeviceOptions, Generation},
    error::DeviceError,
    port::{ScoreJob, Scorer, Verdict},
    shader::Kernel,
    wgpu_scorer::WgpuScorer,
};

use crate::{scenes::mix, stages::device};

/// Jobs of a small size with frames that move.
pub fn jobs(count: usize) -> Vec<ScoreJob> {
    let (width, height, frames) = (96usize, 64usize, 10usize);
    let mut rules = leoma_core::domain::rules::Rules::embedded().without_models();
    (rules.request.width, rules.request.height, rules.request.frames) = (96, 64, 10);
    let rules = Arc::new(rules);
    let clip = |seed: usize| {
        let size = Yuv420Clip::frame_bytes(width, height);
        let data = (0..size * frames).map(|i| {
            let (t, x, y) = (i / size, i % size % width, i % size / width);
            let wave = ((x + t * (1 + y / 20)) as f64 / 4.0).sin() + ((y + seed) as f64 / 3.0).cos();
            (wave * 50.0 + 120.0) as u8 ^ (mix(i as i64, seed as i64, 3) & 3) as u8
        });
        Arc::new(Yuv420Clip::from_planes(width, height, frames, data.collect()).expect("sizes agree"))
    };
    let reference = clip(0);
    (0..count)
        .map(|seed| ScoreJob {
            clip: clip(seed),
            first_frame: Arc::clone(&reference),
            reference: Some(Arc::clone(&reference)),
            prompt: "waves".into(),
            others: Arc::new([]),
            rules: Arc::clone(&rules),
            models: None,
        })
        .collect()
}

/// The verdict of the pure function.
pub fn pure(job: &ScoreJob) -> Verdict {
    judge(&JudgeInput {
        clip: &job.clip,
        first_frame: &job.first_frame,
        reference: job.reference.as_deref(),
        prompt: &job.prompt,
        rules: &job.rules,
        others: &[],
        models: None,
    })
    .expect("fits")
}

#[tokio::test]
async fn a_device_destroyed_under_a_clip_loses_no_ticket() {
    let scorer = WgpuScorer::open(DeviceOptions::of(AdapterWish::Any)).expect("an adapter");
    let jobs = jobs(4);
    // The third submission from here on falls into the first clip, whatever the pace.
    scorer.destroy_device_after(3);
    let tickets: Vec<_> = jobs.iter().map(|job| scorer.score(job.clone())).collect();
    let found = futures_join(tickets).await;
    for (job, found) in jobs.iter().zip(found) {
        assert_eq!(found.expect("scored after the rebuild"), pure(job));
    }
    let health = scorer.health();
    assert_eq!((health.device_failures, health.rebuilds, health.retried_clips), (1, 1, 1));
    assert!(health.submissions > 4 && health.longest_submission_us > 0 && health.buffer_bytes > 0);
}

/// Awaits all, in order, while all are under way.
async fn futures_join<F: Future + Send>(all: Vec<F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (future, value) in all.iter_mut().filter(|(_, value)| value.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *value = Some(ready);
            }
        }
        if all.iter().all(|(_, value)| value.is_some()) {
            return std::task::Poll::Ready(all.iter_mut().filter_map(|(_, value)| value.take()).collect());
        }
        std::task::Poll::Pending
    })
    .await
}

#[test]
fn webgpus_default_limits_are_enough() {
    let options = DeviceOptions { tier: Tier::Baseline, ..DeviceOptions::of(AdapterWish::Any) };
    let mut device = Generation::open(&options).expect("an adapter");
    assert_eq!((device.tier(), device.binding_bytes()), (Tier::Baseline, 128 << 20));
    let tested = leoma_gpu::selftest::of_device(&mut device).expect("runs");
    assert_eq!(tested.differing(), None, "{tested:#?}");
}

#[test]
fn a_destroyed_device_says_so_and_does_not_panic() {
    let mut device = device();
    let job = &jobs(1)[0];
    device.clip(&job.clip, 10).expect("runs");
    device.destroy();
    let lost = device.clip(&job.clip, 10).expect_err("the device is gone");
    assert!(matches!(lost, DeviceError::Lost(_)), "{lost}");
}

#[test]
fn a_kernel_with_other_answers_must_not_score() {
    // One weight of the Gaussian, the smallest rounding, one block size: each a mistake that a driver could make.
    let mistakes = [
        (Kernel::Ssim, "1792u, 3490u", "1792u, 3491u"),
        (Kernel::Downscale, "(sum + 2u) >> 2u", "(sum + 1u) >> 2u"),
        (Kernel::Sum, "select(0u, 1u, low < a.x)", "0u"),
    ];
    for (kernel, right, wrong) in mistakes {
        let source = kernel.source();
        assert!(source.contains(right), "{} still says {right}", kernel.name());
        let mut options = DeviceOptions::of(AdapterWish::Any);
        options.replaced.push((kernel, source.replacen(right, wrong, 1)));
        let refused = WgpuScorer::open(options).map(drop).expect_err("must not score");
        assert!(matches!(refused, DeviceError::WrongAnswers { .. }), "{}: {refused}", kernel.name());
    }
}

#[test]
fn a_kernel_that_does_not_compile_is_an_error_and_no_panic() {
    let mut options = DeviceOptions::of(AdapterWish::Any);
    options.replaced.push((Kernel::Detail, "fn main( {".to_owned()));
    let refused = Generation::open(&options).map(drop).expect_err("no pipeline");
    assert!(matches!(&refused, DeviceError::Fault(text) if text.contains("detail")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn choices_open_what_they_say() {
    let open = |choice: ScorerChoice| tokio::task::spawn_blocking(move || open_scorer(&choice, 0));
    let cpu = open(ScorerChoice::Cpu).await.expect("no panic").expect("opens");
    assert_eq!((cpu.scorer.adapter().backend.as_str(), cpu.why.as_str()), ("cpu", "asked for"));
    let gpu = open(ScorerChoice::Gpu(None)).await.expect("no panic").expect("an adapter");
    assert_ne!(gpu.scorer.adapter().backend, "cpu");
    let name = gpu.scorer.adapter().name;
    let named = open(ScorerChoice::Gpu(Some(name.to_uppercase()))).await.expect("no panic").expect("by name");
    assert_eq!(named.scorer.adapter(), gpu.scorer.adapter());
    let missing = open(ScorerChoice::Gpu(Some("Voodoo 2".to_owned()))).await.expect("no panic");
    let text = missing.map(drop).expect_err("no such card").to_string();
    assert!(text.contains("Voodoo 2") && text.contains(&name), "{text}");
    // A software adapter is never taken by itself.
    let auto = open(ScorerChoice::Auto).await.expect("no panic").expect("opens");
    let real = !name.contains("llvmpipe") && !name.contains("SwiftShader");
    assert_eq!(auto.scorer.adapter().backend != "cpu", real, "{}", auto.why);
    assert!(real || auto.why.contains(&name), "{}", auto.why);
}
