//! Untrusted video files: decoded by a child process of this binary.
