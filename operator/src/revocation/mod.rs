//! CertificateRevocations: revoke what a resource names.
