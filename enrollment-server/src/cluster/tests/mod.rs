//! Tests of the server in a cluster.
