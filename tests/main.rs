//! Stories: what an operator sees, through the real binary or a real socket.

mod chain;
mod miners;
mod surface;
