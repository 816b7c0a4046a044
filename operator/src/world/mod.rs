//! What there is in the cluster, kept current by watches.
