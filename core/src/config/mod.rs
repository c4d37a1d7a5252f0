//! The document: what people write, from file and environment, parsed into types that cannot be wrong.
//! Start at [`Document`]; it compiles into a [`crate::Gateway`].

mod model;
mod secret;

pub use model::*;
pub use secret::Secret;
