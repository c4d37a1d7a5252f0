//! Tokens to a tree, with types: a name, a function or a type that does not fit is found here and never at run time.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use ipnet::IpNet;

use super::{
    Declared, Kind, ParseError, bit,
    token::{Token, Tokens, error},
    tree::{Calculation, Comparison, Node, Op},
};

mod call;

/// Reads a whole condition, and which names it reads.
pub(super) fn condition(source: &str, names: &'static [Declared]) -> Result<(Node, u64), ParseError> {
    let mut tokens = Tokens::new(source);
    let (token, column) = tokens.take()?;
    let mut parser = Parser { tokens, token, column, names, uses: 0, depth: 0 };
    let term = parser.expression()?;
    let node = parser.typed(term, Kind::Bool, "a condition")?;
    if parser.token != Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok((node, parser.uses))
}

/// A part of an expression with its type.
#[derive(Debug)]
struct Term {
    column: usize,
    /// How many nodes lie upon each other.
    height: usize,
    is: Is,
}

#[derive(Debug)]
enum Is {
    /// A value.
    Value(Op, Kind),
    /// A map, of which an entry may be asked.
    Map(usize),
    /// Items of one kind.
    List(Vec<Node>, Kind),
    /// A network, of which may be asked what it contains.
    Network(IpNet),
    /// The start of a dotted name, or a function's.
    Start(String),
}

struct Parser<'s> {
    tokens: Tokens<'s>,
    token: Token,
    column: usize,
    names: &'static [Declared],
    uses: u64,
    depth: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, ParseError> {
        let (token, column) = self.tokens.take()?;
        self.column = column;
        Ok(core::mem::replace(&mut self.token, token))
    }

    fn eat(&mut self, sign: &'static str) -> Result<bool, ParseError> {
        let found = self.token == Token::Sign(sign);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), ParseError> {
        if self.eat(sign)? { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> ParseError {
        error(self.column, format!("{} is not expected here: write {wanted}", self.token.shown()))
    }

    fn expression(&mut self) -> Result<Term, ParseError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return Err(too_deep(self.column));
        }
        let condition = self.chain("||", Self::conjunction, Op::Any)?;
        let column = self.column;
        let term = if self.eat("?")? {
            let yes = self.chain("||", Self::conjunction, Op::Any)?;
            self.expect(":")?;
            let no = self.expression()?;
            let height = condition.height.max(yes.height).max(no.height);
            let condition = self.typed(condition, Kind::Bool, "what stands before `?`")?;
            let (yes, kind) = self.value(yes)?;
            let no = self.typed(no, kind, "what stands after `:`")?;
            term(column, height, Op::Choose(Box::new([condition, yes, no])), kind)?
        } else {
            condition
        };
        self.depth = self.depth.saturating_sub(1);
        Ok(term)
    }

    fn conjunction(&mut self) -> Result<Term, ParseError> {
        self.chain("&&", Self::relation, Op::All)
    }

    /// Any number of parts between signs, side by side.
    fn chain(
        &mut self,
        sign: &'static str,
        part: fn(&mut Self) -> Result<Term, ParseError>,
        join: fn(Vec<Node>) -> Op,
    ) -> Result<Term, ParseError> {
        let first = part(self)?;
        if self.token != Token::Sign(sign) {
            return Ok(first);
        }
        let (column, mut height) = (self.column, first.height);
        let about = format!("a side of `{sign}`");
        let mut nodes = Vec::from([self.typed(first, Kind::Bool, &about)?]);
        while self.eat(sign)? {
            let next = part(self)?;
            height = height.max(next.height);
            nodes.push(self.typed(next, Kind::Bool, &about)?);
        }
        term(column, height, join(nodes), Kind::Bool)
    }

    fn relation(&mut self) -> Result<Term, ParseError> {
        let left = self.sum()?;
        let column = self.column;
        let comparison = match &self.token {
            Token::Sign("==") => Comparison::Equal,
            Token::Sign("!=") => Comparison::Unequal,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::AtMost,
            Token::Sign(">") => Comparison::More,
            Token::Sign(">=") => Comparison::AtLeast,
            Token::Word(word) if word == "in" => {
                self.advance()?;
                let right = self.sum()?;
                return self.membership(column, left, right);
            }
            _ => return Ok(left),
        };
        self.advance()?;
        let right = self.sum()?;
        let height = left.height.max(right.height);
        let (left, kind) = self.value(left)?;
        let right = self.typed(right, kind, "the right side of the comparison")?;
        let op = Op::Compare(comparison, Box::new([left, right]));
        let compared = term(column, height, op, Kind::Bool)?;
        if matches!(self.token, Token::Sign("==" | "!=" | "<" | "<=" | ">" | ">=")) {
            return Err(error(self.column, "comparisons do not chain: join two with `&&`"));
        }
        Ok(compared)
    }

    fn membership(&mut self, column: usize, left: Term, right: Term) -> Result<Term, ParseError> {
        let height = left.height.max(right.height);
        let op = match right.is {
            Is::Map(map) => Op::Has(map, Box::new(self.key(map, left)?)),
            Is::List(items, kind) => {
                Op::OneOf(Box::new(self.typed(left, kind, "what is looked for in the list")?), items)
            }
            _ => {
                return Err(error(
                    right.column,
                    "right of `in` stands a list or a map: write `x in ['a', 'b']`",
                ));
            }
        };
        term(column, height, op, Kind::Bool)
    }

    fn sum(&mut self) -> Result<Term, ParseError> {
        let mut left = self.product()?;
        loop {
            let (column, plus) = (self.column, self.token == Token::Sign("+"));
            if !plus && self.token != Token::Sign("-") {
                return Ok(left);
            }
            self.advance()?;
            let right = self.product()?;
            let height = left.height.max(right.height);
            let (one, kind) = self.value(left)?;
            let joins = plus && kind == Kind::Text;
            let one = if joins { one } else { self.check(one, kind, Kind::Int, "the left side")? };
            let two = self.typed(right, if joins { Kind::Text } else { Kind::Int }, "the right side")?;
            let sides = Box::new([one, two]);
            left = match (joins, plus) {
                (true, _) => term(column, height, Op::Join(sides), Kind::Text)?,
                (_, true) => term(column, height, Op::Calculate(Calculation::Add, sides), Kind::Int)?,
                _ => term(column, height, Op::Calculate(Calculation::Subtract, sides), Kind::Int)?,
            };
        }
    }

    fn product(&mut self) -> Result<Term, ParseError> {
        let mut left = self.unary()?;
        loop {
            let column = self.column;
            let calculation = match self.token {
                Token::Sign("*") => Calculation::Multiply,
                Token::Sign("/") => Calculation::Divide,
                Token::Sign("%") => Calculation::Remainder,
                _ => return Ok(left),
            };
            self.advance()?;
            let right = self.unary()?;
            let height = left.height.max(right.height);
            let one = self.typed(left, Kind::Int, "the left side")?;
            let two = self.typed(right, Kind::Int, "the right side")?;
            left = term(column, height, Op::Calculate(calculation, Box::new([one, two])), Kind::Int)?;
        }
    }

    fn unary(&mut self) -> Result<Term, ParseError> {
        let column = self.column;
        if self.eat("!")? {
            let of = self.nested(Self::unary)?;
            let height = of.height;
            let node = self.typed(of, Kind::Bool, "what stands after `!`")?;
            return term(column, height, Op::Not(Box::new(node)), Kind::Bool);
        }
        if !self.eat("-")? {
            return self.member();
        }
        if let Token::Int(number) = self.token {
            self.advance()?;
            let number = 0_i64.checked_sub_unsigned(number).ok_or_else(|| too_large(column))?;
            return term(column, 0, Op::Int(number), Kind::Int);
        }
        let of = self.nested(Self::unary)?;
        let height = of.height;
        let node = self.typed(of, Kind::Int, "what stands after `-`")?;
        term(column, height, Op::Negative(Box::new(node)), Kind::Int)
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Term, ParseError>) -> Result<Term, ParseError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return Err(too_deep(self.column));
        }
        let term = read(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(term)
    }

    fn member(&mut self) -> Result<Term, ParseError> {
        let mut term = self.primary()?;
        loop {
            let column = self.column;
            if self.eat(".")? {
                let at = self.column;
                let Token::Word(name) = self.token.clone() else { return Err(self.unexpected("a name")) };
                self.advance()?;
                term = match self.eat("(")? {
                    true => self.method(term, &name, at)?,
                    false => self.select(term, &name, at)?,
                };
            } else if self.token == Token::Sign("[") {
                let Is::Map(map) = term.is else {
                    return Err(error(column, "only maps have entries: `request.headers['x-name']`"));
                };
                self.advance()?;
                let key = self.expression()?;
                let height = key.height;
                let key = self.key(map, key)?;
                self.expect("]")?;
                term = self::term(column, height, Op::Entry(map, Box::new(key)), Kind::Text)?;
            } else {
                return Ok(term);
            }
        }
    }

    fn primary(&mut self) -> Result<Term, ParseError> {
        let column = self.column;
        match self.advance()? {
            Token::Int(number) => {
                let number = i64::try_from(number).map_err(|_| too_large(column))?;
                term(column, 0, Op::Int(number), Kind::Int)
            }
            Token::Text(text) => term(column, 0, Op::Text(text), Kind::Text),
            Token::Word(word) if word == "true" || word == "false" => {
                term(column, 0, Op::Bool(word == "true"), Kind::Bool)
            }
            Token::Word(word) if word == "in" => Err(error(column, "left of `in` stands what is looked for")),
            Token::Word(word) => {
                if self.eat("(")? {
                    return self.function(&word, column);
                }
                self.named(word, column)
            }
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => self.list(column),
            token => {
                Err(error(column, format!("{} is not expected here: write a value or a name", token.shown())))
            }
        }
    }

    fn list(&mut self, column: usize) -> Result<Term, ParseError> {
        let (mut items, mut kind, mut height) = (Vec::new(), None, 0);
        while self.token != Token::Sign("]") {
            let item = self.expression()?;
            height = height.max(item.height);
            let item = match kind {
                None => {
                    let (item, found) = self.value(item)?;
                    kind = Some(found);
                    item
                }
                Some(kind) => self.typed(item, kind, "every item of the list")?,
            };
            items.push(item);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("]")?;
        let kind = kind.ok_or_else(|| error(column, "an empty list holds nothing: write its items"))?;
        Ok(Term { column, height, is: Is::List(items, kind) })
    }

    /// A name, or the first part of one.
    fn named(&mut self, name: String, column: usize) -> Result<Term, ParseError> {
        if let Some(index) = self.names.iter().position(|declared| declared.name == name) {
            return self.resolve(index, column);
        }
        let dotted = format!("{name}.");
        if self.names.iter().any(|declared| declared.name.starts_with(&dotted)) {
            return Ok(Term { column, height: 0, is: Is::Start(name) });
        }
        // The whole name as it was meant, up to a function.
        let mut name = name;
        while self.eat(".")? {
            let Token::Word(part) = self.token.clone() else { break };
            self.advance()?;
            if self.token != Token::Sign("(") {
                name = format!("{name}.{part}");
            }
        }
        Err(self.unknown(&name, column))
    }

    fn resolve(&mut self, index: usize, column: usize) -> Result<Term, ParseError> {
        self.uses |= bit(index);
        let kind = self.names.get(index).map_or(Kind::Bool, |declared| declared.kind);
        match kind {
            Kind::Map => Ok(Term { column, height: 0, is: Is::Map(index) }),
            kind => term(column, 0, Op::Name(index), kind),
        }
    }

    fn select(&mut self, of: Term, name: &str, at: usize) -> Result<Term, ParseError> {
        match of.is {
            Is::Start(start) => self.named(format!("{start}.{name}"), of.column),
            Is::Map(map) => {
                let key = term(at, 0, Op::Text(name.into()), Kind::Text)?;
                let key = self.key(map, key)?;
                term(at, 0, Op::Entry(map, Box::new(key)), Kind::Text)
            }
            _ => Err(error(at, format!("this has no part `{name}`: only maps have entries"))),
        }
    }

    /// A key of a map.
    fn key(&mut self, map: usize, key: Term) -> Result<Node, ParseError> {
        let column = key.column;
        let node = self.typed(key, Kind::Text, "the name of an entry")?;
        let (Op::Text(text), Some(of)) = (&node.op, self.names.get(map)) else { return Ok(node) };
        let lower = text.to_ascii_lowercase();
        if of.hidden.contains(&lower.as_str()) {
            return Err(error(column, format!("`{lower}` holds a credential, which no expression may read")));
        }
        if of.lower_case && lower != *text {
            return Err(error(column, format!("these names are in lower case: write `{lower}`")));
        }
        Ok(node)
    }

    fn unknown(&self, name: &str, column: usize) -> ParseError {
        let names = self.names.iter().map(|declared| declared.name);
        error(column, format!("unknown name `{name}`{}", crate::config::suggestion(name, names)))
    }

    /// What has a value, and which kind.
    fn value(&self, term: Term) -> Result<(Node, Kind), ParseError> {
        match term.is {
            Is::Value(op, kind) => Ok((Node { column: term.column, op }, kind)),
            Is::Map(_) => Err(error(term.column, "this is a map: name one of its entries")),
            Is::List(..) => Err(error(term.column, "a list stands only right of `in`")),
            Is::Network(_) => Err(error(term.column, "a network stands only before `.containsIP(…)`")),
            Is::Start(name) => Err(self.unknown(&name, term.column)),
        }
    }

    fn typed(&self, term: Term, wanted: Kind, about: &str) -> Result<Node, ParseError> {
        let (node, kind) = self.value(term)?;
        self.check(node, kind, wanted, about)
    }

    fn check(&self, node: Node, kind: Kind, wanted: Kind, about: &str) -> Result<Node, ParseError> {
        if kind == wanted {
            return Ok(node);
        }
        let message = format!("{about} must be {}, and this is {}", word(wanted), word(kind));
        Err(error(node.column, message))
    }
}

fn term(column: usize, below: usize, op: Op, kind: Kind) -> Result<Term, ParseError> {
    let height = below.saturating_add(1);
    if height > MAX_HEIGHT {
        return Err(too_deep(column));
    }
    Ok(Term { column, height, is: Is::Value(op, kind) })
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::Int => "a number",
        Kind::Text => "a string",
        Kind::Map => "a map",
    }
}

fn too_large(column: usize) -> ParseError {
    error(column, "the number does not fit into 64 bits")
}

fn too_deep(column: usize) -> ParseError {
    error(column, "this lies too deep; write it flatter, or as several conditions")
}

/// Brackets within brackets: each costs several calls on the stack, of which edge platforms have little.
const MAX_DEPTH: usize = 24;
/// Nodes upon each other, as evaluation descends.
const MAX_HEIGHT: usize = 64;
