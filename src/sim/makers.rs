//! The stand-ins' chutes: each answers a request in its own way.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use leoma_film::{
    attacks::{Attack, Material, Needs, damage},
    transfer::TransferStyle,
};

use super::{
    encode::{EncodeOptions, IndexPlace, decode},
    roster::{Behaviour, COPY_PATIENCE, Enrolled},
    services::{ClipMaker, Sleep, StandInAnswer, StandInMiner},
    studio::{Room, Studio, StudioError},
};
use crate::{
    domain::score::Opponent,
    miners::protocol::GenerateBody,
    quality::{frame::Yuv420Clip, opponents::film},
};

/// Quality of what cheats and failures encode, x264's scale.
const PLAIN_CRF: u8 = 20;
/// Quality of what is encoded again.
const REENCODED_CRF: u8 = 26;
/// A seed slows a miner down by at most this share, so that two seeds give two clips.
const SEED_PACE: f32 = 0.02;

/// One stand-in at work.
pub struct Maker {
    label: &'static str,
    behaviour: Behaviour,
    studio: Arc<Studio>,
}

/// The miners as the service stand-ins serve them, all working in one studio.
pub fn stand_ins(miners: &[Enrolled], studio: &Arc<Studio>) -> Vec<StandInMiner> {
    let serve = |miner: &Enrolled| StandInMiner {
        chute_id: miner.commitment.chute_id.clone(),
        slug: miner.slug.clone(),
        repo: miner.commitment.model_name.clone(),
        revision: miner.commitment.model_revision.clone(),
        lfs: vec![("model.safetensors".to_owned(), miner.weights_sha256())],
        contents: Default::default(),
        sleep: if miner.persona.behaviour == Behaviour::Cold { Sleep::Deep } else { Sleep::Awake },
        behaviour: Arc::new(Maker {
            label: miner.persona.label,
            behaviour: miner.persona.behaviour,
            studio: studio.clone(),
        }),
    };
    miners.iter().map(serve).collect()
}

#[async_trait]
impl ClipMaker for Maker {
    async fn answer(&self, body: GenerateBody) -> StandInAnswer {
        match self.make(&body).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(miner = self.label, %error, "stand-in has no clip");
                let status = match error {
                    StudioError::Image(_) | StudioError::Unknown => 400,
                    _ => 500,
                };
                StandInAnswer::Status(status, error.to_string())
            }
        }
    }
}

impl Maker {
    async fn make(&self, body: &GenerateBody) -> Result<StandInAnswer, StudioError> {
        if self.behaviour == Behaviour::Hang {
            return Ok(StandInAnswer::Hang);
        }
        let Ok(png) = body.first_frame_png() else {
            return Ok(StandInAnswer::Status(400, "the image is not base64".to_owned()));
        };
        let room = self.studio.room(png).await?;
        let frames = body.num_frames as usize;
        let plain = EncodeOptions { fps: body.fps, crf: PLAIN_CRF, scale: None, index: IndexPlace::End };
        let still = room.first_frame.clone();
        let file = match self.behaviour {
            Behaviour::Transfer { style, crf, copied } => {
                let style = TransferStyle { pace: style.pace * seed_pace(body.seed), ..style };
                let file = self.transfer(&room, style, frames, EncodeOptions { crf, ..plain }).await?;
                if copied {
                    room.publish(file.clone());
                }
                file
            }
            Behaviour::Short { frames: few } => {
                let style = TransferStyle { pace: 1.0, softness: 0.0 };
                self.transfer(&room, style, few.min(body.num_frames) as usize, plain).await?
            }
            Behaviour::Attack { attack, variant } => {
                let needs = attack.needs(variant);
                let Some(from) = self.material(&room, (attack, needs), frames).await? else {
                    return Ok(StandInAnswer::Status(500, "nothing to copy".to_owned()));
                };
                let prompt = body.prompt.clone();
                let crf = if attack == Attack::Reencode { REENCODED_CRF } else { PLAIN_CRF };
                let make = move || {
                    let honest = from.as_deref().filter(|_| needs == Needs::Honest);
                    let real = from.as_deref().filter(|_| needs == Needs::Real);
                    let material =
                        Material { first_frame: &still, frames, prompt: &prompt, honest, other: None, real };
                    attack.film(variant, &material)
                };
                self.studio.try_produce(make, EncodeOptions { crf, ..plain }).await?
            }
            Behaviour::Copycat => match tokio::time::timeout(COPY_PATIENCE, room.published()).await {
                Ok(Some(file)) => file,
                _ => return Ok(StandInAnswer::Status(500, "nothing to copy".to_owned())),
            },
            Behaviour::WrongSize { width, height } => {
                let options = EncodeOptions { scale: Some((width, height)), ..plain };
                self.studio.produce(move || film(Opponent::Freeze, &still, frames, frames), options).await?
            }
            Behaviour::Corrupt => {
                let options = EncodeOptions { index: IndexPlace::Front, ..plain };
                let file = self
                    .studio
                    .produce(move || film(Opponent::Freeze, &still, frames, frames), options)
                    .await?;
                damage(&file).into()
            }
            Behaviour::Cold | Behaviour::Malformed => {
                self.studio.produce(move || film(Opponent::Parallax, &still, frames, frames), plain).await?
            }
            Behaviour::Hang => return Ok(StandInAnswer::Hang),
        };
        Ok(StandInAnswer::Clip(file))
    }

    /// The clip that an attack is made from: `Some(None)` when the still is enough, `None` when there is nothing to copy.
    async fn material(
        &self,
        room: &Room,
        (attack, needs): (Attack, Needs),
        frames: usize,
    ) -> Result<Option<Option<Arc<Yuv420Clip>>>, StudioError> {
        let clip = match needs {
            Needs::Still | Needs::Other => return Ok(Some(None)),
            Needs::Real => self.studio.real(room).await?,
            Needs::Honest if attack == Attack::Reencode => {
                let Ok(Some(file)) = tokio::time::timeout(COPY_PATIENCE, room.published()).await else {
                    return Ok(None);
                };
                let size = (room.first_frame.width(), room.first_frame.height());
                Arc::new(decode(&file, size, frames).await?)
            }
            Needs::Honest => self.studio.faithful(room, frames).await?,
        };
        Ok(Some(Some(clip)))
    }

    async fn transfer(
        &self,
        room: &Room,
        style: TransferStyle,
        frames: usize,
        options: EncodeOptions,
    ) -> Result<Bytes, StudioError> {
        let scene = self.studio.scene(room).await?;
        self.studio.produce(move || scene.render(style, frames), options).await
    }
}

/// Share of its pace that a miner keeps under a seed, `1 - SEED_PACE ..= 1`.
fn seed_pace(seed: u32) -> f32 {
    1.0 - SEED_PACE * (seed % 1024) as f32 / 1024.0
}

#[cfg(test)]
mod tests {
    use leoma_film::testing::{Texture, clip, psnr};

    use super::*;
    use crate::{
        corpus::{CorpusError, png},
        domain::{ids::Digest, plan::ClipSpec},
        miners::port::GenerateRequest,
        quality::frame::Yuv420Clip,
        sim::{door::DemoDoor, encode::tests::decode},
    };

    const SIZE: (usize, usize) = (192, 128);

    /// A door that knows one clip and counts how often it is opened.
    struct OneClip {
        image: Digest,
        real: Arc<Yuv420Clip>,
        opened: std::sync::atomic::AtomicUsize,
    }

    #[async_trait]
    impl DemoDoor for OneClip {
        async fn real_clip(&self, image: Digest) -> Result<Option<Arc<Yuv420Clip>>, CorpusError> {
            self.opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok((image == self.image).then(|| self.real.clone()))
        }
    }

    fn real() -> Yuv420Clip {
        let texture = Texture::new(31);
        clip((SIZE.0, SIZE.1, 30), |t, x, y| {
            texture.at(x - 1.2 * t as f32 * (y / 30.0).sin(), y + 0.4 * t as f32)
        })
    }

    struct Stage {
        studio: Arc<Studio>,
        door: Arc<OneClip>,
        png: Bytes,
    }

    fn stage() -> Stage {
        let real = real();
        let png = png::encode_first_frame(real.frame(0), SIZE.0, SIZE.1).expect("PNG");
        let door = Arc::new(OneClip { image: Digest::of(&png), real: Arc::new(real), opened: 0.into() });
        Stage { studio: Arc::new(Studio::new(door.clone())), door, png }
    }

    impl Stage {
        fn body(&self, seed: u32) -> GenerateBody {
            GenerateBody::new(&GenerateRequest {
                slug: "x".to_owned(),
                prompt: "waves".to_owned(),
                first_frame_png: self.png.clone(),
                spec: ClipSpec { frames: 30, width: SIZE.0 as u32, height: SIZE.1 as u32, fps: 16 },
                seed,
                timeout: std::time::Duration::from_secs(60),
            })
        }

        fn maker(&self, label: &str) -> Arc<dyn ClipMaker> {
            let miners = Enrolled::all(1);
            let place = miners.iter().position(|m| m.persona.label == label).expect("label");
            stand_ins(&miners, &self.studio).remove(place).behaviour
        }

        async fn file(&self, label: &str, seed: u32) -> Bytes {
            match self.maker(label).answer(self.body(seed)).await {
                StandInAnswer::Clip(file) => file,
                other => panic!("{label}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn the_honest_differ_in_quality_and_the_copycat_hands_in_the_best_ones_file() {
        let stage = stage();
        let (sharp, copy) = tokio::join!(stage.file("honest-sharp", 0), stage.file("copycat", 5));
        assert_eq!(sharp, copy);
        let (calm, soft) = tokio::join!(stage.file("honest-lively", 1), stage.file("honest-soft", 2));
        assert!(sharp.len() > calm.len() && calm.len() > soft.len());
        assert_eq!(stage.door.opened.load(std::sync::atomic::Ordering::Relaxed), 1, "the work is shared");
        let (made, real) = (decode(&sharp, SIZE).expect("decodes"), real());
        assert_eq!(made.len(), 30);
        assert!(psnr(made.frame(0).y, real.frame(0).y) > 36.0, "it begins with the given frame");
        let (moved, frozen) =
            (psnr(made.frame(12).y, real.frame(12).y), psnr(real.frame(0).y, real.frame(12).y));
        assert!(moved > frozen + 4.0, "{moved:.1} dB against {frozen:.1} dB of a freeze");
    }

    #[tokio::test]
    async fn a_seed_gives_its_own_clip_and_the_same_one_again() {
        let stage = stage();
        let first = stage.file("honest-sharp", 1).await;
        assert_eq!(first, stage.file("honest-sharp", 1).await);
        assert_ne!(first, stage.file("honest-sharp", 900).await);
    }

    #[tokio::test]
    async fn cheats_and_failures_are_what_they_say() {
        let stage = stage();
        let frozen = decode(&stage.file("freeze", 1).await, SIZE).expect("decodes");
        assert!(frozen.len() == 30 && psnr(frozen.frame(29).y, frozen.frame(1).y) > 45.0);
        let sliding = decode(&stage.file("parallax", 1).await, SIZE).expect("decodes");
        assert!(sliding.len() == 30 && psnr(sliding.frame(29).y, sliding.frame(1).y) < 30.0);
        assert_eq!(decode(&stage.file("too-short", 1).await, SIZE).expect("decodes").len(), 24);
        assert_eq!(decode(&stage.file("wrong-size", 1).await, (640, 368)).expect("decodes").len(), 30);
        decode(&stage.file("corrupt", 1).await, SIZE).expect_err("must not decode");
        let hanging = stage.maker("hanging").answer(stage.body(1)).await;
        assert!(matches!(hanging, StandInAnswer::Hang));
    }

    #[tokio::test]
    async fn attacks_are_made_from_what_they_need() {
        let stage = stage();
        let attack = |attack: Attack| {
            let behaviour = Behaviour::Attack { attack, variant: 0 };
            let maker = Maker { label: attack.name(), behaviour, studio: stage.studio.clone() };
            let body = stage.body(3);
            async move {
                match maker.answer(body).await {
                    StandInAnswer::Clip(file) => decode(&file, SIZE).expect("decodes"),
                    other => panic!("{attack:?}: {other:?}"),
                }
            }
        };
        let (sharp, again) = tokio::join!(stage.file("honest-sharp", 0), attack(Attack::Reencode));
        let sharp = decode(&sharp, SIZE).expect("decodes");
        let alike = psnr(again.frame(20).y, sharp.frame(20).y);
        assert!(again != sharp && alike > 32.0, "another file of the same pictures: {alike:.1} dB");
        let (copy, real) = (attack(Attack::SourceCopy).await, real());
        assert!(psnr(copy.frame(20).y, real.frame(20).y) > 36.0, "the real clip itself");
        let (panned, written) = (attack(Attack::Pan).await, attack(Attack::TextOverlay).await);
        assert!(psnr(panned.frame(20).y, panned.frame(0).y) < 30.0);
        assert!(psnr(written.frame(0).y, real.frame(0).y) < 30.0);
        assert_eq!([again.len(), copy.len(), panned.len(), written.len()], [30; 4]);
        // One clip behind the door serves all that need it.
        assert!(stage.door.opened.load(std::sync::atomic::Ordering::Relaxed) <= 2);
    }

    #[tokio::test]
    async fn an_image_of_no_clip_is_refused_and_a_still_needs_no_clip() {
        let stage = stage();
        let other = Texture::new(77);
        let other = clip((SIZE.0, SIZE.1, 1), |_, x, y| other.at(x, y));
        let png = png::encode_first_frame(other.frame(0), SIZE.0, SIZE.1).expect("PNG");
        let stage = Stage { png, ..stage };
        let refused = stage.maker("honest-sharp").answer(stage.body(1)).await;
        assert!(
            matches!(&refused, StandInAnswer::Status(400, text) if text.contains("no clip")),
            "{refused:?}"
        );
        stage.file("freeze", 1).await;
    }

    #[test]
    fn only_the_cold_chute_is_cold() {
        let miners = Enrolled::all(1);
        let stage = stage();
        for (served, miner) in stand_ins(&miners, &stage.studio).iter().zip(&miners) {
            assert_eq!(served.sleep == Sleep::Awake, miner.persona.label != "cold-chute");
        }
    }
}
