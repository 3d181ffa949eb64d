//! Commitments of miners and the beacon that opens them: names, narrow types, reads and the call.

use std::marker::PhantomData;

use parity_scale_codec::Encode;
use subxt::{
    dynamic::Value,
    ext::{
        scale_decode::{
            self, DecodeAsType, IntoVisitor, TypeResolver, Visitor,
            visitor::{TypeIdFor, types::Variant},
        },
        scale_encode::EncodeAsType,
    },
    storage::dynamic,
    transactions,
    utils::AccountId32,
};

use super::{
    names::{BySubnet, Item, subnet_epoch_index},
    reads::Pinned,
};
use crate::{
    chain::{
        port::{
            ChainError, CommitmentCall, CommitmentData, CommitmentField, CommitmentSpace, LiveCommitment,
        },
        timelock::Beacon,
    },
    domain::ids::{BlockNumber, Hotkey, NetUid, Uid},
};

/// Longest plain data that has a kind for its exact length (`Raw0` to `Raw128`); longer is `BigRaw`.
const LONGEST_RAW: usize = 128;
/// The kind of a field that the chain opens by a pulse.
const TIMELOCKED: &str = "TimelockEncrypted";
/// The kind of a field that the chain could not open.
const REVEAL_FAILED: &str = "TimelockRevealFailed";

/// Time of the block in Unix milliseconds.
pub(super) fn now() -> Item<(), u64> {
    dynamic("Timestamp", "Now")
}

/// Share of the miners' emission by uid, under the subnet's mechanism index.
pub(super) fn incentive() -> Item<BySubnet, Vec<u16>> {
    dynamic("SubtensorModule", "Incentive")
}

/// The beacon that the chain follows.
pub(super) fn beacon_config() -> Item<(), BeaconConfig> {
    dynamic("Drand", "BeaconConfig")
}

/// Bytes of commitments that a hotkey may use between two epochs.
pub(super) fn max_space() -> Item<(), u32> {
    dynamic("Commitments", "MaxSpace")
}

/// Bytes that a hotkey used in an epoch.
pub(super) fn used_space_of() -> Item<(u16, AccountId32), UsedSpace> {
    dynamic("Commitments", "UsedSpaceOf")
}

/// A hotkey's live commitment.
pub(super) fn commitment_of() -> Item<(u16, AccountId32), Registration> {
    dynamic("Commitments", "CommitmentOf")
}

/// What we read of a beacon's configuration.
#[derive(DecodeAsType, PartialEq, Eq, Debug)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(super) struct BeaconConfig {
    public_key: Vec<u8>,
    period: u32,
    genesis_time: u32,
}

/// Bytes used in an epoch.
#[derive(DecodeAsType, PartialEq, Eq, Debug)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(super) struct UsedSpace {
    last_epoch: u64,
    used_space: u64,
}

/// What we read of a live commitment.
#[derive(DecodeAsType, PartialEq, Eq, Debug)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
pub(super) struct Registration {
    block: u32,
    info: Info,
}

#[derive(DecodeAsType, PartialEq, Eq, Debug)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Info {
    fields: Vec<Field>,
}

/// A field, read by the name of its kind: there are more than a hundred kinds, one for each length.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Field(CommitmentField);

impl IntoVisitor for Field {
    type AnyVisitor<R: TypeResolver> = FieldVisitor<R>;
    fn into_visitor<R: TypeResolver>() -> FieldVisitor<R> {
        FieldVisitor(PhantomData)
    }
}

/// Reads a [`Field`].
pub(super) struct FieldVisitor<R>(PhantomData<R>);

impl<R: TypeResolver> Visitor for FieldVisitor<R> {
    type Value<'scale, 'resolver> = Field;
    type Error = scale_decode::Error;
    type TypeResolver = R;

    fn visit_variant<'scale, 'resolver>(
        self,
        variant: &mut Variant<'scale, 'resolver, R>,
        _type_id: TypeIdFor<Self>,
    ) -> Result<Field, scale_decode::Error> {
        let kind = variant.name();
        let fields = variant.fields();
        let other = || CommitmentField::Other(kind.to_owned());
        Ok(Field(match kind {
            TIMELOCKED | REVEAL_FAILED => {
                while fields.peek_name().is_some_and(|name| name != "reveal_round") {
                    fields.decode_item(scale_decode::visitor::IgnoreVisitor::new()).transpose()?;
                }
                match fields.decode_item(u64::into_visitor()).transpose()? {
                    Some(reveal_round) if kind == TIMELOCKED => CommitmentField::Timelocked { reveal_round },
                    Some(reveal_round) => CommitmentField::RevealFailed { reveal_round },
                    None => other(),
                }
            }
            _ if is_plain(kind) => {
                let bytes = fields.decode_item(<Vec<u8>>::into_visitor()).transpose()?;
                bytes.map_or_else(other, CommitmentField::Plain)
            }
            _ => other(),
        }))
    }
}

fn is_plain(kind: &str) -> bool {
    let length = kind.strip_prefix("Raw").map(str::parse::<u16>);
    kind == "BigRaw" || matches!(length, Some(Ok(_)))
}

/// Arguments of `set_commitment`, matched to the live call by name.
#[derive(EncodeAsType)]
#[encode_as_type(crate_path = "subxt::ext::scale_encode")]
pub(super) struct SetCommitment {
    netuid: u16,
    info: Value,
}

/// Extrinsic: replace the signer's live commitment.
pub(super) fn set_commitment(call: &CommitmentCall) -> transactions::DynamicPayload<SetCommitment> {
    let arguments = SetCommitment { netuid: call.netuid.0, info: info(field(&call.data)) };
    transactions::dynamic("Commitments", "set_commitment", arguments)
}

fn info(field: Value) -> Value {
    Value::named_composite([("fields", Value::unnamed_composite([field]))])
}

fn field(data: &CommitmentData) -> Value {
    match data {
        CommitmentData::Plain(bytes) if bytes.len() <= LONGEST_RAW => {
            Value::unnamed_variant(format!("Raw{}", bytes.len()), [Value::from_bytes(bytes)])
        }
        CommitmentData::Plain(bytes) => Value::unnamed_variant("BigRaw", [Value::from_bytes(bytes)]),
        CommitmentData::Timelocked { encrypted, reveal_round } => {
            sealed_field(TIMELOCKED, encrypted, *reveal_round)
        }
    }
}

fn sealed_field(kind: &str, encrypted: &[u8], reveal_round: u64) -> Value {
    let fields =
        [("encrypted", Value::from_bytes(encrypted)), ("reveal_round", Value::u128(reveal_round.into()))];
    Value::named_variant(kind, fields)
}

impl Pinned {
    /// Time of the block in Unix milliseconds.
    pub(super) async fn time(&self) -> Result<u64, ChainError> {
        self.value(now(), ()).await
    }

    /// The beacon that the chain follows. A chain that names none follows quicknet: the runtime's
    /// own default, and what every client seals to.
    pub(super) async fn beacon(&self) -> Result<Beacon, ChainError> {
        let Some(config) = self.optional(beacon_config(), ()).await? else { return Ok(Beacon::quicknet()) };
        if config.public_key.is_empty() {
            return Ok(Beacon::quicknet());
        }
        let unfit = |detail: String| ChainError::Metadata {
            what: "Drand.BeaconConfig".to_owned(),
            spec: self.block.spec_version(),
            detail,
        };
        if config.period == 0 {
            return Err(unfit("its period is zero".to_owned()));
        }
        let length = config.public_key.len();
        let public_key = config.public_key.try_into();
        Ok(Beacon {
            public_key: public_key
                .map_err(|_| unfit(format!("its public key has {length} bytes instead of 96")))?,
            genesis_time: config.genesis_time.into(),
            period: config.period.into(),
        })
    }

    /// A hotkey's live commitment.
    pub(super) async fn commitment_of(
        &self,
        netuid: NetUid,
        hotkey: Hotkey,
    ) -> Result<Option<LiveCommitment>, ChainError> {
        let found = self.optional(commitment_of(), (netuid.0, AccountId32(hotkey.0))).await?;
        Ok(found.map(|found| LiveCommitment {
            block: BlockNumber(found.block.into()),
            fields: found.info.fields.into_iter().map(|Field(field)| field).collect(),
        }))
    }

    /// Bytes of commitments used since the last epoch; what was used before no longer counts.
    pub(super) async fn commitment_space(
        &self,
        netuid: NetUid,
        hotkey: Hotkey,
    ) -> Result<CommitmentSpace, ChainError> {
        let (limit, epoch, used) = tokio::try_join!(
            self.value(max_space(), ()),
            self.value(subnet_epoch_index(), (netuid.0,)),
            self.optional(used_space_of(), (netuid.0, AccountId32(hotkey.0))),
        )?;
        let used = used.filter(|used| used.last_epoch == epoch).map_or(0, |used| used.used_space);
        Ok(CommitmentSpace { used, limit: limit.into() })
    }

    /// A neuron's share of the miners' emission, of 65535.
    pub(super) async fn incentive(&self, netuid: NetUid, uid: Uid) -> Result<u16, ChainError> {
        let shares = self.value(incentive(), (netuid.0,)).await?;
        Ok(shares.get(usize::from(uid.0)).copied().unwrap_or(0))
    }
}

/// A value as the chain may hold it, and what we read of it.
pub(super) struct Sample<V> {
    /// The whole value.
    pub(super) whole: Value,
    /// What we read.
    pub(super) part: V,
}

/// Samples for the start-up check.
pub(super) struct Samples {
    pub(super) beacon: Sample<BeaconConfig>,
    pub(super) space: Sample<UsedSpace>,
    pub(super) registrations: Vec<Sample<Registration>>,
}

/// Samples of all items of which only a part is read.
pub(super) fn samples() -> Samples {
    let wide = 1_u64 << 40;
    let part = UsedSpace { last_epoch: wide, used_space: wide + 1 };
    let whole = [("last_epoch", wide), ("used_space", wide + 1)];
    let whole = Value::named_composite(whole.map(|(name, number)| (name, Value::u128(number.into()))));
    let registration = |(whole, field): (Value, CommitmentField)| Sample {
        whole: Value::named_composite([
            ("deposit", Value::u128(wide.into())),
            ("block", Value::u128(70_000)),
            ("info", info(whole)),
        ]),
        part: Registration { block: 70_000, info: Info { fields: vec![Field(field)] } },
    };
    let plain = vec![5; 300];
    let fields = [
        (field(&CommitmentData::Plain(b"hello".to_vec())), CommitmentField::Plain(b"hello".to_vec())),
        (field(&CommitmentData::Plain(plain.clone())), CommitmentField::Plain(plain)),
        (sealed_field(TIMELOCKED, &[1; 300], wide), CommitmentField::Timelocked { reveal_round: wide }),
    ];
    Samples {
        beacon: beacon_sample(),
        space: Sample { whole, part },
        registrations: fields.into_iter().map(registration).collect(),
    }
}

fn beacon_sample() -> Sample<BeaconConfig> {
    let beacon = Beacon::quicknet();
    let part = BeaconConfig { public_key: beacon.public_key.to_vec(), period: 3, genesis_time: 70_000 };
    let bytes = Value::from_bytes([6; 32]);
    let whole = Value::named_composite([
        ("public_key", Value::unnamed_composite([Value::from_bytes(beacon.public_key)])),
        ("period", Value::u128(3)),
        ("genesis_time", Value::u128(70_000)),
        ("hash", bytes.clone()),
        ("group_hash", bytes.clone()),
        ("scheme_id", bytes.clone()),
        ("metadata", Value::named_composite([("beacon_id", bytes)])),
    ]);
    Sample { whole, part }
}

/// Commitments of every kind that we make, with the bytes that follow the kind's number in the call.
pub(super) fn sample_calls() -> Vec<(CommitmentData, Vec<u8>)> {
    let (long, round) = (vec![5; 300], 1_u64 << 40);
    let sealed = CommitmentData::Timelocked { encrypted: long.clone(), reveal_round: round };
    vec![
        (CommitmentData::Plain(b"hello".to_vec()), b"hello".to_vec()),
        (CommitmentData::Plain(long.clone()), long.encode()),
        (sealed, (long, round).encode()),
    ]
}

#[cfg(test)]
mod tests {
    use subxt::storage::Address as _;

    use super::*;
    use crate::chain::subtensor::golden::{METADATA_V15, client};

    /// A live commitment of these fields, written by the recorded metadata's type and read back.
    fn read(fields: impl IntoIterator<Item = Value>) -> Vec<CommitmentField> {
        let client = client(METADATA_V15);
        let metadata = client.metadata_ref();
        let address = commitment_of();
        let pallet = metadata.pallet_by_name(address.pallet_name()).expect("a pallet");
        let entry = pallet.storage().expect("storage").entry_by_name(address.entry_name()).expect("an entry");
        let whole = Value::named_composite([
            ("deposit", Value::u128(0)),
            ("block", Value::u128(7)),
            ("info", Value::named_composite([("fields", Value::unnamed_composite(fields))])),
        ]);
        let bytes = whole.encode_as_type(entry.value_ty(), metadata.types()).expect("encoded");
        let read = Registration::decode_as_type(&mut &bytes[..], entry.value_ty(), metadata.types());
        read.expect("decoded").info.fields.into_iter().map(|Field(field)| field).collect()
    }

    #[test]
    fn fields_are_read_by_the_names_of_their_kinds() {
        let sealed = |kind| sealed_field(kind, &[9; 40], 1 << 40);
        let plain = field(&CommitmentData::Plain(b"hello".to_vec()));
        let digest = Value::unnamed_variant("Sha256", [Value::from_bytes([1; 32])]);
        let read = read([sealed(TIMELOCKED), plain, sealed(REVEAL_FAILED), digest]);
        let expected = [
            CommitmentField::Timelocked { reveal_round: 1 << 40 },
            CommitmentField::Plain(b"hello".to_vec()),
            CommitmentField::RevealFailed { reveal_round: 1 << 40 },
            CommitmentField::Other("Sha256".to_owned()),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn plain_bytes_of_every_length_come_back() {
        for length in [1, 2, 127, 128, 129, 512] {
            let bytes = vec![3; length];
            let read = read([field(&CommitmentData::Plain(bytes.clone()))]);
            assert_eq!(read, [CommitmentField::Plain(bytes)], "{length}");
        }
    }

    #[test]
    fn the_call_has_the_bytes_of_the_runtime_s_source() {
        let netuid = NetUid(99);
        let bytes = |data| {
            let call = set_commitment(&CommitmentCall { netuid, data });
            client(METADATA_V15).transactions().call_data(&call).expect("call data")
        };
        let start = [18, 0, 99, 0, 1 << 2];
        let raw = bytes(CommitmentData::Plain(b"hello".to_vec()));
        assert_eq!(raw, [&start[..], &[1 + 5], b"hello"].concat());
        let big = bytes(CommitmentData::Plain(vec![4; 129]));
        assert_eq!(big, [&start[..], &[136], &vec![4_u8; 129].encode()].concat());
        let sealed = CommitmentData::Timelocked { encrypted: vec![4; 300], reveal_round: 1000 };
        let expected = [&start[..], &[134], &(vec![4_u8; 300], 1000_u64).encode()].concat();
        assert_eq!(bytes(sealed), expected);
    }
}
