//! Tests of issuing for the cluster: what is decided, and that it is done once, in order and within bounds.

mod controller;
mod decide;
mod scene;
mod signing_requests;

pub(crate) use self::scene::context;
