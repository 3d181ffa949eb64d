//! Events of the journal (placeholder).
