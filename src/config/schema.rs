//! The schema: every setting once, with its meaning, type, bounds and default.
//!
//! The doc comments are also the comments of `config/validator.example.toml`; a test keeps that
//! file equal to what stands here. Nothing here can change a verdict: that is `rules.toml`'s.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    layers::Reader,
    value::{ChuteUrlTemplate, Endpoint, FileName, LogFilter, Password, ServiceUrl, Setting},
};
use crate::{config::Secret, domain::ids::NetUid, gpu::choose::ScorerChoice, telemetry::LogFormat};

/// One setting of the schema, for the example file and for suggestions.
pub(super) struct KeySpec {
    pub key: &'static str,
    pub name: &'static str,
    pub docs: &'static [&'static str],
    pub expected: fn() -> String,
    pub bounds: Option<(u64, u64)>,
    /// Shown in the example file where the default is unset.
    pub example: Option<&'static str>,
}

/// One section of the schema.
pub(super) struct SectionSpec {
    pub name: &'static str,
    pub docs: &'static [&'static str],
    pub keys: &'static [KeySpec],
}

/// A setting's value as shown: secrets redacted, `None` when unset.
pub(super) struct Shown<'a> {
    pub key: &'static str,
    pub value: Option<toml::Value>,
    pub secret: Option<&'a Secret>,
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

macro_rules! schema {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr
                $(, within $low:literal ..= $high:literal)?
                $(, example $example:literal)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, PartialEq, Debug)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $field: $type,)+
            }
        )+

        /// The validator's configuration: what an operator sets, none of which changes a verdict.
        #[derive(Clone, PartialEq, Debug)]
        pub struct Config {
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
        }

        impl Config {
            pub(super) fn read(reader: &mut Reader<'_>) -> Self {
                Self {$(
                    $section: $Section {$(
                        $field: reader.setting(
                            concat!(stringify!($section), ".", stringify!($field)),
                            optional!($(($low, $high))?),
                            || $default,
                        ),
                    )+},
                )+}
            }

            pub(super) fn shown(&self) -> Vec<Shown<'_>> {
                vec![$($(
                    Shown {
                        key: concat!(stringify!($section), ".", stringify!($field)),
                        value: self.$section.$field.shown(),
                        secret: self.$section.$field.secret(),
                    },
                )+)+]
            }
        }

        impl Default for Config {
            fn default() -> Self {
                Self {$( $section: $Section {$( $field: $default, )+}, )+}
            }
        }

        pub(super) const SECTIONS: &[SectionSpec] = &[$(
            SectionSpec {
                name: stringify!($section),
                docs: &[$($section_doc),+],
                keys: &[$(
                    KeySpec {
                        key: concat!(stringify!($section), ".", stringify!($field)),
                        name: stringify!($field),
                        docs: &[$($doc),+],
                        expected: <$type as Setting>::expected,
                        bounds: optional!($(($low, $high))?),
                        example: optional!($($example)?),
                    },
                )+],
            },
        )+];
    };
}

/// A default of the schema; a test reads every default, so a bad one cannot ship.
fn known<T: Setting>(text: &str) -> T {
    match T::from_text(text) {
        Ok(value) => value,
        Err(problem) => unreachable!("the schema's default `{text}`: {problem}"),
    }
}

schema! {
    /// The chain that the validator follows and pays on.
    chain: ChainConfig {
        /// WebSocket endpoints of nodes, tried in order. A path in an address is taken for an
        /// access key and never shown.
        endpoints: Vec<Endpoint> = vec![known("wss://entrypoint-finney.opentensor.ai:443")];
        /// The subnet.
        netuid: NetUid = NetUid(99), within 0..=65535;
        /// A call that the node does not answer within this time failed, in seconds.
        call_deadline_s: u64 = 30, within 1..=600;
        /// Without a new finalized block for this long the validator reconnects and says that it
        /// is not ready, in seconds.
        block_watchdog_s: u64 = 60, within 1..=3600;
        /// A submitted extrinsic that is not in a finalized block within this time is looked up on chain,
        /// in seconds.
        finalization_deadline_s: u64 = 240, within 1..=3600;
        /// File with the hotkey that signs, in place of one in a wallet. Without either the validator scores and
        /// publishes, but sets no weights.
        hotkey_file: Option<PathBuf> = None, example "/etc/leoma/hotkey";
    }
    /// The wallet with the hotkey that signs, as btcli keeps it: path/name/hotkeys/hotkey. No coldkey is ever read.
    wallet: WalletConfig {
        /// Folder of wallets; .bittensor/wallets in the home folder unless set.
        path: Option<PathBuf> = None, example "/home/leoma/.bittensor/wallets";
        /// Name of the wallet.
        name: Option<FileName> = None, example "validator";
        /// Name of the hotkey.
        hotkey: FileName = known("default");
        /// Password of an encrypted hotkey. Without it one is asked for on the terminal.
        password: Option<Password> = None, example "file:/etc/leoma/hotkey-password";
    }
    /// Services where models live and miners answer.
    services: ServicesConfig {
        /// Address of the Chutes API.
        chutes_api: ServiceUrl = known("https://api.chutes.ai");
        /// Address of one chute; {slug} is the name that Chutes resolved for it.
        chute_url_template: ChuteUrlTemplate = known("https://{slug}.chutes.ai");
        /// Address of the Hugging Face Hub.
        huggingface: ServiceUrl = known("https://huggingface.co");
        /// Key for Chutes. Without it only public chutes can be looked up.
        chutes_key: Option<Secret> = None, example "env:CHUTES_API_KEY";
        /// Token for the Hugging Face Hub. Without it the anonymous rate limit applies.
        huggingface_token: Option<Secret> = None, example "file:/etc/leoma/huggingface-token";
        /// A lookup that is not answered within this time, further attempts included, failed, in seconds.
        lookup_timeout_s: u64 = 20, within 1..=300;
        /// Lookups at the same time, at each of the two services.
        lookups_at_once: usize = 8, within 1..=64;
        /// Longest that a sleeping chute is waited for before a round, in seconds.
        warmup_s: u64 = 60, within 0..=600;
        /// Id of a chute of your own, kept awake, that takes a miner's request: when it fails as miners do, Chutes
        /// is at fault and not they. Without it only most miners failing alike say so.
        canary_chute: Option<String> = None, example "3fa85f64-5717-4562-b3fc-2c963f66afa6";
        /// Hosts, and all below them, that the Hugging Face Hub may send the reader of a file on to.
        huggingface_files: String = known("huggingface.co,hf.co");
    }
    /// Who may take part.
    miners: MinersConfig {
        /// File with hotkeys that are kept out: one on each line, comments after #. It is read again for every round.
        blacklist: Option<PathBuf> = None, example "/etc/leoma/blacklist";
    }
    /// The source clips.
    corpus: CorpusConfig {
        /// Folder that holds the clips, as a path or file:// address, or a bucket as s3://bucket/prefix.
        location: String = known("corpus");
        /// The manifest's path inside the location.
        manifest: String = known("corpus.toml");
        /// File with the secret of the published commitment, as `leoma corpus publish` makes it. With it the bundle of every
        /// ended round opens its clip.
        secret: Option<PathBuf> = None, example "/var/lib/leoma/corpus/corpus.secret";
        /// When the corpus has clips for fewer rounds than this, the validator says that it is not ready; a day has 72 rounds. At
        /// 0 only an exhausted corpus is a reason.
        min_rounds_left: u64 = 0, within 0..=20000;
    }
    /// The rules that decide verdicts. They are one file with one digest, compared with peers.
    rules: RulesConfig {
        /// Another rules file than the one built in.
        file: Option<PathBuf> = None, example "/etc/leoma/rules.toml";
        /// On Bittensor's main network rules without a text model are refused, because of a prompt only its words
        /// about the camera would count. This allows them.
        allow_without_text_model: bool = false;
    }
    /// The scorer.
    scorer: ScorerConfig {
        /// Where clips are scored: auto takes a real GPU where there is one, else the processor; gpu and
        /// gpu:NAME (a part of its name) insist on one. Every device gives the same scores.
        device: ScorerChoice = ScorerChoice::Auto;
        /// Folder of the embedding models that the rules name. Without it they are where `leoma models fetch` puts
        /// them: in LEOMA_CACHE or the user's cache folder.
        models: Option<PathBuf> = None, example "/var/lib/leoma/models";
    }
    /// Decoding of the miners' files, each in a child process.
    decode: DecodeConfig {
        /// Child processes at the same time.
        workers: usize = 2, within 1..=64;
    }
    /// Asking the miners.
    challenge: ChallengeConfig {
        /// Miners that are asked at the same time.
        concurrency: usize = 16, within 1..=256;
    }
    /// What the validator remembers.
    state: StateConfig {
        /// Folder of the journal; one validator per folder.
        dir: PathBuf = known("state");
    }
    /// Where ended rounds are published, signed by the hotkey. Without a hotkey none are.
    storage: StorageConfig {
        /// Whether rounds are published.
        publish: bool = true;
        /// Folder by path or file:// address, or s3://bucket/prefix.
        location: String = known("published"), example "s3://rounds/leoma";
        /// Address of an S3-compatible service; without it Amazon's of the region.
        s3_endpoint: Option<ServiceUrl> = None, example "https://ACCOUNT.r2.cloudflarestorage.com";
        /// Region of the bucket: auto for R2, decentralized for Hippius.
        s3_region: String = known("auto");
        /// Whether the bucket stands in the address's path rather than in its host name.
        s3_path_style: bool = true;
        /// Whether the service refuses to overwrite a file when asked to. Hippius does not: false there.
        s3_conditional_writes: bool = true;
        /// Name of the access key.
        s3_access_key_id: Option<Secret> = None, example "env:AWS_ACCESS_KEY_ID";
        /// Its secret.
        s3_secret_access_key: Option<Secret> = None, example "file:/etc/leoma/s3-secret";
        /// Most rounds that stay published; beyond, the oldest are removed.
        keep_rounds: u64 = 1000, within 1..=1000000;
        /// Most bytes that stay published; beyond, the oldest rounds are removed.
        keep_bytes: u64 = 107374182400, within 1048576..=1099511627776000;
        /// Most bytes that wait for their upload in state.dir; beyond, the oldest rounds are given up.
        outbox_bytes: u64 = 10737418240, within 1048576..=1099511627776000;
    }
    /// The operator's pages.
    web: WebConfig {
        /// Where they are served. They ask for no password: keep them on loopback or behind a
        /// proxy that does. Port 0 takes a free port.
        listen: SocketAddr = known("127.0.0.1:9099");
    }
    /// The log, on standard error.
    log: LogConfig {
        /// Shape of a line.
        format: LogFormat = LogFormat::Plain;
        /// Which events are logged, by level and module.
        filter: LogFilter = known("warn,leoma=info");
    }
    /// Paying the winner.
    weights: WeightsConfig {
        /// Whether weights are sent to the chain; needs a hotkey: chain.hotkey_file or wallet.name.
        submit: bool = true;
        /// Highest version key of the subnet that this validator is vouched for. Where the subnet asks
        /// for more, no weights are set until the operator upgrades or raises this.
        version_key: u64 = 0, within 0..=18446744073709551615;
    }
}
