//! Parts and manifests: the compiled configuration as Secrets in the namespaces of servers.
