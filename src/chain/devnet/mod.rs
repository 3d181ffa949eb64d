//! An embedded development chain: a model of subtensor's pallets behind real metadata and RPC.
