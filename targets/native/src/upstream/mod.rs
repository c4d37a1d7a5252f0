//! Connections to origins. Start at [`Pool::send`].

mod body;
mod connect;
mod pool;
mod tls;

pub use body::OriginBody;
pub use connect::Connector;
pub use pool::Pool;
