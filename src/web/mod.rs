//! Operator endpoints over HTTP.
