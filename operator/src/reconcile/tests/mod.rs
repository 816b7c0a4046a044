//! Whole passes, from the resources of `examples/cluster/` to what is in the API server, with servers in memory.

mod kept;
mod passes;
mod running;
mod scene;
