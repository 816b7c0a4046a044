//! Requests against a server in memory.
