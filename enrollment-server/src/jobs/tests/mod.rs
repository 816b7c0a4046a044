//! Expiry notices, from the certificate to the webhook.
