//! The document: what people write, from file and environment, parsed into types that cannot be wrong.
//! Start at [`Document`]; it compiles into a [`crate::Gateway`]. Every single knob is a row of `settings.rs`.

mod default;
mod form;
mod kind;
mod knob;
mod model;
mod regions;
mod secret;
mod settings;
mod url;
mod words;

pub use kind::{Form, Kind};
pub use model::*;
pub use secret::Secret;
pub use settings::Setting;
