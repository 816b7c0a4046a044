//! One file per kind: a pure `decide` that computes the status, and a thin `apply`.
