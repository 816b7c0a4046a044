//! Expiry notices, from the certificate to the webhook; and what is forgotten.
//!
//! | file | what |
//! | --- | --- |
//! | `scene.rs` | a server whose clock is turned by hand, and a webhook that writes down what it is told |
//! | `notices.rs` | which certificates are told of, and when |
//! | `webhook.rs` | what is told, and what happens when nobody listens |
//! | `post.rs` | the connection |
//! | `sweep.rs` | what ended is forgotten |

mod notices;
mod post;
mod scene;
mod sweep;
mod webhook;
