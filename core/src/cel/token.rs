//! Text to tokens, each with the column where it stands.

use alloc::{
    format,
    string::{String, ToString},
};
use core::iter::Peekable;

use super::ParseError;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, or a word such as `in` or `true`.
    Word(String),
    /// Digits. As unsigned, since the smallest number is written as the negative of one too large.
    Int(u64),
    /// A string without its quotes.
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
    /// Nothing more.
    End,
}

impl Token {
    /// As an error shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("`{word}`"),
            Self::Int(number) => format!("`{number}`"),
            Self::Text(_) => "a string".to_string(),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_string(),
        }
    }
}

/// Reads tokens from left to right.
pub(super) struct Tokens<'s> {
    chars: Peekable<core::str::Chars<'s>>,
    column: usize,
}

impl<'s> Tokens<'s> {
    /// From the start of a text.
    pub(super) fn new(source: &'s str) -> Self {
        Self { chars: source.chars().peekable(), column: 1 }
    }

    /// The next token and its column.
    pub(super) fn take(&mut self) -> Result<(Token, usize), ParseError> {
        while self.chars.peek().is_some_and(char::is_ascii_whitespace) {
            self.bump();
        }
        let column = self.column;
        let Some(char) = self.bump() else { return Ok((Token::End, column)) };
        let token = match char {
            'r' | 'R' if matches!(self.chars.peek(), Some('\'' | '"')) => {
                let quote = self.bump().unwrap_or('"');
                self.text(column, quote, true)?
            }
            'a'..='z' | 'A'..='Z' | '_' => self.word(char),
            '0'..='9' => self.number(column, char)?,
            '\'' | '"' => self.text(column, char, false)?,
            _ => self.sign(column, char)?,
        };
        Ok((token, column))
    }

    fn bump(&mut self) -> Option<char> {
        let char = self.chars.next()?;
        self.column = self.column.saturating_add(1);
        Some(char)
    }

    fn word(&mut self, first: char) -> Token {
        let mut word = String::from(first);
        while let Some(char) = self.chars.next_if(|char| char.is_ascii_alphanumeric() || *char == '_') {
            self.column = self.column.saturating_add(1);
            word.push(char);
        }
        Token::Word(word)
    }

    fn number(&mut self, column: usize, first: char) -> Result<Token, ParseError> {
        let Token::Word(digits) = self.word(first) else { return Ok(Token::End) };
        if self.chars.peek() == Some(&'.') {
            return Err(error(column, "numbers are whole: leave out the point"));
        }
        let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
        let (text, radix) = hex.map_or((digits.as_str(), 10), |hex| (hex, 16));
        let plain = !text.is_empty() && text.chars().all(|char| char.is_digit(radix));
        let number = plain.then(|| u64::from_str_radix(text, radix).ok()).flatten();
        number
            .map(Token::Int)
            .ok_or_else(|| error(column, format!("`{digits}` is no whole number of 64 bits")))
    }

    fn text(&mut self, column: usize, quote: char, raw: bool) -> Result<Token, ParseError> {
        let mut text = String::new();
        loop {
            let at = self.column;
            match self.bump() {
                None => {
                    return Err(error(
                        column,
                        format!("the string is not closed: write `{quote}` at its end"),
                    ));
                }
                Some(char) if char == quote => return Ok(Token::Text(text)),
                Some('\\') if !raw => text.push(self.escape(at)?),
                Some('\n' | '\r') => {
                    return Err(error(at, "a string ends on its line: write `\\n` for a line's end"));
                }
                Some(char) => text.push(char),
            }
        }
    }

    fn escape(&mut self, column: usize) -> Result<char, ParseError> {
        let unknown = || {
            error(
                column,
                "unknown escape: `\\\\`, `\\'`, `\\\"`, `\\n`, `\\r`, `\\t` and `\\u0000` are known",
            )
        };
        match self.bump() {
            Some(char @ ('\\' | '\'' | '"' | '`' | '?')) => Ok(char),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => {
                let mut code = 0_u32;
                for _ in 0..4 {
                    let digit = self.bump().and_then(|char| char.to_digit(16)).ok_or_else(unknown)?;
                    code = code << 4 | digit;
                }
                char::from_u32(code).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }

    fn sign(&mut self, column: usize, first: char) -> Result<Token, ParseError> {
        let next = self.chars.peek().copied();
        let double = match (first, next) {
            ('=', Some('=')) => Some("=="),
            ('!', Some('=')) => Some("!="),
            ('<', Some('=')) => Some("<="),
            ('>', Some('=')) => Some(">="),
            ('&', Some('&')) => Some("&&"),
            ('|', Some('|')) => Some("||"),
            _ => None,
        };
        if let Some(sign) = double {
            self.bump();
            return Ok(Token::Sign(sign));
        }
        let single = SIGNS.iter().find(|sign| sign.starts_with(first));
        single.map(|sign| Token::Sign(sign)).ok_or_else(|| match first {
            '=' => error(column, "a single `=` compares nothing: write `==`"),
            '&' | '|' => error(column, format!("a single `{first}` joins nothing: write `{first}{first}`")),
            _ => error(column, format!("`{}` means nothing here", first.escape_debug())),
        })
    }
}

/// An error at a column.
pub(super) fn error(column: usize, message: impl Into<String>) -> ParseError {
    ParseError { column, message: message.into() }
}

const SIGNS: &[&str] = &["(", ")", "[", "]", ".", ",", "?", ":", "<", ">", "!", "+", "-", "*", "/", "%"];
