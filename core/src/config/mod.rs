//! The document: what people write, from file and environment, parsed into types that cannot be wrong.
//! Start at [`Document`]; it compiles into a [`crate::Gateway`]. Every single knob is a row of `settings.rs`.

mod check;
mod default;
mod error;
mod field;
mod form;
mod kind;
mod knob;
mod masked;
mod model;
mod otel;
mod overlay;
mod read;
mod reference;
mod regions;
mod rules;
mod schema;
mod secret;
mod sections;
mod settings;
mod standard;
mod store;
mod store_url;
mod toml_text;
mod tree;
mod url;
mod variables;
mod words;

pub(crate) use error::suggestion;
pub use error::{ConfigError, ConfigErrors, Place};
pub use field::{Accepts, Field};
pub use kind::{Form, Kind};
pub(crate) use masked::without_texts;
pub use model::*;
pub use overlay::{AT_START, waits_for_start};
pub use read::{Platform, scalars};
pub use reference::{example_env, reference};
pub use rules::{Deny, Fieldset, Rule, RuleLimit, field_name};
pub use schema::schema;
pub use secret::Secret;
pub(crate) use sections::is_custom;
pub use settings::Setting;
pub use store_url::{RedisAddress, RedisLogin, RedisServer, RedisServers, StorePlace, StoreUrl};
pub use tree::{Format, Source};
