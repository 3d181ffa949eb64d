//! Epochs, and an emission that is plain on purpose: **this is not Yuma consensus**.
//!
//! Epochs are due by counters in the state where the runtime has them (spec 461), and by block
//! number modulo tempo where it has not (spec 365).
//!
//! At an epoch the pot of the blocks since the last one is split in halves. One half goes to the
//! miners by the stake-weighted mean of the validators' latest weight rows (each row normalised to
//! one); the other to the validators whose rows counted, by stake. No bonds, no clipping, no trust,
//! no owner's cut, no recycling; emission is shown in `Emission`, not added to stake.

use super::neurons;
use crate::chain::devnet::{error::ModelError, items, storage::Storage};

/// Alpha that a block emits, in rao.
const EMISSION_PER_BLOCK: u128 = 1_000_000_000;
/// An epoch runs at the latest after this many blocks.
const MAX_BLOCKS_WITHOUT_STEP: u64 = 50_400;

/// Counters that decide when an epoch runs.
struct Schedule {
    tempo: u64,
    last_epoch: u64,
    pending: u64,
    since_last_step: u64,
}

impl Schedule {
    fn read(storage: &Storage<'_>, netuid: u16) -> Result<Self, ModelError> {
        Ok(Self {
            tempo: storage.value::<u16>(items::TEMPO, (netuid,))?.into(),
            last_epoch: storage.value(items::LAST_EPOCH_BLOCK, (netuid,))?,
            pending: storage.value(items::PENDING_EPOCH_AT, (netuid,))?,
            since_last_step: storage.value(items::BLOCKS_SINCE_LAST_STEP, (netuid,))?,
        })
    }

    fn due_at(&self, number: u64) -> bool {
        self.tempo > 0
            && ((self.pending > 0 && number >= self.pending)
                || self.since_last_step > MAX_BLOCKS_WITHOUT_STEP
                || number.saturating_sub(self.last_epoch) >= self.tempo)
    }

    /// First block after `head` at which an epoch is due; `None` when tempo is zero.
    fn next_after(&self, head: u64) -> Option<u64> {
        if self.tempo == 0 {
            return None;
        }
        let by_tempo = self.last_epoch + self.tempo;
        // `BlocksSinceLastStep` is counted up once per block after the check.
        let by_step = head + 1 + (MAX_BLOCKS_WITHOUT_STEP + 1).saturating_sub(self.since_last_step);
        let by_pending = if self.pending > 0 { self.pending } else { u64::MAX };
        Some(by_tempo.min(by_step).min(by_pending).max(head + 1))
    }
}

/// Blocks since the last epoch under the rule without counters: a subnet's epoch runs where
/// `(block + netuid + 1) % (tempo + 1)` equals tempo (`blocks_until_next_epoch` of the older
/// runtimes).
fn since_by_modulo(number: u64, netuid: u16, tempo: u16) -> u64 {
    (number + u64::from(netuid) + 2) % (u64::from(tempo) + 1)
}

/// Newest block up to `number` at which an epoch fell under the rule without counters.
pub fn last_by_modulo(number: u64, netuid: u16, tempo: u16) -> u64 {
    number.saturating_sub(since_by_modulo(number, netuid, tempo))
}

/// Epoch that a block belongs to under the rule without counters: it changes with the block after
/// an epoch.
fn index_by_modulo(number: u64, netuid: u16, tempo: u16) -> u64 {
    (number + u64::from(netuid) + 1) / (u64::from(tempo) + 1)
}

/// Epoch that a block belongs to, by the counter or by its number.
pub fn index(storage: &Storage<'_>, netuid: u16, number: u64) -> Result<u64, ModelError> {
    if storage.runtime().epochs_are_stateful() {
        return storage.value(items::SUBNET_EPOCH_INDEX, (netuid,));
    }
    Ok(index_by_modulo(number, netuid, storage.value(items::TEMPO, (netuid,))?))
}

fn due_by_modulo(number: u64, netuid: u16, tempo: u16) -> bool {
    tempo > 0 && since_by_modulo(number, netuid, tempo) == 0
}

/// The migration to stateful epochs: the counters go on from the last epoch before this block.
pub fn begin_counting(storage: &mut Storage<'_>, netuid: u16, number: u64) -> Result<(), ModelError> {
    let tempo: u16 = storage.value(items::TEMPO, (netuid,))?;
    let last = last_by_modulo(number - 1, netuid, tempo);
    write_counters(storage, netuid, last, index_by_modulo(number, netuid, tempo))
}

/// Writes the counters of stateful epochs: the last one's block and index, none pending.
pub fn write_counters(
    storage: &mut Storage<'_>,
    netuid: u16,
    last: u64,
    index: u64,
) -> Result<(), ModelError> {
    storage.put(items::LAST_EPOCH_BLOCK, (netuid,), last)?;
    storage.put(items::PENDING_EPOCH_AT, (netuid,), 0u64)?;
    storage.put(items::SUBNET_EPOCH_INDEX, (netuid,), index)
}

/// Answer of `SubnetInfoRuntimeApi.get_next_epoch_start_block` at block `head`.
pub fn next_epoch_start(storage: &Storage<'_>, netuid: u16, head: u64) -> Result<Option<u64>, ModelError> {
    if !storage.value::<bool>(items::NETWORKS_ADDED, (netuid,))? {
        return Ok(None);
    }
    Ok(Schedule::read(storage, netuid)?.next_after(head))
}

/// Epoch that a block belongs to: the one that begins with it, where an epoch is due that has not
/// run yet.
pub fn epoch_with_lookahead(storage: &Storage<'_>, netuid: u16, number: u64) -> Result<u64, ModelError> {
    let index = index(storage, netuid, number)?;
    if !storage.runtime().epochs_are_stateful() {
        return Ok(index);
    }
    Ok(index + u64::from(Schedule::read(storage, netuid)?.due_at(number)))
}

/// Runs the epoch if one is due at this block, else counts the block.
pub fn on_initialize(storage: &mut Storage<'_>, netuid: u16, number: u64) -> Result<(), ModelError> {
    if !storage.runtime().epochs_are_stateful() {
        return on_initialize_by_modulo(storage, netuid, number);
    }
    let schedule = Schedule::read(storage, netuid)?;
    if !schedule.due_at(number) {
        return storage.put(items::BLOCKS_SINCE_LAST_STEP, (netuid,), schedule.since_last_step + 1);
    }
    let index: u64 = storage.value(items::SUBNET_EPOCH_INDEX, (netuid,))?;
    emit(storage, netuid, number - schedule.last_epoch)?;
    write_counters(storage, netuid, number, index + 1)?;
    storage.put(items::BLOCKS_SINCE_LAST_STEP, (netuid,), 0u64)?;
    storage.put(items::LAST_MECHANISM_STEP_BLOCK, (netuid,), number)
}

fn on_initialize_by_modulo(storage: &mut Storage<'_>, netuid: u16, number: u64) -> Result<(), ModelError> {
    let since: u64 = storage.value(items::BLOCKS_SINCE_LAST_STEP, (netuid,))?;
    if !due_by_modulo(number, netuid, storage.value(items::TEMPO, (netuid,))?) {
        return storage.put(items::BLOCKS_SINCE_LAST_STEP, (netuid,), since + 1);
    }
    emit(storage, netuid, since + 1)?;
    storage.put(items::BLOCKS_SINCE_LAST_STEP, (netuid,), 0u64)?;
    storage.put(items::LAST_MECHANISM_STEP_BLOCK, (netuid,), number)
}

/// A validator's row that counts: stake and `(uid, value)` pairs with a sum above zero.
struct Row {
    uid: usize,
    stake: u64,
    weights: Vec<(usize, u64)>,
    sum: u64,
}

/// Rows of validators with permit and stake. Entries set before their target registered are
/// dropped (they meant the slot's former hotkey), and so is a weight for oneself.
fn rows(storage: &Storage<'_>, netuid: u16) -> Result<Vec<Row>, ModelError> {
    let permits: Vec<bool> = storage.value(items::VALIDATOR_PERMIT, (netuid,))?;
    let last_update: Vec<u64> = storage.value(items::LAST_UPDATE, (netuid,))?;
    let threshold: u64 = storage.value(items::STAKE_THRESHOLD, ())?;
    let stakes = neurons::stakes(storage, netuid)?;
    let registered: Vec<u64> = (0..stakes.len() as u16)
        .map(|uid| storage.value(items::BLOCK_AT_REGISTRATION, (netuid, uid)))
        .collect::<Result<_, _>>()?;
    let mut rows = Vec::new();
    for (uid, stake) in stakes.iter().copied().enumerate() {
        if !permits.get(uid).copied().unwrap_or(false) || stake == 0 || stake < threshold {
            continue;
        }
        let stored: Vec<(u16, u16)> = storage.value(items::WEIGHTS, (netuid, uid as u16))?;
        let updated = last_update.get(uid).copied().unwrap_or(0);
        let weights: Vec<(usize, u64)> = stored
            .into_iter()
            .map(|(target, value)| (usize::from(target), u64::from(value)))
            .filter(|(target, value)| {
                *value > 0 && *target != uid && registered.get(*target).is_some_and(|at| *at < updated)
            })
            .collect();
        let sum = weights.iter().map(|(_, value)| value).sum();
        if sum > 0 {
            rows.push(Row { uid, stake, weights, sum });
        }
    }
    Ok(rows)
}

fn emit(storage: &mut Storage<'_>, netuid: u16, blocks: u64) -> Result<(), ModelError> {
    let rows = rows(storage, netuid)?;
    let count = usize::from(storage.value::<u16>(items::SUBNETWORK_N, (netuid,))?);
    let mut incentive = vec![0u128; count];
    let mut dividend = vec![0u128; count];
    for row in &rows {
        dividend[row.uid] = row.stake.into();
        for (target, value) in &row.weights {
            // At most 2^64 * 2^16 per row and target: far from overflow.
            incentive[*target] += u128::from(row.stake) * u128::from(*value) / u128::from(row.sum);
        }
    }
    let half = u128::from(blocks) * EMISSION_PER_BLOCK / 2;
    let (miner_pay, validator_pay) = (shares(&incentive, half), shares(&dividend, half));
    let emission: Vec<u64> =
        miner_pay.iter().zip(&validator_pay).map(|(miner, validator)| (miner + validator) as u64).collect();
    let as_ratio = |amounts: &[u128]| -> Vec<u16> {
        shares(amounts, u16::MAX.into()).into_iter().map(|share| share as u16).collect()
    };
    storage.put(items::EMISSION, (netuid,), emission)?;
    storage.put(items::INCENTIVE, (netuid,), as_ratio(&incentive))?;
    storage.put(items::CONSENSUS, (netuid,), as_ratio(&incentive))?;
    storage.put(items::DIVIDENDS, (netuid,), as_ratio(&dividend))
}

/// Splits `pot` in proportion to the amounts, rounding down; nothing when all amounts are zero.
fn shares(amounts: &[u128], pot: u128) -> Vec<u128> {
    let total: u128 = amounts.iter().sum();
    if total == 0 {
        return vec![0; amounts.len()];
    }
    // Stakes are below 2^64 and pots below 2^64, so the product stays below 2^128 even when the
    // amounts are sums over 256 rows only if scaled down first.
    let shift = 128u32.saturating_sub(total.leading_zeros()).saturating_sub(63);
    let scaled_total = (total >> shift).max(1);
    amounts.iter().map(|amount| (amount >> shift) * pot / scaled_total).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_epoch_is_due_by_tempo_by_request_and_by_age() {
        let schedule = |tempo, last_epoch, pending, since_last_step| Schedule {
            tempo,
            last_epoch,
            pending,
            since_last_step,
        };
        assert!(!schedule(100, 1000, 0, 99).due_at(1099));
        assert!(schedule(100, 1000, 0, 99).due_at(1100));
        assert!(schedule(100, 1000, 1050, 49).due_at(1050));
        assert!(!schedule(100, 1000, 1050, 48).due_at(1049));
        assert!(schedule(60_000, 1000, 0, 50_401).due_at(51_402));
        assert!(!schedule(0, 0, 5, 60_000).due_at(1_000_000));
    }

    /// The table in the older runtimes' source: first epoch block by tempo and netuid.
    #[test]
    fn epochs_without_counters_fall_where_the_older_runtimes_had_them() {
        for (tempo, netuid, first) in [(1, 0, 0), (1, 1, 1), (2, 0, 1), (2, 1, 0), (100, 0, 99), (100, 1, 98)]
        {
            assert_eq!((0..200).find(|number| due_by_modulo(*number, netuid, tempo)), Some(first));
        }
        assert!((0..200).all(|number| !due_by_modulo(number, 99, 0)));
        assert_eq!(last_by_modulo(199, 0, 100), 99);
        assert_eq!(last_by_modulo(200, 0, 100), 200);
        assert_eq!((index_by_modulo(200, 0, 100), index_by_modulo(201, 0, 100)), (1, 2));
    }

    proptest! {
        /// The announced block is the first at which the epoch is due, when nothing intervenes.
        #[test]
        fn the_announced_block_is_the_first_due_one(
            tempo in 0u64..400, age in 0u64..400, pending in prop::option::of(0u64..400),
        ) {
            let head = 10_000u64;
            let schedule = Schedule {
                tempo,
                last_epoch: head - age,
                pending: pending.map_or(0, |ahead| head - 100 + ahead),
                since_last_step: age,
            };
            let first = (head + 1..head + 1000).find(|number| schedule.due_at(*number));
            prop_assert_eq!(schedule.next_after(head), first);
        }

        #[test]
        fn shares_never_exceed_the_pot(amounts in prop::collection::vec(any::<u64>(), 0..256), pot in any::<u64>()) {
            let amounts: Vec<u128> = amounts.into_iter().map(u128::from).collect();
            let shares = shares(&amounts, pot.into());
            prop_assert!(shares.iter().sum::<u128>() <= u128::from(pot));
        }
    }
}
