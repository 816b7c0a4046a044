//! Makes what is wanted and does not exist: keys and certificates of authorities, identities of servers, values of credentials.
