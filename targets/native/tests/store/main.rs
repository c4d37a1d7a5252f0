//! The store's clients against real servers: plain, ACL, TLS, socket, killed, silent, cluster and sentinel.

mod servers;
mod several;
mod single;
