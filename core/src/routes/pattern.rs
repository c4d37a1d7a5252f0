//! A path pattern of `[[routes]]` and `[[limits]]`: `/a/{id}/b` matches one segment at `{id}`, `/a/*` everything
//! below `/a` and `/a` itself, `/*` everything.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};

use crate::gateway::CompileError;

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    open_ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It does not begin with `/`, has an empty segment, a `*` that is not its last segment, or braces that are
    /// not a whole segment.
    pub fn new(text: &str) -> Result<Self, CompileError> {
        let wrong = |reason: &str| CompileError::Route { pattern: text.into(), reason: reason.to_string() };
        let Some(path) = text.strip_prefix('/') else {
            return Err(wrong("does not begin with `/`; write a path such as `/api/v1/jobs/{id}`"));
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let (path, open_ended) = match path.strip_suffix('*') {
            Some(rest) => (rest.strip_suffix('/').unwrap_or(rest), rest.is_empty() || rest.ends_with('/')),
            None => (path, false),
        };
        if text.contains('*') && (!open_ended || path.contains('*')) {
            return Err(wrong("has a `*` that is not its whole last segment; write `/a/*`"));
        }
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|_| !path.is_empty()) {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            match name {
                _ if segment.is_empty() => return Err(wrong("has an empty segment; write one `/` only")),
                Some(name) if !name.is_empty() && !name.contains(['{', '}']) => segments.push(Segment::Any),
                _ if segment.contains(['{', '}']) => {
                    return Err(wrong("has braces that are not a whole segment; write `/a/{id}/b`"));
                }
                _ => segments.push(Segment::Literal(segment.to_owned())),
            }
        }
        Ok(Self { segments, open_ended })
    }

    /// Whether a decoded path without trailing slash matches.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut given = path.split('/').filter(|segment| !segment.is_empty());
        for segment in &self.segments {
            match (segment, given.next()) {
                (Segment::Literal(literal), Some(text)) if literal == text => {}
                (Segment::Any, Some(_)) => {}
                _ => return false,
            }
        }
        self.open_ended || given.next().is_none()
    }

    /// Whether some path could match both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let meet = self.segments.iter().zip(&other.segments).all(|pair| match pair {
            (Segment::Literal(one), Segment::Literal(two)) => one == two,
            _ => true,
        });
        let reach = |one: &Self, two: &Self| one.segments.len() >= two.segments.len() || one.open_ended;
        meet && reach(self, other) && reach(other, self)
    }

    /// Whether every path of this one is also one of `other`: it was written with `other` in mind.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let covered = self.segments.iter().zip(&other.segments).all(|pair| match pair {
            (Segment::Literal(one), Segment::Literal(two)) => one == two,
            (Segment::Any, Segment::Literal(_)) => false,
            (_, Segment::Any) => true,
        });
        let length = if other.open_ended {
            self.segments.len() >= other.segments.len()
        } else {
            !self.open_ended && self.segments.len() == other.segments.len()
        };
        covered && length
    }

    /// The same with its letters in lower case.
    pub(crate) fn lower(&self) -> Self {
        let lower = |segment: &Segment| match segment {
            Segment::Literal(text) => Segment::Literal(text.to_ascii_lowercase()),
            Segment::Any => Segment::Any,
        };
        Self { segments: self.segments.iter().map(lower).collect(), open_ended: self.open_ended }
    }
}
