//! Stories: what an operator or a client can see, through real sockets and the real binary.

mod bundle;
mod chain;
mod corpus;
mod decode;
mod devnet;
mod evaluate;
mod fuzz;
mod house;
mod miner;
mod miners;
mod models;
mod official;
mod run;
mod score;
mod sim;
mod soak;
mod storage;
mod surface;
