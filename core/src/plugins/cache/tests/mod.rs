//! Cases of the cache. [`sim`] runs whole requests against the embedded store and a clock; the other files
//! ask pure functions.

mod codec;
mod homes;
mod http;
mod pure;
mod random;
mod routes;
mod sim;
mod stale;
