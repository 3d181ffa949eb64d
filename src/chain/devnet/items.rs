//! Names of the storage entries that the model reads or writes.

use std::fmt;

/// A storage entry, by pallet and name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// Pallet.
    pub pallet: &'static str,
    /// Storage entry.
    pub entry: &'static str,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.pallet, self.entry)
    }
}

macro_rules! items {
    ($($constant:ident = $pallet:literal . $entry:literal;)+) => {
        $(#[doc = concat!("`", $pallet, ".", $entry, "`")]
        pub const $constant: Item = Item { pallet: $pallet, entry: $entry };)+

        /// Every entry above, so that a test can hold them against the metadata.
        #[cfg(test)]
        pub const ALL: &[Item] = &[$($constant),+];
    };
}

items! {
    ACCOUNT = "System"."Account";
    LAST_RUNTIME_UPGRADE = "System"."LastRuntimeUpgrade";
    BLOCK_HASH = "System"."BlockHash";
    NUMBER = "System"."Number";
    PARENT_HASH = "System"."ParentHash";
    DIGEST = "System"."Digest";
    EVENTS = "System"."Events";
    TIMESTAMP_NOW = "Timestamp"."Now";

    NETWORKS_ADDED = "SubtensorModule"."NetworksAdded";
    TOTAL_NETWORKS = "SubtensorModule"."TotalNetworks";
    NETWORK_REGISTERED_AT = "SubtensorModule"."NetworkRegisteredAt";
    SUBNET_OWNER = "SubtensorModule"."SubnetOwner";
    SUBNET_OWNER_HOTKEY = "SubtensorModule"."SubnetOwnerHotkey";
    SUBTOKEN_ENABLED = "SubtensorModule"."SubtokenEnabled";
    MECHANISM_COUNT = "SubtensorModule"."MechanismCountCurrent";
    TOKEN_SYMBOL = "SubtensorModule"."TokenSymbol";
    SUBNETWORK_N = "SubtensorModule"."SubnetworkN";
    MAX_ALLOWED_UIDS = "SubtensorModule"."MaxAllowedUids";
    MAX_ALLOWED_VALIDATORS = "SubtensorModule"."MaxAllowedValidators";
    IMMUNITY_PERIOD = "SubtensorModule"."ImmunityPeriod";
    OWNER = "SubtensorModule"."Owner";
    TOTAL_HOTKEY_ALPHA = "SubtensorModule"."TotalHotkeyAlpha";
    STAKE_THRESHOLD = "SubtensorModule"."StakeThreshold";

    UIDS = "SubtensorModule"."Uids";
    KEYS = "SubtensorModule"."Keys";
    BLOCK_AT_REGISTRATION = "SubtensorModule"."BlockAtRegistration";
    ACTIVE = "SubtensorModule"."Active";
    VALIDATOR_PERMIT = "SubtensorModule"."ValidatorPermit";
    STAKE_WEIGHT = "SubtensorModule"."StakeWeight";
    LAST_UPDATE = "SubtensorModule"."LastUpdate";
    WEIGHTS = "SubtensorModule"."Weights";
    INCENTIVE = "SubtensorModule"."Incentive";
    DIVIDENDS = "SubtensorModule"."Dividends";
    CONSENSUS = "SubtensorModule"."Consensus";
    VALIDATOR_TRUST = "SubtensorModule"."ValidatorTrust";
    EMISSION = "SubtensorModule"."Emission";

    WEIGHTS_SET_RATE_LIMIT = "SubtensorModule"."WeightsSetRateLimit";
    MIN_ALLOWED_WEIGHTS = "SubtensorModule"."MinAllowedWeights";
    MAX_WEIGHTS_LIMIT = "SubtensorModule"."MaxWeightsLimit";
    WEIGHTS_VERSION_KEY = "SubtensorModule"."WeightsVersionKey";
    COMMIT_REVEAL_ENABLED = "SubtensorModule"."CommitRevealWeightsEnabled";
    REVEAL_PERIOD_EPOCHS = "SubtensorModule"."RevealPeriodEpochs";
    COMMIT_REVEAL_VERSION = "SubtensorModule"."CommitRevealWeightsVersion";

    TIMELOCKED_WEIGHT_COMMITS = "SubtensorModule"."TimelockedWeightCommits";

    TEMPO = "SubtensorModule"."Tempo";
    LAST_EPOCH_BLOCK = "SubtensorModule"."LastEpochBlock";
    PENDING_EPOCH_AT = "SubtensorModule"."PendingEpochAt";
    SUBNET_EPOCH_INDEX = "SubtensorModule"."SubnetEpochIndex";
    BLOCKS_SINCE_LAST_STEP = "SubtensorModule"."BlocksSinceLastStep";
    LAST_MECHANISM_STEP_BLOCK = "SubtensorModule"."LastMechansimStepBlock";

    COMMITMENT_OF = "Commitments"."CommitmentOf";
    REVEALED_COMMITMENTS = "Commitments"."RevealedCommitments";
    LAST_COMMITMENT = "Commitments"."LastCommitment";
    USED_SPACE_OF = "Commitments"."UsedSpaceOf";
    MAX_SPACE = "Commitments"."MaxSpace";
    TIMELOCKED_INDEX = "Commitments"."TimelockedIndex";
    LAST_BONDS_RESET = "Commitments"."LastBondsReset";

    BEACON_CONFIG = "Drand"."BeaconConfig";
    PULSES = "Drand"."Pulses";
    LAST_STORED_ROUND = "Drand"."LastStoredRound";
    OLDEST_STORED_ROUND = "Drand"."OldestStoredRound";
}
