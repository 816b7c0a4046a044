//! Tests of revoking: which certificate is meant, who may, what is said, and that it is asked for once.

mod controller;
mod decide;
mod roots;
mod scene;
