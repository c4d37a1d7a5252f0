//! Header fields between the platform and `http`.

use http::{HeaderMap, HeaderName, HeaderValue};
use spin_sdk::wasip3::http::types::Fields;

/// The platform's fields. One that cannot be read is left out.
pub(crate) fn read(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields.copy_all() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// Fields for the platform. One that it keeps for itself (those of the connection) is left out.
pub(crate) fn write(map: &HeaderMap) -> Fields {
    let list: Vec<_> =
        map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    Fields::from_list(&list).unwrap_or_else(|_| {
        let fields = Fields::new();
        for (name, value) in &list {
            let _ = fields.append(name, value);
        }
        fields
    })
}
