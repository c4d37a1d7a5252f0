//! A condition as it is evaluated: names are resolved and types are settled.

use alloc::{boxed::Box, string::String, vec::Vec};
use ipnet::IpNet;

use super::pattern::Pattern;

/// One node, and the column that errors of its evaluation name.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) column: usize,
    pub(super) op: Op,
}

/// What a node does.
#[derive(Debug)]
pub(super) enum Op {
    Bool(bool),
    Int(i64),
    Text(String),
    /// The value of a name.
    Name(usize),
    /// An entry of a map.
    Entry(usize, Box<Node>),
    /// Whether a map has an entry.
    Has(usize, Box<Node>),
    Not(Box<Node>),
    Negative(Box<Node>),
    /// Conjunction.
    All(Vec<Node>),
    /// Disjunction.
    Any(Vec<Node>),
    Compare(Comparison, Box<[Node; 2]>),
    Calculate(Calculation, Box<[Node; 2]>),
    Join(Box<[Node; 2]>),
    Choose(Box<[Node; 3]>),
    OneOf(Box<Node>, Vec<Node>),
    /// A test of one text by another.
    Test(Test, Box<[Node; 2]>),
    Matches(Box<Node>, Box<Pattern>),
    /// Whether an address lies in a network.
    Within(IpNet, Box<Node>),
    Convert(Convert, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calculation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    StartsWith,
    EndsWith,
    Contains,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Convert {
    /// Characters of a text.
    Size,
    /// Text to number.
    Int,
    /// Anything to text.
    Text,
    Lower,
    Upper,
}
