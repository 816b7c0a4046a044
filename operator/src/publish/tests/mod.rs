//! Publishing against the API in memory.

mod manifest;
mod parts;
mod scene;
