//! Functions, in both ways of calling them: `size(x)` and `x.size()`.

use alloc::{boxed::Box, format, vec::Vec};

use super::{Is, Parser, Term, term};
use crate::cel::{
    Kind, ParseError,
    pattern::Pattern,
    token::error,
    tree::{Convert, Op, Test},
};

impl Parser<'_> {
    /// `name(…`, the bracket being read.
    pub(super) fn function(&mut self, name: &str, column: usize) -> Result<Term, ParseError> {
        if name == "has" {
            return self.has(column);
        }
        let mut arguments = self.arguments()?.into_iter();
        let (Some(of), None) = (arguments.next(), arguments.next()) else {
            return Err(match name {
                "size" | "int" | "string" | "cidr" => error(column, format!("`{name}` takes one value")),
                _ => self.no_function(name, column),
            });
        };
        self.convert(name, of, column)
    }

    /// `of.name(…`, the bracket being read.
    pub(super) fn method(&mut self, of: Term, name: &str, column: usize) -> Result<Term, ParseError> {
        let mut arguments = self.arguments()?.into_iter();
        let argument = match (arguments.next(), arguments.next()) {
            (None, _) => return self.convert(name, of, column),
            (Some(argument), None) => argument,
            _ => return Err(error(column, format!("`{name}` takes one value"))),
        };
        let height = of.height.max(argument.height);
        if name == "containsIP" {
            let Is::Network(network) = of.is else {
                return Err(error(
                    column,
                    "`containsIP` is asked of a network: `cidr('10.0.0.0/8').containsIP(client.ip)`",
                ));
            };
            let address = self.typed(argument, Kind::Text, "the address")?;
            return term(column, height, Op::Within(network, Box::new(address)), Kind::Bool);
        }
        let test = match name {
            "startsWith" => Test::StartsWith,
            "endsWith" => Test::EndsWith,
            "contains" => Test::Contains,
            "matches" => return self.matches(of, argument, column),
            _ => return Err(self.no_function(name, column)),
        };
        let about = format!("what `{name}` is asked of");
        let of = self.typed(of, Kind::Text, &about)?;
        let argument = self.typed(argument, Kind::Text, &format!("the value of `{name}`"))?;
        term(column, height, Op::Test(test, Box::new([of, argument])), Kind::Bool)
    }

    fn matches(&mut self, of: Term, pattern: Term, column: usize) -> Result<Term, ParseError> {
        let (height, at) = (of.height, pattern.column);
        let of = self.typed(of, Kind::Text, "what `matches` is asked of")?;
        let Is::Value(Op::Text(pattern), _) = pattern.is else {
            return Err(error(
                at,
                "the pattern of `matches` must be a literal string: it is compiled when the document is read",
            ));
        };
        let pattern = Pattern::compile(&pattern).map_err(|message| error(at, message))?;
        term(column, height, Op::Matches(Box::new(of), Box::new(pattern)), Kind::Bool)
    }

    fn convert(&mut self, name: &str, of: Term, column: usize) -> Result<Term, ParseError> {
        let height = of.height;
        let (convert, takes, gives) = match name {
            "size" => (Convert::Size, Some(Kind::Text), Kind::Int),
            "lowerAscii" => (Convert::Lower, Some(Kind::Text), Kind::Text),
            "upperAscii" => (Convert::Upper, Some(Kind::Text), Kind::Text),
            "int" => (Convert::Int, None, Kind::Int),
            "string" => (Convert::Text, None, Kind::Text),
            "cidr" => return network(&of, column),
            _ => return Err(self.no_function(name, column)),
        };
        let node = match takes {
            Some(kind) => self.typed(of, kind, &format!("the value of `{name}`"))?,
            None => {
                let (node, kind) = self.value(of)?;
                if name == "int" && kind == Kind::Bool {
                    return Err(error(
                        node.column,
                        "`int` takes a string or a number, and this is true or false",
                    ));
                }
                node
            }
        };
        term(column, height, Op::Convert(convert, Box::new(node)), gives)
    }

    /// `has(map.entry)`, as the language has it: a selection and nothing else.
    fn has(&mut self, column: usize) -> Result<Term, ParseError> {
        let of = self.expression()?;
        self.expect(")")?;
        let Is::Value(Op::Entry(map, key), _) = of.is else {
            return Err(error(of.column, "`has` takes an entry of a map: `has(request.query.name)`"));
        };
        term(column, of.height, Op::Has(map, key), Kind::Bool)
    }

    fn arguments(&mut self) -> Result<Vec<Term>, ParseError> {
        let mut arguments = Vec::new();
        while !self.eat(")")? {
            arguments.push(self.expression()?);
            if !self.eat(",")? {
                self.expect(")")?;
                break;
            }
        }
        Ok(arguments)
    }

    fn no_function(&self, name: &str, column: usize) -> ParseError {
        error(
            column,
            format!(
                "unknown function `{name}`{}",
                crate::config::suggestion(name, FUNCTIONS.iter().copied())
            ),
        )
    }
}

/// A network stands only before `.containsIP`, which puts the address into it.
fn network(of: &Term, column: usize) -> Result<Term, ParseError> {
    let wrong = |at| error(at, "`cidr` takes a literal network: `cidr('10.0.0.0/8').containsIP(client.ip)`");
    let Is::Value(Op::Text(text), _) = &of.is else { return Err(wrong(of.column)) };
    let network = text.parse().map_err(|_| wrong(of.column))?;
    Ok(Term { column, height: 1, is: Is::Network(network) })
}

const FUNCTIONS: &[&str] = &[
    "has",
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "lowerAscii",
    "upperAscii",
    "int",
    "string",
    "cidr",
    "containsIP",
];
