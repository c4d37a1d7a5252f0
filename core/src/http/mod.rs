//! Pure pieces of HTTP: bytes and fields in, values out. No policy and no state; who may pass is the plugins'.
//! Start at [`target`], which decides what a path means before anybody matches it.

pub(crate) mod forwarded;
pub(crate) mod hop;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod query;
pub(crate) mod target;
pub(crate) mod trace;
