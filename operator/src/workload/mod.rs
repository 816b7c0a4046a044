//! The Kubernetes objects that run an EnrollmentServer.
