//! Objects that the operator makes from what resources say, and keeps as it made them: the part that `workload` and `bundles`
//! share.
//!
//! ```text
//! rendered.rs  an object as it is to be: pure
//! keeper.rs    makes it so: asks the API server only where the object, or what it is to be, has changed since
//! ```

mod keeper;
mod rendered;

pub use self::{
    keeper::{KeepError, Keeper, Ownership},
    rendered::{OwnedObject, RenderError, Rendered, api_resource},
};
