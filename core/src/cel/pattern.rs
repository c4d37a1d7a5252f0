//! Regular expressions for `matches`: literals, `.`, classes, groups, `|`, repetition, `^` and `$`, searched for anywhere in
//! a text, as RE2 does. All states go through the text side by side: time is in proportion to text and pattern, and no text
//! makes it worse.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::{iter::Peekable, mem, str::Chars};

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    steps: Vec<Step>,
    /// Parts that were put in, of which some may have taken no step.
    parts: usize,
}

#[derive(Clone, Debug)]
enum Step {
    /// Takes one character.
    One(Class),
    /// Goes on at both.
    Both(usize, usize),
    /// Goes on there.
    Jump(usize),
    /// Only where the text begins.
    Start,
    /// Only where the text ends.
    End,
    Found,
}

/// Characters.
#[derive(Clone, Debug)]
struct Class {
    ranges: Vec<(char, char)>,
    negated: bool,
}

/// A pattern as it is written.
#[derive(Clone, Debug)]
enum Part {
    One(Class),
    Start,
    End,
    Row(Vec<Self>),
    Either(Vec<Self>),
    Repeat { of: Box<Self>, least: usize, most: Option<usize> },
}

impl Pattern {
    /// Compiles one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let mut reader = Reader { chars: text.chars().peekable(), depth: 0 };
        let part = reader.either()?;
        if reader.chars.peek().is_some() {
            return Err("a `)` in the pattern closes nothing: write `\\\\)`".into());
        }
        let mut pattern = Self { steps: Vec::new(), parts: 0 };
        pattern.push(&part)?;
        pattern.step(Step::Found)?;
        Ok(pattern)
    }

    /// Steps of a search, of which 16 cost as much as one of an expression.
    pub(super) fn cost(&self, text: &str) -> usize {
        text.len().saturating_add(1).saturating_mul(self.steps.len()) / 16
    }

    /// Whether it is found anywhere in a text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut now = States::new(self.steps.len());
        let mut next = States::new(self.steps.len());
        let mut chars = text.chars().peekable();
        let mut start = true;
        loop {
            let end = chars.peek().is_none();
            if self.enter(0, start, end, &mut now) {
                return true;
            }
            let Some(char) = chars.next() else { return false };
            start = false;
            let end = chars.peek().is_none();
            next.clear();
            for at in mem::take(&mut now.list) {
                let takes = matches!(self.steps.get(at), Some(Step::One(class)) if class.has(char));
                if takes && self.enter(at.saturating_add(1), start, end, &mut next) {
                    return true;
                }
            }
            mem::swap(&mut now, &mut next);
        }
    }

    /// Adds a state and all that follow from it without a character. Whether the end was among them.
    fn enter(&self, from: usize, start: bool, end: bool, states: &mut States) -> bool {
        let mut open = alloc::vec![from];
        while let Some(at) = open.pop() {
            if !states.add(at) {
                continue;
            }
            match self.steps.get(at) {
                Some(Step::Found) => return true,
                Some(Step::Both(one, two)) => open.extend([*one, *two]),
                Some(Step::Jump(to)) => open.push(*to),
                Some(Step::Start) if start => open.push(at.saturating_add(1)),
                Some(Step::End) if end => open.push(at.saturating_add(1)),
                _ => {}
            }
        }
        false
    }

    fn step(&mut self, step: Step) -> Result<usize, String> {
        if self.steps.len() >= MAX_STEPS {
            return Err(too_long());
        }
        self.steps.push(step);
        Ok(self.steps.len().saturating_sub(1))
    }

    fn set(&mut self, at: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(at) {
            *place = step;
        }
    }

    fn push(&mut self, part: &Part) -> Result<(), String> {
        self.parts = self.parts.saturating_add(1);
        if self.parts > MAX_STEPS.saturating_mul(8) {
            return Err(too_long());
        }
        match part {
            Part::One(class) => self.step(Step::One(class.clone())).map(drop),
            Part::Start => self.step(Step::Start).map(drop),
            Part::End => self.step(Step::End).map(drop),
            Part::Row(parts) => parts.iter().try_for_each(|part| self.push(part)),
            Part::Either(parts) => {
                let mut ends = Vec::new();
                for (index, part) in parts.iter().enumerate() {
                    if index.saturating_add(1) == parts.len() {
                        self.push(part)?;
                        continue;
                    }
                    let fork = self.step(Step::Found)?;
                    self.push(part)?;
                    ends.push(self.step(Step::Found)?);
                    self.set(fork, Step::Both(fork.saturating_add(1), self.steps.len()));
                }
                let after = self.steps.len();
                ends.into_iter().for_each(|end| self.set(end, Step::Jump(after)));
                Ok(())
            }
            Part::Repeat { of, least, most } => {
                for _ in 0..*least {
                    self.push(of)?;
                }
                let Some(most) = most else {
                    let fork = self.step(Step::Found)?;
                    self.push(of)?;
                    self.step(Step::Jump(fork))?;
                    self.set(fork, Step::Both(fork.saturating_add(1), self.steps.len()));
                    return Ok(());
                };
                let mut forks = Vec::new();
                for _ in *least..*most {
                    forks.push(self.step(Step::Found)?);
                    self.push(of)?;
                }
                let after = self.steps.len();
                for fork in forks {
                    self.set(fork, Step::Both(fork.saturating_add(1), after));
                }
                Ok(())
            }
        }
    }
}

impl Class {
    fn has(&self, char: char) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&char)) != self.negated
    }

    fn of(ranges: &[(char, char)], negated: bool) -> Self {
        Self { ranges: ranges.into(), negated }
    }

    /// `\d` and its like.
    fn named(name: char) -> Option<Self> {
        let ranges: &[(char, char)] = match name.to_ascii_lowercase() {
            'd' => &[('0', '9')],
            'w' => &[('0', '9'), ('a', 'z'), ('A', 'Z'), ('_', '_')],
            's' => &[(' ', ' '), ('\t', '\r')],
            _ => return None,
        };
        Some(Self::of(ranges, name.is_ascii_uppercase()))
    }
}

/// Which steps are live; each at most once.
struct States {
    list: Vec<usize>,
    has: Vec<bool>,
}

impl States {
    fn new(steps: usize) -> Self {
        Self { list: Vec::with_capacity(steps), has: alloc::vec![false; steps] }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.has.fill(false);
    }

    fn add(&mut self, at: usize) -> bool {
        match self.has.get_mut(at) {
            Some(has) if !*has => {
                *has = true;
                self.list.push(at);
                true
            }
            _ => false,
        }
    }
}

struct Reader<'p> {
    chars: Peekable<Chars<'p>>,
    depth: usize,
}

impl Reader<'_> {
    fn either(&mut self) -> Result<Part, String> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return Err(format!("groups of the pattern lie more than {MAX_DEPTH} deep"));
        }
        let mut parts = alloc::vec![self.row()?];
        while self.chars.next_if_eq(&'|').is_some() {
            parts.push(self.row()?);
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(Part::Either(parts))
    }

    fn row(&mut self) -> Result<Part, String> {
        let mut parts = Vec::new();
        while let Some(char) = self.chars.next_if(|char| !matches!(char, '|' | ')')) {
            let part = self.one(char)?;
            parts.push(self.repeated(part)?);
        }
        Ok(Part::Row(parts))
    }

    fn one(&mut self, char: char) -> Result<Part, String> {
        Ok(match char {
            '^' => Part::Start,
            '$' => Part::End,
            '.' => Part::One(Class::of(&[('\n', '\n')], true)),
            '[' => Part::One(self.class()?),
            '\\' => match self.chars.next() {
                Some(name) if Class::named(name).is_some() => {
                    Part::One(Class::named(name).unwrap_or(Class::of(&[], false)))
                }
                escaped => Part::One(literal(escape(escaped)?)),
            },
            '(' => {
                if self.chars.next_if_eq(&'?').is_some() && self.chars.next() != Some(':') {
                    return Err("of groups that begin with `(?`, only `(?:` is known".into());
                }
                let part = self.either()?;
                if self.chars.next() != Some(')') {
                    return Err("a `(` in the pattern is not closed".into());
                }
                part
            }
            '*' | '+' | '?' | '{' => {
                return Err(format!("`{char}` in the pattern repeats nothing: write `\\\\{char}`"));
            }
            char => Part::One(literal(char)),
        })
    }

    fn repeated(&mut self, part: Part) -> Result<Part, String> {
        let Some(sign) = self.chars.next_if(|char| matches!(char, '*' | '+' | '?' | '{')) else {
            return Ok(part);
        };
        let (least, most) = match sign {
            '*' => (0, None),
            '+' => (1, None),
            '?' => (0, Some(1)),
            _ => self.counts()?,
        };
        // Whether as much or as little as possible is taken, the same texts match.
        let _ = self.chars.next_if_eq(&'?');
        if self.chars.peek().is_some_and(|char| matches!(char, '*' | '+' | '?' | '{')) {
            return Err("a repetition in the pattern is repeated: put it into `(?:…)`".into());
        }
        Ok(Part::Repeat { of: Box::new(part), least, most })
    }

    /// What follows `{`: `2}`, `2,}`, `2,4}`.
    fn counts(&mut self) -> Result<(usize, Option<usize>), String> {
        let wrong = || format!("write `{{2}}`, `{{2,}}` or `{{2,4}}` in the pattern, at most {MAX_COUNT}");
        let least = self.count().ok_or_else(wrong)?;
        let most = match self.chars.next() {
            Some('}') => return Ok((least, Some(least))),
            Some(',') => self.count(),
            _ => return Err(wrong()),
        };
        if self.chars.next() != Some('}') || most.is_some_and(|most| most < least) {
            return Err(wrong());
        }
        Ok((least, most))
    }

    fn count(&mut self) -> Option<usize> {
        let mut count = None;
        while let Some(digit) = self.chars.peek().and_then(|char| char.to_digit(10)) {
            self.chars.next();
            let digit = usize::try_from(digit).ok()?;
            count = Some(count.unwrap_or(0_usize).saturating_mul(10).saturating_add(digit));
        }
        count.filter(|count| *count <= MAX_COUNT)
    }

    /// What follows `[`.
    fn class(&mut self) -> Result<Class, String> {
        let open = || String::from("a `[` in the pattern is not closed");
        let negated = self.chars.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            let char = self.chars.next().ok_or_else(open)?;
            if char == ']' && !first {
                return Ok(Class { ranges, negated });
            }
            first = false;
            let from = match char {
                '\\' => match self.chars.next() {
                    Some(name @ ('d' | 'w' | 's')) => {
                        ranges.extend(Class::named(name).into_iter().flat_map(|class| class.ranges));
                        continue;
                    }
                    escaped => escape(escaped)?,
                },
                char => char,
            };
            let mut ahead = self.chars.clone();
            let ranged = ahead.next() == Some('-') && ahead.peek().is_some_and(|char| *char != ']');
            if !ranged {
                ranges.push((from, from));
                continue;
            }
            self.chars.next();
            let to = match self.chars.next().ok_or_else(open)? {
                '\\' => escape(self.chars.next())?,
                char => char,
            };
            if to < from {
                return Err(format!("`{from}-{to}` in the pattern runs backwards"));
            }
            ranges.push((from, to));
        }
    }
}

fn too_long() -> String {
    format!("the pattern has more than {MAX_STEPS} steps; make it shorter")
}

fn literal(char: char) -> Class {
    Class::of(&[(char, char)], false)
}

/// What follows a backslash.
fn escape(char: Option<char>) -> Result<char, String> {
    match char {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some(char) if char.is_ascii_punctuation() => Ok(char),
        Some(char) => Err(format!("`\\{}` is unknown in patterns", char.escape_debug())),
        None => Err("the pattern ends in a backslash".into()),
    }
}

/// A group in a group in a group is a program.
const MAX_DEPTH: usize = 16;
const MAX_STEPS: usize = 512;
const MAX_COUNT: usize = 100;
