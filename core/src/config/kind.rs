//! What a knob accepts, in words that the error, the documentation and the schema share.

use alloc::{format, string::String, vec::Vec};

/// What a knob accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` / `false`, `1` / `0`, `yes` / `no`, `on` / `off` in any case.
    Flag,
    /// A whole number of digits only.
    Number {
        /// Smallest accepted.
        min: u64,
        /// Largest accepted.
        max: u64,
    },
    /// A decimal from 0 to 1.
    Share,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One text of this form.
    Text(Form),
    /// Several of this form: an array in the file, separated by commas in a variable.
    List(Form),
}

/// Form of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything without control characters.
    Plain,
    /// What may stand in a header field's value, without spaces: visible ASCII.
    HeaderValue,
    /// A path in the file system.
    File,
    /// An IPv4 or IPv6 address.
    Address,
    /// A CIDR network or a single address.
    Network,
    /// A route's pattern.
    Pattern,
    /// A path of a URL: begins with `/`, no query.
    Path,
    /// A token, RFC 9110 §5.6.2.
    Token,
    /// What an origin is called.
    OriginName,
    /// A region's name or alias.
    Region,
    /// An `http` or `https` URL.
    HttpUrl,
    /// A URL of the store.
    StoreUrl,
    /// The start of a store key.
    KeyPrefix,
    /// `key` or `name:key`.
    StaticKeys,
    /// `*` or `scheme://host[:port]`, RFC 6454.
    BrowserOrigin,
    /// A method that the gateway can forward.
    HttpMethod,
    /// An event's name, or what several begin with and `*`.
    EventName,
    /// A condition in the Common Expression Language.
    Condition,
    /// A field's name, RFC 9110 §5.1.
    FieldName,
    /// A field's name and its value.
    FieldLine,
    /// `name=value`, the value percent-encoded: a field of a request.
    HeaderPair,
    /// `name=value`, the value percent-encoded.
    Attribute,
    /// An origin: a base URL, then `;region=…`, `;weight=…`, `;name=…`.
    OriginLine,
}

impl Kind {
    /// What it accepts, as it completes "write …".
    pub fn accepts(self) -> String {
        match self {
            Self::Flag => "`true` or `false` (also 1/0, yes/no, on/off)".into(),
            Self::Number { min, max } => format!("a whole number from {min} to {max}"),
            Self::Share => "a number from 0 to 1, such as `0.01`".into(),
            Self::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Text(form) => form.accepts().into(),
            Self::List(form) => form.accepts().into(),
        }
    }
}

impl Form {
    /// What it accepts, as it completes "write …".
    pub const fn accepts(self) -> &'static str {
        match self {
            Self::Plain => "text without control characters",
            Self::HeaderValue => "visible ASCII characters without spaces",
            Self::File => "the path of a file",
            Self::Address => "an IP address such as `0.0.0.0` or `::1`",
            Self::Network => "a network such as `10.0.0.0/8` or an IP address",
            Self::Path => {
                "a path that begins with `/`, of visible ASCII without any of `?#%{}*\\`, `//` and `..`"
            }
            Self::Pattern => "a pattern such as `/a/{id}/b` or `/a/*`",
            Self::Token => "a token: letters, digits and `!#$%&'*+-.^_|~` or backtick, at most 64",
            Self::OriginName => "a name: letters, digits and `-._:[]`, at most 260",
            Self::Region => "a region's name: letters, digits, `-` and `_`, at most 64",
            Self::HttpUrl => "a URL such as `http://host:port/path`",
            Self::StoreUrl => {
                "a URL that begins with `redis://`, `rediss://`, `redis+unix://`, `redis-cluster://`, \
                 `rediss-cluster://`, `redis-sentinel://`, `rediss-sentinel://`, `http://` or `https://`"
            }
            Self::KeyPrefix => "at most 64 visible ASCII characters without `{` and `}`",
            Self::StaticKeys => "`key` or `name:key`",
            Self::BrowserOrigin => "`*` or an origin such as `https://example.com`",
            Self::Condition => "a condition such as `request.path.startsWith('/api/')`",
            Self::FieldName => "the name of a field such as `X-Tier`",
            Self::FieldLine => "a field such as `X-Tier: gold`",
            Self::HttpMethod => "a method such as `GET`, in capitals",
            Self::EventName => "the name of an event such as `gateway:job:submitted`, or `gateway:job:*`",
            Self::HeaderPair => "`name=value`, a header field with its value percent-encoded",
            Self::Attribute => "`name=value`, the value percent-encoded",
            Self::OriginLine => "a URL such as `http://host:port`, perhaps with `;region=…;weight=…;name=…`",
        }
    }
}
