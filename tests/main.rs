//! Stories.

mod corpus;
