//! What a condition says of values. Every node costs a step and every text its length, so that no expression takes longer
//! than its budget; there is nothing that loops.

use alloc::{borrow::Cow, string::ToString};
use core::{cmp::Ordering, net::IpAddr};

use super::{
    Scope, Value,
    tree::{Calculation, Comparison, Convert, Node, Op, Test},
};

/// Why a condition has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct Fault {
    /// Where in the text, from 1; 0: not known.
    pub column: usize,
    /// Fixed words: nothing of the request.
    pub reason: &'static str,
}

impl Fault {
    /// At no place yet.
    pub const fn new(reason: &'static str) -> Self {
        Self { column: 0, reason }
    }

    fn at(self, node: &Node) -> Self {
        Self { column: node.column, ..self }
    }
}

/// What evaluations may still cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Nodes, and pieces of 32 bytes of text that are looked at.
    pub steps: u32,
}

impl Budget {
    /// For one request, whatever the number of its conditions: some hundred long ones.
    pub const fn of_request() -> Self {
        Self { steps: 50_000 }
    }

    fn pay(&mut self, steps: usize) -> Result<(), Fault> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Fault::new("more steps than a request may take"))
    }
}

/// Whether it holds.
pub(super) fn condition(node: &Node, scope: &dyn Scope, budget: &mut Budget) -> Result<bool, Fault> {
    Eval { scope, budget }.bool(node)
}

struct Eval<'e> {
    scope: &'e dyn Scope,
    budget: &'e mut Budget,
}

impl<'e> Eval<'e> {
    fn value<'v>(&mut self, node: &'v Node) -> Result<Value<'v>, Fault>
    where
        'e: 'v,
    {
        self.budget.pay(1).map_err(|fault| fault.at(node))?;
        self.step(node).map_err(|fault| if fault.column == 0 { fault.at(node) } else { fault })
    }

    fn step<'v>(&mut self, node: &'v Node) -> Result<Value<'v>, Fault>
    where
        'e: 'v,
    {
        Ok(match &node.op {
            Op::Bool(value) => Value::Bool(*value),
            Op::Int(value) => Value::Int(*value),
            Op::Text(value) => Value::Text(Cow::Borrowed(value)),
            Op::Name(name) => self.scope.value(*name),
            Op::Entry(map, key) => {
                let entry = self.entry(*map, key)?;
                Value::Text(entry.ok_or(Fault::new("no such entry; ask with `in` or `has` first"))?)
            }
            Op::Has(map, key) => Value::Bool(self.entry(*map, key)?.is_some()),
            Op::Not(of) => Value::Bool(!self.bool(of)?),
            Op::Negative(of) => Value::Int(self.int(of)?.checked_neg().ok_or(OVERFLOW)?),
            Op::All(parts) => Value::Bool(self.settled(parts, false)?),
            Op::Any(parts) => Value::Bool(self.settled(parts, true)?),
            Op::Compare(comparison, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.read(&left)?;
                Value::Bool(compare(*comparison, &left, &right))
            }
            Op::Calculate(calculation, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (self.int(left)?, self.int(right)?);
                Value::Int(calculate(*calculation, left, right)?)
            }
            Op::Join(sides) => {
                let [left, right] = &**sides;
                let mut joined = self.text(left)?.into_owned();
                let right = self.text(right)?;
                if joined.len().saturating_add(right.len()) > MAX_TEXT_BYTES {
                    return Err(Fault::new("the joined text is too long"));
                }
                joined.push_str(&right);
                Value::Text(Cow::Owned(joined))
            }
            Op::Choose(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen = if self.bool(condition)? { yes } else { no };
                self.value(chosen)?
            }
            Op::OneOf(item, list) => {
                let item = self.value(item)?;
                let mut found = false;
                for other in list {
                    let other = self.value(other)?;
                    self.read(&other)?;
                    found |= item == other;
                }
                Value::Bool(found)
            }
            Op::Test(test, sides) => {
                let [text, part] = &**sides;
                let (text, part) = (self.text(text)?, self.text(part)?);
                Value::Bool(match test {
                    Test::StartsWith => text.starts_with(&*part),
                    Test::EndsWith => text.ends_with(&*part),
                    Test::Contains => text.contains(&*part),
                })
            }
            Op::Matches(text, pattern) => {
                let text = self.text(text)?;
                self.budget.pay(pattern.cost(&text))?;
                Value::Bool(pattern.matches(&text))
            }
            Op::Within(network, address) => {
                let address = self.text(address)?;
                let address: IpAddr = address.parse().map_err(|_| Fault::new("not an IP address"))?;
                Value::Bool(network.contains(&address))
            }
            Op::Convert(convert, of) => self.convert(*convert, of)?,
        })
    }

    fn convert<'v>(&mut self, convert: Convert, of: &'v Node) -> Result<Value<'v>, Fault>
    where
        'e: 'v,
    {
        Ok(match convert {
            Convert::Size => {
                let characters = self.text(of)?.chars().count();
                Value::Int(i64::try_from(characters).map_err(|_| OVERFLOW)?)
            }
            Convert::Int => match self.value(of)? {
                Value::Int(number) => Value::Int(number),
                Value::Text(text) => {
                    Value::Int(number(&text).ok_or(Fault::new("the text is no whole number"))?)
                }
                Value::Bool(_) => return Err(Fault::new("the value is no whole number")),
            },
            Convert::Text => match self.value(of)? {
                Value::Text(text) => Value::Text(text),
                Value::Int(number) => Value::Text(Cow::Owned(number.to_string())),
                Value::Bool(flag) => Value::Text(Cow::Borrowed(if flag { "true" } else { "false" })),
            },
            Convert::Lower => Value::Text(Cow::Owned(self.text(of)?.to_ascii_lowercase())),
            Convert::Upper => Value::Text(Cow::Owned(self.text(of)?.to_ascii_uppercase())),
        })
    }

    fn entry<'v>(&mut self, map: usize, key: &'v Node) -> Result<Option<Cow<'v, str>>, Fault>
    where
        'e: 'v,
    {
        let key = self.text(key)?;
        let entry = self.scope.entry(map, &key)?;
        self.budget.pay(pieces(entry.as_deref().unwrap_or_default()))?;
        Ok(entry)
    }

    /// `&&` and `||` have an answer as soon as any part settles it, even where another has none.
    fn settled(&mut self, parts: &[Node], settles: bool) -> Result<bool, Fault> {
        let mut fault = None;
        for part in parts {
            match self.bool(part) {
                Ok(value) if value == settles => return Ok(settles),
                Ok(_) => {}
                Err(found) => fault = fault.or(Some(found)),
            }
        }
        fault.map_or(Ok(!settles), Err)
    }

    fn bool(&mut self, node: &Node) -> Result<bool, Fault> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            _ => Err(MISTYPED),
        }
    }

    fn int(&mut self, node: &Node) -> Result<i64, Fault> {
        match self.value(node)? {
            Value::Int(value) => Ok(value),
            _ => Err(MISTYPED),
        }
    }

    fn text<'v>(&mut self, node: &'v Node) -> Result<Cow<'v, str>, Fault>
    where
        'e: 'v,
    {
        let value = self.value(node)?;
        self.read(&value)?;
        match value {
            Value::Text(text) => Ok(text),
            _ => Err(MISTYPED),
        }
    }

    /// Pays for the look at a text.
    fn read(&mut self, value: &Value<'_>) -> Result<(), Fault> {
        match value {
            Value::Text(text) => self.budget.pay(pieces(text)),
            _ => Ok(()),
        }
    }
}

fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> bool {
    let ordering = match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        _ => return comparison == Comparison::Unequal,
    };
    match comparison {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::Unequal => ordering != Ordering::Equal,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::AtMost => ordering != Ordering::Greater,
        Comparison::More => ordering == Ordering::Greater,
        Comparison::AtLeast => ordering != Ordering::Less,
    }
}

fn calculate(calculation: Calculation, left: i64, right: i64) -> Result<i64, Fault> {
    if right == 0 && matches!(calculation, Calculation::Divide | Calculation::Remainder) {
        return Err(Fault::new("division by zero"));
    }
    let result = match calculation {
        Calculation::Add => left.checked_add(right),
        Calculation::Subtract => left.checked_sub(right),
        Calculation::Multiply => left.checked_mul(right),
        Calculation::Divide => left.checked_div(right),
        Calculation::Remainder => left.checked_rem(right),
    };
    result.ok_or(OVERFLOW)
}

/// Digits, perhaps after a minus: no plus, no blanks.
fn number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|char: char| char.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn pieces(text: &str) -> usize {
    text.len() / 32
}

const OVERFLOW: Fault = Fault::new("the number does not fit into 64 bits");
// INVARIANT: the parser lets no such tree through.
const MISTYPED: Fault = Fault::new("a value of another type");
/// Of a text that an expression puts together.
const MAX_TEXT_BYTES: usize = 16_384;
