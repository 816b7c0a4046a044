//! CA bundles: the certificates that others are to trust, as ConfigMaps and ClusterTrustBundles.
