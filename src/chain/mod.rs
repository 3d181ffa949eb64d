//! The chain: a port, the subxt client behind it, the hotkey file, and an embedded development chain.

pub mod commit_reveal;
pub mod devnet;
pub mod port;
pub mod subtensor;
pub mod timelock;
#[cfg(test)]
mod timelock_golden;
pub mod wallet;
