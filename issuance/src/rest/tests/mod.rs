//! | file | what |
//! | --- | --- |
//! | `transitions.rs` | which transitions are made, and which are refused |
//! | `control.rs` | proofs of control, and whom they are of |
//! | `keys.rs` | keys that the server made |
//! | `idempotency.rs` | which orders are the same |
//! | `completion.rs` | orders and the engine |

mod completion;
mod control;
mod idempotency;
mod keys;
mod transitions;
