//! When a subnet's epochs run, and which of them reveals a timelocked commit of weights.
//!
//! Epochs are stateful since subtensor's dynamic-tempo migration: an epoch runs when it was asked for
//! (`PendingEpochAt`), when the last one is a tempo ago, or when no step ran for very long. Nothing
//! here is a substitute for asking the chain; it looks ahead from a state that the chain gave.

use super::ids::BlockNumber;

/// An epoch runs at the latest when this many blocks passed without a step.
const MAX_BLOCKS_WITHOUT_STEP: u64 = 50_400;
/// Blocks after the reveal epoch began for which the beacon's round is chosen, as the official
/// clients do: the round is then surely not public before the epoch began.
const REVEAL_MARGIN: u64 = 3;
/// Where a chain is too young to show its own pace.
const USUAL_MS_PER_BLOCK: u64 = 12_000;

/// What decides when a subnet's epochs run, as stored after one block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochState {
    /// The block.
    pub at: BlockNumber,
    /// Most blocks between epochs; no epoch ever runs when it is zero.
    pub tempo: u16,
    /// Epochs run so far.
    pub index: u64,
    /// Block of the last epoch.
    pub last_epoch: BlockNumber,
    /// Block at which an epoch was asked for; zero when none was.
    pub pending_at: BlockNumber,
    /// Blocks without a step.
    pub blocks_since_step: u64,
}

impl EpochState {
    /// Block of the next epoch; `None` when none ever runs.
    pub fn next(&self) -> Option<BlockNumber> {
        if self.tempo == 0 {
            return None;
        }
        let by_tempo = self.last_epoch.0 + u64::from(self.tempo);
        // Counted up once per block, after the check.
        let by_age = self.at.0 + 1 + (MAX_BLOCKS_WITHOUT_STEP + 1).saturating_sub(self.blocks_since_step);
        let by_request = if self.pending_at.0 > 0 { self.pending_at.0 } else { u64::MAX };
        Some(BlockNumber(by_tempo.min(by_age).min(by_request).max(self.at.0 + 1)))
    }

    /// The state after the next epoch.
    fn after_next(&self) -> Option<Self> {
        let at = self.next()?;
        Some(Self {
            at,
            index: self.index + 1,
            last_epoch: at,
            pending_at: BlockNumber(0),
            blocks_since_step: 0,
            ..*self
        })
    }

    /// Block at which a later epoch begins when nothing intervenes; `None` when none ever runs. An epoch
    /// that has begun gives the next block.
    pub fn begins(&self, epoch: u64) -> Option<BlockNumber> {
        if epoch <= self.index {
            return Some(BlockNumber(self.at.0 + 1));
        }
        // Every later epoch is one tempo (or the longest age) after the one before: the first one is
        // walked, the rest is counted. The official clients count an age anew from the epoch's own
        // block, so this does too.
        let next = self.after_next()?;
        let step = u64::from(self.tempo).min(MAX_BLOCKS_WITHOUT_STEP + 1);
        let rest = (epoch - next.index).saturating_mul(step);
        Some(BlockNumber(next.last_epoch.0.saturating_add(rest)))
    }

    /// What becomes of a commit that is included in the next block, when nothing intervenes: it is
    /// kept under the epoch that has run by then, and revealed once `reveal_period` more have begun.
    /// `None` when no epoch ever runs.
    pub fn forecast(&self, reveal_period: u64) -> Option<RevealForecast> {
        let mut state = *self;
        let due_at_inclusion = state.next()? == BlockNumber(self.at.0 + 1);
        if due_at_inclusion {
            state = state.after_next()?;
        }
        let epoch = state.index;
        let reveal_epoch = epoch.saturating_add(reveal_period);
        let begins_at =
            if reveal_period == 0 { BlockNumber(self.at.0 + 1) } else { state.begins(reveal_epoch)? };
        Some(RevealForecast { epoch, reveal_epoch, begins_at })
    }
}

/// When a commit is expected to be revealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RevealForecast {
    /// Epoch under which the commit is kept.
    pub epoch: u64,
    /// Epoch in which it is revealed.
    pub reveal_epoch: u64,
    /// Block at which that epoch begins.
    pub begins_at: BlockNumber,
}

impl RevealForecast {
    /// Unix time in seconds, rounded down, to whose round of the beacon the commit is sealed:
    /// three blocks after the reveal epoch's first one, counted from block `now`.
    pub fn seal_until(&self, now: &BlockTime) -> u64 {
        let blocks = self.begins_at.0.saturating_add(REVEAL_MARGIN).saturating_sub(now.at.0);
        now.unix_ms.saturating_add(blocks.saturating_mul(now.ms_per_block)) / 1000
    }
}

/// The chain's own clock at a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockTime {
    /// The block.
    pub at: BlockNumber,
    /// Its time, in Unix milliseconds.
    pub unix_ms: u64,
    /// Usual time between the blocks before it, in milliseconds.
    pub ms_per_block: u64,
}

impl BlockTime {
    /// From the times of a block and of earlier ones, newest first, each `blocks` before the one above
    /// it. The pace is the lower median of the spans between them: a chain that stood still for an hour
    /// has one long span, and a commit that was sealed by the mean would be opened too late.
    pub fn paced(at: BlockNumber, times_ms: &[u64], blocks: u64) -> Self {
        let mut paces: Vec<u64> =
            times_ms.windows(2).map(|pair| pair[0].saturating_sub(pair[1]) / blocks.max(1)).collect();
        paces.sort_unstable();
        let middle = paces.len().saturating_sub(1) / 2;
        let ms_per_block = paces.get(middle).copied().unwrap_or(USUAL_MS_PER_BLOCK);
        Self { at, unix_ms: times_ms.first().copied().unwrap_or_default(), ms_per_block }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Block by block, as the pallet does it.
    fn walked(mut state: EpochState, period: u64) -> RevealForecast {
        let step = |state: &mut EpochState| {
            let number = state.at.0 + 1;
            let due = (state.pending_at.0 > 0 && number >= state.pending_at.0)
                || state.blocks_since_step > MAX_BLOCKS_WITHOUT_STEP
                || number.saturating_sub(state.last_epoch.0) >= u64::from(state.tempo);
            state.at = BlockNumber(number);
            if due {
                state.index += 1;
                state.last_epoch = state.at;
                state.pending_at = BlockNumber(0);
                state.blocks_since_step = 0;
            } else {
                state.blocks_since_step += 1;
            }
        };
        step(&mut state);
        let epoch = state.index;
        while state.index < epoch + period {
            step(&mut state);
        }
        RevealForecast { epoch, reveal_epoch: epoch + period, begins_at: state.at }
    }

    proptest! {
        #[test]
        fn looking_ahead_is_walking_block_by_block(
            tempo in 1u16..400, age in 0u64..500, asked in prop::option::of(0u64..400), period in 0u64..4,
        ) {
            let at = BlockNumber(10_000);
            let state = EpochState {
                at,
                tempo,
                index: 7,
                last_epoch: BlockNumber(at.0 - age),
                pending_at: BlockNumber(asked.map_or(0, |ahead| at.0 - 100 + ahead)),
                blocks_since_step: age,
            };
            let walked = walked(state, period);
            prop_assert_eq!(state.forecast(period), Some(walked));
            // Seen from a block of before, an epoch that nothing brings forward begins where it does.
            let begins = state.begins(walked.reveal_epoch.max(state.index + 1));
            prop_assert!(period == 0 || begins == Some(walked.begins_at));
        }
    }

    #[test]
    fn a_chain_that_stood_still_keeps_its_usual_pace() {
        let pace = |times: &[u64]| BlockTime::paced(BlockNumber(50), times, 8).ms_per_block;
        let steady: Vec<u64> = (0..5).rev().map(|span| 1_000_000 + span * 96_000).collect();
        assert_eq!(pace(&steady), 12_000);
        let hour = 3_600_000;
        for newest in 1..5 {
            // The blocks above the standstill are an hour later.
            let stalled: Vec<u64> =
                steady.iter().enumerate().map(|(n, time)| time + if n < newest { hour } else { 0 }).collect();
            assert_eq!(pace(&stalled), 12_000, "a standstill in span {newest}");
        }
        assert_eq!(pace(&[5_000]), 12_000, "too young");
        assert_eq!(BlockTime::paced(BlockNumber(2), &[9_000, 5_000], 1).ms_per_block, 4_000);
    }

    #[test]
    fn a_very_long_tempo_is_cut_by_the_age_of_the_last_step() {
        let state = EpochState {
            at: BlockNumber(1_000_000),
            tempo: u16::MAX,
            index: 3,
            last_epoch: BlockNumber(999_990),
            pending_at: BlockNumber(0),
            blocks_since_step: 10,
        };
        assert_eq!(state.forecast(1), Some(walked(state, 1)));
        assert_eq!(EpochState { tempo: 0, ..state }.forecast(1), None);
    }

    /// What Bittensor's own client computes (`tests/golden/timelock/make.py`).
    #[test]
    fn the_official_client_names_the_same_rounds() {
        let golden = include_str!("../../../tests/golden/timelock/golden.json");
        let golden: serde_json::Value = serde_json::from_str(golden).expect("golden file");
        let rows = golden["reveal_rounds"].as_array().expect("rows");
        assert!(rows.len() > 60);
        for row in rows {
            let number = |name: &str| row[name].as_u64().expect(name);
            let at = BlockNumber(number("current_block"));
            let state = EpochState {
                at,
                tempo: number("tempo") as u16,
                index: number("subnet_epoch_index"),
                last_epoch: BlockNumber(number("last_epoch_block")),
                pending_at: BlockNumber(number("pending_epoch_at")),
                blocks_since_step: number("blocks_since_last_step"),
            };
            let forecast = state.forecast(number("subnet_reveal_period_epochs")).expect("epochs run");
            let ms_per_block = (row["block_time"].as_f64().expect("seconds") * 1000.0) as u64;
            let now = BlockTime { at, unix_ms: number("now_millis"), ms_per_block };
            assert_eq!(forecast.begins_at.0 + REVEAL_MARGIN - at.0, number("blocks"), "{row}");
            let round = (forecast.seal_until(&now) - 1_692_803_367) / 3;
            assert_eq!(round, number("round"), "{row}");
        }
    }

    #[test]
    fn the_seal_ends_three_blocks_into_the_reveal_epoch() {
        let forecast = RevealForecast { epoch: 7, reveal_epoch: 8, begins_at: BlockNumber(110) };
        let now = BlockTime { at: BlockNumber(100), unix_ms: 5_999, ms_per_block: 12_000 };
        assert_eq!(forecast.seal_until(&now), (5_999 + 13 * 12_000) / 1000);
        assert_eq!(forecast.seal_until(&BlockTime { at: BlockNumber(200), ..now }), 5, "never in the past");
    }
}
