//! The cert-manager face: CertificateRequests for our issuers, and CertificateSigningRequests of Kubernetes.
