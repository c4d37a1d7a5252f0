//! Who a request is from, and whether it may pass (contract sections 4, 5 and 8).

mod present;
#[cfg(test)]
mod tests;

pub use present::{AuthSettings, Presented, present, stored_form};
