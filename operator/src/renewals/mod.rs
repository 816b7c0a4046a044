//! Events of what servers renewed by themselves, on the methods by which the certificates were ordered.
//!
//! ```text
//! a server's rows ─► asked ─► of each minute some events, and one that counts the others ─► the server forgets the rows
//! ```
//!
//! Nothing is remembered here. A server gives the same rows again until it hears that they were told, and an event is named after
//! what it tells, so that it is there once however often it is written: by an operator that dies in between, or by the next one.
//!
//! | file | what |
//! | --- | --- |
//! | `plan.rs` | what is told: how many events, their names and notes |
//! | `controller.rs` | asks, writes, says what was told |

mod controller;
mod plan;
#[cfg(test)]
mod tests;

pub use self::controller::run;
