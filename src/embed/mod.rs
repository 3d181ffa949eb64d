//! Embedding models (burn); filled by the embedding lane.
