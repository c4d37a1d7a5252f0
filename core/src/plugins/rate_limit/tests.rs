//! Limits of requests.
