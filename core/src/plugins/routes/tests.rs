//! Cases of this module.
