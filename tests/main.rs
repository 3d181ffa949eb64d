//! Stories: what an operator sees, through the real binary or a real socket.

mod chain;
mod miners;
mod sim;
mod surface;
//! Stories.

mod corpus;
//! Stories: what an operator or a client can see, through real sockets and the real binary.

mod chain;
mod devnet;
mod decode;
