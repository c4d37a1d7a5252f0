//! Workers' tokens: learned, refused, forgotten.
