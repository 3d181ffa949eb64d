//! The development chain as a client sees it: subxt over a real WebSocket on loopback.

mod beacon;
mod client;
mod commit_reveal;
mod commitments;
mod epochs;
mod faults;
mod forks;
mod guards;
mod reading;
mod refusals;
mod restart;
mod rpc;
mod runtime_calls;
mod timelocked;
mod transactions;
mod upgrade;
