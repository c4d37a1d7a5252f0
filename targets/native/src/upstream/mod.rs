//! Connections to origins. Start at [`Pool::send`].

mod body;
mod complaints;
mod connect;
mod pool;

pub use body::OriginBody;
pub use complaints::Complaints;
pub use connect::Connector;
pub use pool::Pool;
