//! Header fields between the platform and `http`: a name and a value in turn, a line each. Strings there stand for bytes: each
//! character is one.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The platform's fields; repeated ones come joined, but for `Set-Cookie`. One that cannot be read is left out.
pub(crate) fn read(mut lines: std::str::Split<'_, char>) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(USUAL);
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = if value.is_ascii() {
            HeaderValue::from_str(value)
        } else {
            HeaderValue::from_bytes(&bytes(value))
        };
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// Fields for the platform.
pub(crate) fn write(map: &HeaderMap) -> String {
    let mut text = String::with_capacity(USUAL * map.len());
    for (name, value) in map {
        text.push_str(name.as_str());
        text.push('\n');
        match value.to_str() {
            Ok(value) => text.push_str(value),
            Err(_) => text.extend(value.as_bytes().iter().map(|byte| char::from(*byte))),
        }
        text.push('\n');
    }
    text
}

fn bytes(text: &str) -> Vec<u8> {
    let narrow: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    // Where the platform has read the bytes as UTF-8.
    narrow.unwrap_or_else(|_| text.as_bytes().to_vec())
}

/// Fields of a head, and bytes of a field, roughly.
const USUAL: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_what_they_were() {
        let text = "a\nb c\nset-cookie\n1\nset-cookie\n2\nempty\n\nlatin\n\u{fc}\u{ff}\n";
        let map = read(text.split('\n'));
        assert_eq!(map.len(), 5);
        assert_eq!(map["latin"].as_bytes(), [0xfc, 0xff]);
        assert_eq!(map.get_all("set-cookie").iter().count(), 2);
        assert_eq!(map["empty"], "");
        let same = write(&map);
        assert_eq!(read(same.split('\n')), map);
        assert!(same.contains("latin\n\u{fc}\u{ff}\n") && same.contains("empty\n\n"), "{same}");
    }

    #[test]
    fn what_is_no_field_is_left_out() {
        let map = read("a b\n1\nc\n\u{7f}\nwide\n\u{263a}\nd\n4\nlast".split('\n'));
        assert_eq!(map["wide"].as_bytes(), "\u{263a}".as_bytes());
        assert_eq!((map.len(), &map["d"]), (2, &HeaderValue::from_static("4")));
        assert!(read("".split('\n')).is_empty());
    }
}
