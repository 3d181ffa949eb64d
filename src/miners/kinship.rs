//! Which models are copies of others although their hashes differ: by the bytes of shared files, known with the look-ups,
//! and by slices of their tensors, which are fetched in the background a few models at a time.
//!
//! Slices are chosen by the hash of a block that came after the commitments which they are to judge, so that
//! nobody could leave just these places alone. A model is compared once, with all that are there then: neither can change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::domain::{commitment::Commitment, ids::BlockHash, outcome::Fault};

use super::{
    port::MinerServices,
    weights::{COPY_PERCENT, Comparison, WeightFile, WeightSample, shared_percent},
};

/// Models whose slices are fetched in one go: with some 30 requests each, far below Hugging Face's 3000 in five minutes.
pub const MODELS_AT_ONCE: usize = 48;
/// Models that are fetched at the same time.
const CONCURRENT: usize = 4;
/// Attempts at one model's slices before it is compared without.
const ATTEMPTS: u8 = 3;
/// Models and copies that are remembered; a subnet has 256 miners.
const MOST_REMEMBERED: usize = 2048;
/// Earlier models that a copy is remembered with: should the first leave, it is a copy of the next.
const MOST_ORIGINALS: usize = 8;

/// A revision of a repository.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ModelId {
    /// Repository, `user/name`.
    pub name: String,
    /// Full commit hash.
    pub revision: String,
}

impl ModelId {
    /// The model of a commitment.
    pub fn of(commitment: &Commitment) -> Self {
        Self { name: commitment.model_name.clone(), revision: commitment.model_revision.clone() }
    }
}

/// A copy that its slices show.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SliceCopy {
    /// The model that was there first.
    pub earlier: ModelId,
    /// Its copy.
    pub later: ModelId,
    /// Slices that are alike.
    pub alike: usize,
    /// Slices that both have.
    pub common: usize,
}

/// What was found so far, as it is kept over a restart.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KinRecord {
    /// Models whose slices were compared.
    pub compared: BTreeSet<ModelId>,
    /// Copies among them.
    pub copies: Vec<SliceCopy>,
}

/// One comparison of newcomers with all others, under one seed.
struct Pass {
    seed: BlockHash,
    newcomers: BTreeSet<ModelId>,
    /// `None` where a model has no slices to compare.
    samples: BTreeMap<ModelId, Option<WeightSample>>,
    failures: BTreeMap<ModelId, u8>,
}

#[derive(Default)]
struct Inner {
    record: KinRecord,
    pass: Option<Pass>,
}

/// Finds copies.
#[derive(Default)]
pub struct Kinship {
    inner: Mutex<Inner>,
    /// Held by whoever fetches.
    fetching: tokio::sync::Mutex<()>,
}

/// Percent of shared bytes of two models' files, where that makes one a copy.
pub fn shared_copy(one: &[WeightFile], other: &[WeightFile]) -> Option<u64> {
    Some(shared_percent(one, other)).filter(|percent| *percent >= COPY_PERCENT)
}

impl Kinship {
    /// Goes on with what was found before a restart.
    pub fn restored(record: KinRecord) -> Self {
        Self { inner: Mutex::new(Inner { record, pass: None }), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found so far.
    pub fn record(&self) -> KinRecord {
        self.lock().record.clone()
    }

    /// Fetches and compares some more: `models` are those that were found, earliest first, `seed` is the hash of a block
    /// after the last of their commitments. Returns at once where somebody else is at it.
    pub async fn pursue(&self, services: &dyn MinerServices, models: &[Commitment], seed: &BlockHash) {
        let Ok(_mine) = self.fetching.try_lock() else { return };
        let (wanted, seed) = self.wanted(models, seed);
        let fetched: Vec<_> = stream::iter(wanted)
            .map(|commitment| async move {
                let sample = services.weight_sample(&commitment, &seed).await;
                (ModelId::of(&commitment), sample)
            })
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let mut inner = self.lock();
        let Inner { record, pass: Some(pass) } = &mut *inner else { return };
        for (id, sample) in fetched {
            match sample {
                Ok(sample) => {
                    pass.samples.insert(id, sample);
                }
                Err(fault) => {
                    tracing::debug!(model = %id.name, "weight slices: {fault}");
                    let failures = pass.failures.entry(id.clone()).or_insert(0);
                    *failures += 1;
                    if *failures >= ATTEMPTS || fault.fault == Fault::Miner {
                        pass.samples.insert(id, None);
                    }
                }
            }
        }
        let ids: Vec<ModelId> = models.iter().map(ModelId::of).collect();
        if ids.iter().all(|id| pass.samples.contains_key(id)) {
            record.conclude(pass, &ids);
            inner.pass = None;
        }
    }

    /// The models whose slices are to be fetched next, and under which seed; begins a pass where there are newcomers.
    fn wanted(&self, models: &[Commitment], seed: &BlockHash) -> (Vec<Commitment>, BlockHash) {
        let mut inner = self.lock();
        let Inner { record, pass } = &mut *inner;
        let ids: BTreeSet<_> = models.iter().map(ModelId::of).collect();
        if let Some(pass) = pass {
            // Who came after the pass began could know its seed.
            pass.newcomers.retain(|id| ids.contains(id));
        } else {
            let newcomers: BTreeSet<_> = ids.difference(&record.compared).cloned().collect();
            if newcomers.is_empty() {
                return (Vec::new(), *seed);
            }
            let (samples, failures) = (BTreeMap::new(), BTreeMap::new());
            *pass = Some(Pass { seed: *seed, newcomers, samples, failures });
        }
        let Some(pass) = pass else { return (Vec::new(), *seed) };
        let mut wanted: BTreeMap<ModelId, &Commitment> = BTreeMap::new();
        for commitment in models {
            let id = ModelId::of(commitment);
            if wanted.len() < MODELS_AT_ONCE && !pass.samples.contains_key(&id) {
                wanted.entry(id).or_insert(commitment);
            }
        }
        (wanted.into_values().cloned().collect(), pass.seed)
    }

    /// Why a later commitment's model is a copy of an earlier one's, if its slices show that.
    pub fn slice_copy(&self, earlier: &Commitment, later: &Commitment) -> Option<SliceCopy> {
        let (earlier, later) = (ModelId::of(earlier), ModelId::of(later));
        let inner = self.lock();
        let found = inner.record.copies.iter().find(|copy| {
            let pair = (&copy.earlier, &copy.later);
            pair == (&earlier, &later) || pair == (&later, &earlier)
        });
        found.cloned()
    }
}

impl KinRecord {
    /// Compares every newcomer with every other model; `ids` are in the order of precedence.
    fn conclude(&mut self, pass: &Pass, ids: &[ModelId]) {
        let sample = |id: &ModelId| pass.samples.get(id)?.as_ref();
        for (place, later) in ids.iter().enumerate() {
            let mut originals = 0;
            for earlier in &ids[..place] {
                if originals == MOST_ORIGINALS {
                    break;
                }
                let new = pass.newcomers.contains(later) || pass.newcomers.contains(earlier);
                let samples = sample(earlier).zip(sample(later)).filter(|_| new && earlier != later);
                let seen = samples.map(|(earlier, later)| earlier.compare(later));
                if let Some(Comparison { alike, common, .. }) = seen.filter(Comparison::is_copy) {
                    tracing::info!(copy = %later.name, of = %earlier.name, "{alike} of {common} weight slices are alike");
                    let (earlier, later) = (earlier.clone(), later.clone());
                    originals += 1;
                    self.copies.push(SliceCopy { earlier, later, alike, common });
                }
            }
        }
        self.compared.extend(pass.newcomers.iter().cloned());
        // Who left the subnet is forgotten only where room is wanted.
        if self.compared.len() > MOST_REMEMBERED {
            self.compared.retain(|id| ids.contains(id));
        }
        if self.copies.len() > MOST_REMEMBERED {
            self.copies.retain(|copy| ids.contains(&copy.later) && ids.contains(&copy.earlier));
            self.copies.truncate(MOST_REMEMBERED);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::{
        domain::roster::Deployment,
        miners::{
            port::{GenerateRequest, GeneratedClip, ServiceFault},
            weights::TensorKind,
        },
        store::spool::Spool,
    };

    /// Models by a number: those of one hundred are copies of each other; number 13 cannot be read.
    #[derive(Default)]
    struct Hub(AtomicUsize);

    fn model(number: u32) -> Commitment {
        let [model_name, chute_id] = [format!("u/{number}"), "c".into()];
        Commitment { model_name, model_revision: "0".repeat(40), chute_id }
    }

    #[async_trait]
    impl MinerServices for Hub {
        async fn resolve(&self, _: &Commitment) -> Result<Deployment, ServiceFault> {
            unreachable!("slices only")
        }

        async fn generate(&self, _: GenerateRequest, _: &Spool) -> Result<GeneratedClip, ServiceFault> {
            unreachable!("slices only")
        }

        async fn weight_sample(
            &self,
            commitment: &Commitment,
            seed: &BlockHash,
        ) -> Result<Option<WeightSample>, ServiceFault> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let number: u8 = commitment.model_name[2..].parse().expect("a number");
            let (reason, detail) = ("hf_lookup_timeout".to_owned(), String::new());
            if number == 13 {
                return Err(ServiceFault { fault: Fault::Us, reason, detail, retry_after: None });
            }
            let slice = |index: u8| {
                let kind = TensorKind { name: index.to_string(), dtype: "I8".into(), shape: vec![2] };
                (kind, Bytes::from(vec![number / 100, index, seed.0[0]]))
            };
            Ok(Some(WeightSample { slices: (0..16).map(slice).collect() }))
        }
    }

    #[tokio::test]
    async fn newcomers_are_compared_once_with_all_that_are_there() {
        let (hub, kinship, seed) = (Hub::default(), Kinship::default(), BlockHash([1; 32]));
        let mut models: Vec<_> = [7, 101, 13, 200, 102].map(model).to_vec();
        for _ in 0..ATTEMPTS {
            assert!(kinship.record().compared.is_empty());
            kinship.pursue(&hub, &models, &seed).await;
        }
        assert_eq!(hub.0.load(Ordering::Relaxed), 4 + usize::from(ATTEMPTS));
        assert_eq!(kinship.record().compared.len(), 5);
        let copy = kinship.slice_copy(&model(101), &model(102)).expect("a copy");
        assert_eq!((copy.alike, copy.common), (16, 16));
        assert_eq!(kinship.record().copies.len(), 1);
        kinship.pursue(&hub, &models, &seed).await;
        assert_eq!(hub.0.load(Ordering::Relaxed), 7, "nobody new");
        models.push(model(201));
        let restored = Kinship::restored(kinship.record());
        restored.pursue(&hub, &models, &BlockHash([2; 32])).await;
        assert!(restored.slice_copy(&model(200), &model(201)).is_none(), "one cannot be read yet");
        restored.pursue(&hub, &models, &BlockHash([3; 32])).await;
        restored.pursue(&hub, &models, &BlockHash([3; 32])).await;
        assert!(restored.slice_copy(&model(200), &model(201)).is_some());
        assert_eq!(restored.record().copies.len(), 2);
    }

    #[tokio::test]
    async fn many_models_are_fetched_a_few_at_a_time_under_one_seed() {
        let (hub, kinship) = (Hub::default(), Kinship::default());
        let models: Vec<_> = (100..200).chain([0]).map(model).collect();
        for step in 1..=3_u8 {
            kinship.pursue(&hub, &models, &BlockHash([step; 32])).await;
            assert_eq!(hub.0.load(Ordering::Relaxed), (MODELS_AT_ONCE * usize::from(step)).min(101));
        }
        let expected: usize = (0..100).map(|before: usize| before.min(MOST_ORIGINALS)).sum();
        assert_eq!(kinship.record().copies.len(), expected, "all under the seed of the first step");
        assert!(kinship.slice_copy(&model(100), &model(0)).is_none());
    }

    #[test]
    fn nine_tenths_of_the_bytes_make_a_copy() {
        let file = |sha256: &str, size| WeightFile { name: "w".into(), sha256: sha256.into(), size };
        let own = [file("a", 90), file("b", 10)];
        assert_eq!(shared_copy(&own, &[file("a", 90), file("c", 10)]), Some(90));
        assert_eq!(shared_copy(&own, &[file("a", 90), file("c", 20)]), Some(90));
        assert_eq!(shared_copy(&own, &[file("b", 10), file("c", 90)]), None);
    }
}
