//! The router on the store in memory: what each operation answers, and a table of refusals for each.
//!
//! | file | what |
//! | --- | --- |
//! | `scene.rs` | a server with one method, and what is sent to it |
//! | `strangers.rs` | authorities elsewhere, and the certificates that devices come with |
//! | `enroll.rs`, `reenroll.rs`, `server_keygen.rs`, `information.rs` | the operations |
//! | `bootstrap.rs` | who is let in: passwords, client certificates, both |
//! | `multipart.rs`, `delivery.rs` | a reader of the answer to serverkeygen, and openssl's verdict on it |
//! | `bodies.rs` | any octets at all |

mod bodies;
mod bootstrap;
mod delivery;
mod enroll;
mod information;
mod multipart;
mod reenroll;
mod scene;
mod server_keygen;
mod strangers;
