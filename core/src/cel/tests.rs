//! Conditions against a fixed scope: what they say, and what is told of those that say nothing.

use alloc::{borrow::Cow, format, string::String, string::ToString};
use proptest::prelude::*;

use super::{Budget, Declared, Fault, Kind, Program, Scope, Value};

static NAMES: [Declared; 6] = [
    Declared::new("path", Kind::Text),
    Declared::new("client.ip", Kind::Text),
    Declared::new("n", Kind::Int),
    Declared::new("ok", Kind::Bool),
    Declared { hidden: &["authorization"], lower_case: true, ..Declared::new("request.headers", Kind::Map) },
    Declared::new("request.query", Kind::Map),
];

struct Fixed;

impl Scope for Fixed {
    fn value(&self, name: usize) -> Value<'_> {
        match name {
            0 => Value::Text(Cow::Borrowed("/api/v1/jobs")),
            1 => Value::Text(Cow::Borrowed("10.1.2.3")),
            2 => Value::Int(7),
            _ => Value::Bool(true),
        }
    }

    fn entry(&self, map: usize, key: &str) -> Result<Option<Cow<'_, str>>, Fault> {
        match (map, key) {
            (4, "x-tier") => Ok(Some(Cow::Borrowed("gold"))),
            (5, "size") => Ok(Some(Cow::Borrowed("512"))),
            (5, "twice") => Err(Fault::new("given twice")),
            _ => Ok(None),
        }
    }
}

/// `true`, `false`, or what is told instead.
fn says(source: &str) -> String {
    match Program::compile(source, &NAMES) {
        Err(error) => format!("refused, {error}"),
        Ok(program) => match program.holds(&Fixed, &mut Budget::of_request()) {
            Ok(holds) => holds.to_string(),
            Err(fault) => format!("fails, {fault}"),
        },
    }
}

fn check(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        assert_eq!(says(source), *expected, "{source}");
    }
}

#[test]
fn conditions_say_what_the_language_says() {
    check(&[
        ("true", "true"),
        ("!ok", "false"),
        ("path == '/api/v1/jobs'", "true"),
        ("path.startsWith('/api/') && !path.endsWith(\"/stats\")", "true"),
        ("path.contains('v2') || n > 6", "true"),
        ("n in [1, 2, 7]", "true"),
        ("path in ['/a', '/b',]", "false"),
        ("ok == (n == 7)", "true"),
        ("'a' < 'b' && 'b' <= 'b' && 2 > 1 && 2 >= 3", "false"),
        ("n + 2 * 3 - 1 == 12 && (n + 2) * 3 == 27", "true"),
        ("-n == -7 && n % 4 == 3 && n / 2 == 3 && - 7 / 2 == -3", "true"),
        ("-9223372036854775808 < 0x10", "true"),
        ("'a' + 'b' == 'ab'", "true"),
        ("n > 5 ? path == '' : ok", "false"),
        ("size(path) == 12 && path.size() == 12 && size('é') == 1", "true"),
        ("request.headers['x-tier'] == 'gold'", "true"),
        ("'x-tier' in request.headers && !('x-none' in request.headers)", "true"),
        ("has(request.query.size) && !has(request.query.none)", "true"),
        ("int(request.query.size) * 2 == 1024 && string(n) == '7' && string(ok) == 'true'", "true"),
        ("'GOLD'.lowerAscii() == 'gold' && 'gold'.upperAscii() == 'GOLD'", "true"),
        ("cidr('10.0.0.0/8').containsIP(client.ip) && !cidr('::1/128').containsIP(client.ip)", "true"),
        (r#"'a\'b\n' == "a'b\u000a" && r'\d' == '\\d'"#, "true"),
        // What one part settles needs no other.
        ("false && request.query.none == ''", "false"),
        ("request.query.none == '' && false", "false"),
        ("request.query.none == '' || true", "true"),
        ("ok ? true : request.query.none == ''", "true"),
    ]);
}

#[test]
fn patterns_are_searched_for() {
    let matches = |text: &str, pattern: &str| says(&format!("'{text}'.matches(r'{pattern}')"));
    for (text, pattern, expected) in [
        ("llama-70b", "70", "true"),
        ("llama-70b", "^70", "false"),
        ("llama-70b", "^llama-[0-9]+b$", "true"),
        ("llama-b", "^llama-[0-9]+b$", "false"),
        ("llama-b", "^llama-[0-9]*b$", "true"),
        ("aab", "^(a|b){3}$", "true"),
        ("aab", "^a{3}", "false"),
        ("aaab", "^a{2,}b$", "true"),
        ("ab", "^a{2,3}b$", "false"),
        ("abc", "^a.c$", "true"),
        ("x", "^(?:x|y)?$", "true"),
        ("", "^$", "true"),
        ("", "a", "false"),
        ("a.b", r"a\.b", "true"),
        ("axb", r"a\.b", "false"),
        ("a b", r"^\w\s\w$", "true"),
        ("a-b", "^[a-z-]+$", "true"),
        ("a]b", "^[]ab]+$", "true"),
        ("abc", "^[^x-z]+$", "true"),
        ("xyz", "^[^x-z]", "false"),
        ("ab|", r"\|$", "true"),
        ("foobar", "^(foo|foob)ar$", "true"),
    ] {
        assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
    }
}

#[test]
fn a_condition_that_does_not_fit_is_refused_with_its_place() {
    check(&[
        ("pth == ''", "refused, column 1: unknown name `pth`; did you mean `path`?"),
        (
            "ok && request.header['x'] == ''",
            "refused, column 7: unknown name `request.header`; did you mean `request.headers`?",
        ),
        ("ok && request == ''", "refused, column 7: unknown name `request`"),
        (
            "n == 'x'",
            "refused, column 6: the right side of the comparison must be a number, and this is a string",
        ),
        ("path", "refused, column 1: a condition must be true or false, and this is a string"),
        ("ok && n", "refused, column 7: a side of `&&` must be true or false, and this is a number"),
        (
            "path.startWith('/')",
            "refused, column 6: unknown function `startWith`; did you mean `startsWith`?",
        ),
        ("size(n) == 1", "refused, column 6: the value of `size` must be a string, and this is a number"),
        ("path = ''", "refused, column 6: a single `=` compares nothing: write `==`"),
        ("ok & ok", "refused, column 4: a single `&` joins nothing: write `&&`"),
        ("1 < 2 < 3", "refused, column 7: comparisons do not chain: join two with `&&`"),
        ("n == 1.5", "refused, column 6: numbers are whole: leave out the point"),
        ("path == 'x", "refused, column 9: the string is not closed: write `'` at its end"),
        (
            "n == 99999999999999999999",
            "refused, column 6: `99999999999999999999` is no whole number of 64 bits",
        ),
        ("ok)", "refused, column 3: `)` is not expected here: write an operator or the end"),
        ("", "refused, column 1: the end is not expected here: write a value or a name"),
        ("path in []", "refused, column 9: an empty list holds nothing: write its items"),
        (
            "path in [1]",
            "refused, column 1: what is looked for in the list must be a number, and this is a string",
        ),
        ("request.query == ''", "refused, column 1: this is a map: name one of its entries"),
        ("has(path)", "refused, column 5: `has` takes an entry of a map: `has(request.query.name)`"),
        (
            "request.headers['X-Tier'] == ''",
            "refused, column 17: these names are in lower case: write `x-tier`",
        ),
        (
            "request.headers.authorization == ''",
            "refused, column 17: `authorization` holds a credential, which no expression may read",
        ),
        (
            "'Authorization' in request.headers",
            "refused, column 1: `authorization` holds a credential, which no expression may read",
        ),
        ("path.matches('(')", "refused, column 14: a `(` in the pattern is not closed"),
        (
            "path.matches(path)",
            "refused, column 14: the pattern of `matches` must be a literal string: it is compiled when the document is read",
        ),
        (
            "cidr('x').containsIP(path)",
            "refused, column 6: `cidr` takes a literal network: `cidr('10.0.0.0/8').containsIP(client.ip)`",
        ),
        (
            "cidr('::1/128') == cidr('::1/128')",
            "refused, column 1: a network stands only before `.containsIP(…)`",
        ),
    ]);
    let long = "ok && ".repeat(1000) + "ok";
    assert_eq!(says(&long), "refused, column 1: longer than 4096 bytes; split it into several");
    for deep in
        ["(".repeat(500), "!".repeat(500), "- ".repeat(500), "has(".repeat(500), "1 + ".repeat(500) + "1"]
    {
        assert!(says(&deep).contains("lies too deep"), "{deep}");
    }
    assert_eq!(says(&("ok && ".repeat(600) + "ok")), "true");
}

#[test]
fn what_has_no_answer_says_why() {
    check(&[
        ("request.query.none == ''", "fails, column 15: no such entry; ask with `in` or `has` first"),
        ("request.query.twice == ''", "fails, column 15: given twice"),
        ("n / (n - 7) == 1", "fails, column 3: division by zero"),
        ("n % 0 == 1", "fails, column 3: division by zero"),
        ("9223372036854775807 + n > 0", "fails, column 21: the number does not fit into 64 bits"),
        ("int(path) == 1", "fails, column 1: the text is no whole number"),
        ("cidr('10.0.0.0/8').containsIP(path)", "fails, column 20: not an IP address"),
        ("ok && request.query.none == ''", "fails, column 21: no such entry; ask with `in` or `has` first"),
    ]);
}

#[test]
fn the_budget_is_kept() {
    let program = Program::compile("n == 1 || n == 2 || n == 3", &NAMES).unwrap();
    let mut budget = Budget { steps: 10 };
    assert_eq!(program.holds(&Fixed, &mut budget), Ok(false));
    assert_eq!(budget, Budget { steps: 0 });
    assert_eq!(program.holds(&Fixed, &mut budget).unwrap_err().reason, "more steps than a request may take");
    let pattern = Program::compile("path.matches('^(a|b){100}$')", &NAMES).unwrap();
    assert!(pattern.holds(&Fixed, &mut Budget { steps: 100 }).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(source in ".{0,200}") {
        says(&source);
    }

    #[test]
    fn no_row_of_words_makes_it_panic_or_take_long(words in prop::collection::vec(prop::sample::select(WORDS), 0..40)) {
        let source = words.join(" ");
        if let Ok(program) = Program::compile(&source, &NAMES) {
            let mut budget = Budget { steps: 1000 };
            let full = program.holds(&Fixed, &mut Budget::of_request());
            let scant = program.holds(&Fixed, &mut budget);
            // What fits into a small budget says the same as with a large one.
            prop_assert!(budget.steps == 0 || full == scant);
        }
    }

    #[test]
    fn patterns_find_what_others_find(pattern in r"(\(|\)|[ab.|*?+^$]|\{1,2\}|[\[]b\]){0,8}", text in "[ab]{0,6}") {
        if let Ok(ours) = super::pattern::Pattern::compile(&pattern) {
            let theirs = regex::Regex::new(&pattern).unwrap();
            prop_assert_eq!(ours.matches(&text), theirs.is_match(&text), "{} {}", pattern, text);
        }
    }
}

const WORDS: &[&str] = &[
    "path",
    "client.ip",
    "n",
    "ok",
    "request.headers['x-tier']",
    "request.query.size",
    "true",
    "false",
    "1",
    "0",
    "-",
    "!",
    "(",
    ")",
    "[",
    "]",
    ",",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    "+",
    "*",
    "/",
    "%",
    "?",
    ":",
    "in",
    "'a'",
    "has(request.query.size)",
    "size(path)",
    "int('3')",
    ".startsWith('/')",
    ".matches('a+')",
    ".contains(path)",
    "string(n)",
];
