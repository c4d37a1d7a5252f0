//! Addresses as text.

use alloc::string::String;
use core::{fmt::Write as _, net::IpAddr};

/// Adds an address as `Display` writes it. Every request writes its client's, nearly always IPv4: that goes past the
/// formatter, which pads.
pub(crate) fn push_address(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push('.');
                }
                out.push_str(itoa::Buffer::new().format(octet));
            }
        }
        IpAddr::V6(address) => {
            // INVARIANT: writing to a string does not fail.
            let _ = write!(out, "{address}");
        }
    }
}

/// The address alone.
pub(crate) fn address_text(address: IpAddr) -> String {
    let mut out = String::with_capacity(IPV4_BYTES);
    push_address(&mut out, address);
    out
}

/// Of the longest one.
const IPV4_BYTES: usize = 15;

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use core::net::IpAddr;
    use proptest::prelude::*;

    use super::address_text;

    proptest! {
        #[test]
        fn as_the_standard_library_writes_it(address: IpAddr) {
            prop_assert_eq!(address_text(address), address.to_string());
        }
    }
}
