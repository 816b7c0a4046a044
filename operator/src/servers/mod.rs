//! Talking to the replicas of servers: what they serve, and asking them to issue and revoke.
