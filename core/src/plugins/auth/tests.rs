//! Heads and rows in, rulings out.

mod present;
