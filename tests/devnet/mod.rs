//! The development chain as a client sees it: subxt over a real WebSocket on loopback.

mod client;
mod commit_reveal;
mod commitments;
mod epochs;
mod faults;
mod forks;
mod reading;
mod refusals;
mod restart;
mod rpc;
mod transactions;
mod upgrade;
