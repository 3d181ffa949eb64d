//! The journal and the state folder.
