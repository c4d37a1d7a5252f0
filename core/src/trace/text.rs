//! Bytes in JSON: as text where they are text, else in base64.

use alloc::string::{String, ToString};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) Bytes);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Plain(String),
    Encoded { base64: String },
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match core::str::from_utf8(&self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => Form::Encoded { base64: STANDARD.encode(&self.0) }.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Form::deserialize(from)? {
            Form::Plain(text) => Ok(Self(text.into_bytes().into())),
            Form::Encoded { base64 } => {
                let bytes =
                    STANDARD.decode(base64).map_err(|error| serde::de::Error::custom(error.to_string()))?;
                Ok(Self(bytes.into()))
            }
        }
    }
}

/// Random bytes as hexadecimal.
pub(super) mod hexadecimal {
    use alloc::{format, string::String};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::trace) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::hex::hex(bytes))
    }

    pub(in crate::trace) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        from: D,
    ) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || D::Error::custom(format!("`{text}` is not {N} bytes in hexadecimal"));
        if text.len() != N.saturating_mul(2) {
            return Err(wrong());
        }
        let mut bytes = [0; N];
        let mut digits = text.chars().map(|digit| digit.to_digit(16).and_then(|it| u8::try_from(it).ok()));
        for byte in &mut bytes {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(wrong());
            };
            *byte = high << 4 | low;
        }
        Ok(bytes)
    }
}
