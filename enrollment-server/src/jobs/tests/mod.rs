//! Expiry notices, from the certificate to the webhook; what is forgotten, and what is written now and then.
//!
//! | file | what |
//! | --- | --- |
//! | `scene.rs` | a server whose clock is turned by hand, and a webhook that writes down what it is told |
//! | `notices.rs` | which certificates are told of, and when |
//! | `webhook.rs` | what is told, and what happens when nobody listens |
//! | `post.rs` | the connection |
//! | `sweep.rs` | what ended is forgotten |
//! | `usage.rs` | how credentials were used is written once |

mod notices;
mod post;
mod scene;
mod sweep;
mod usage;
mod webhook;
