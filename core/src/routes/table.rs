//! All rules in one place to look: the built-in ones in a radix tree, the document's over them in their order.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use http::Method;

use super::{Pattern, Route, RouteKind, builtin};
use crate::{
    config::{Document, RouteAuth, RouteCache, RouteRule},
    gateway::CompileError,
    http::target::Path,
};

/// The compiled rules.
#[derive(Clone)]
pub(crate) struct Table {
    /// Positions in `built_in`, by path.
    tree: matchit::Router<Vec<usize>>,
    built_in: Vec<(&'static [Method], Arc<Route>)>,
    laid_over: Vec<(Pattern, Pattern, Vec<Method>)>,
    /// What comes out where a built-in rule (or none) and a rule of the document meet.
    merged: BTreeMap<(Option<usize>, usize), Arc<Route>>,
    other: Arc<Route>,
}

/// A match.
#[derive(Clone, Debug)]
pub(crate) struct Found<'p> {
    pub(crate) route: Arc<Route>,
    /// `{id}` of a built-in rule.
    pub(crate) id: Option<&'p str>,
    /// Which rules met; to tell two matches apart.
    rules: (Option<usize>, Option<usize>),
}

impl Table {
    /// Compiles the rules.
    ///
    /// # Errors
    /// A pattern of `[[routes]]` that does not parse or repeats an earlier one.
    pub(crate) fn compile(document: &Document) -> Result<Self, CompileError> {
        let other = Arc::new(other(document));
        let mut table = Self {
            tree: matchit::Router::new(),
            built_in: Vec::new(),
            laid_over: Vec::new(),
            merged: BTreeMap::new(),
            other,
        };
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut patterns = Vec::new();
        for rule in builtin::rules(document) {
            let pattern = Pattern::new(&rule.pattern)?;
            for place in tree_forms(&rule.pattern) {
                places.entry(place).or_default().push(table.built_in.len());
            }
            patterns.push(pattern);
            let route = Route {
                pattern: rule.pattern,
                kind: rule.kind,
                auth: rule.auth,
                cache: rule.cache,
                limit_factor: rule.limit_factor,
                origin_path: rule.origin_path.map(ToString::to_string),
                ..(*table.other).clone()
            };
            table.built_in.push((rule.methods, Arc::new(route)));
        }
        for (place, rules) in places {
            let reason = |error: matchit::InsertError| CompileError::Route {
                pattern: place.clone(),
                reason: format!("{error}"),
            };
            table.tree.insert(place.clone(), rules).map_err(reason)?;
        }
        for rule in &document.routes {
            let cache = rule.cache.map(|cache| lasting(cache, document.cache.ttl_seconds));
            table.lay_over(&RouteRule { cache, ..rule.clone() }, &patterns)?;
        }
        Ok(table)
    }

    fn lay_over(&mut self, rule: &RouteRule, built_in: &[Pattern]) -> Result<(), CompileError> {
        let pattern = Pattern::new(&rule.path)?;
        let hides = |(earlier, _, methods): &(Pattern, Pattern, Vec<Method>)| {
            let all = methods.is_empty()
                || (!rule.methods.is_empty() && rule.methods.iter().all(|m| methods.contains(m)));
            all && pattern.is_within(earlier)
        };
        if self.laid_over.iter().any(hides) {
            let reason = "an earlier rule takes all of its requests; move this one before it";
            return Err(CompileError::Route { pattern: rule.path.clone(), reason: reason.into() });
        }
        let index = self.laid_over.len();
        for (position, (under, (_, route))) in built_in.iter().zip(&self.built_in).enumerate() {
            if under.overlaps(&pattern) {
                let merged = Arc::new(merge(route, rule, pattern.is_within(under)));
                self.merged.insert((Some(position), index), merged);
            }
        }
        let mut alone = merge(&self.other, rule, true);
        alone.pattern.clone_from(&rule.path);
        self.merged.insert((None, index), Arc::new(alone));
        self.laid_over.push((pattern.clone(), pattern.lower(), rule.methods.clone()));
        Ok(())
    }

    /// What holds where nothing is known.
    pub(crate) fn other(&self) -> Arc<Route> {
        Arc::clone(&self.other)
    }

    /// Finds the rule of a request.
    ///
    /// # Errors
    /// The path, read more laxly, is one of another rule: an origin less strict than ours would serve what that
    /// rule guards.
    pub(crate) fn find<'p>(&self, method: &Method, path: &'p Path<'_>) -> Result<Found<'p>, &'static str> {
        let found = self.at(method, &path.decoded, false);
        if let Some(lax) = &path.lax {
            let also = self.at(method, lax, true);
            let other_id = || match (found.id, also.id) {
                // Ids may hold capital letters, but no parameters and no second encoding.
                (Some(one), Some(two)) => !one.eq_ignore_ascii_case(two),
                (one, two) => one != two,
            };
            if also.rules != found.rules || other_id() {
                return Err("the path looks like that of another route; spell it as documented");
            }
        }
        Ok(found)
    }

    fn at<'p>(&self, method: &Method, path: &'p str, lax: bool) -> Found<'p> {
        let admits = |methods: &[Method], kind: RouteKind| {
            methods.is_empty()
                || methods.contains(method)
                || (method == Method::HEAD
                    && methods.contains(&Method::GET)
                    && kind != RouteKind::WorkerChecked)
        };
        let matched = self.tree.at(path).ok();
        let position = matched.as_ref().and_then(|matched| {
            let fits = |at: &&usize| {
                self.built_in.get(**at).is_some_and(|(methods, route)| admits(methods, route.kind))
            };
            matched.value.iter().find(fits).copied()
        });
        // A path that has rows, but none for this method, may still lie below an open-ended one.
        let position = position.or_else(|| self.below(path));
        let id = matched.as_ref().and_then(|matched| matched.params.get("id"));
        let over = self.laid_over.iter().position(|(pattern, lower, methods)| {
            let pattern = if lax { lower } else { pattern };
            (methods.is_empty()
                || methods.contains(method)
                || (method == Method::HEAD && methods.contains(&Method::GET)))
                && pattern.matches(path)
        });
        let built_in = || position.and_then(|at| self.built_in.get(at)).map(|(_, route)| route);
        let route = match over {
            Some(over) => self.merged.get(&(position, over)),
            None => built_in(),
        };
        let route = Arc::clone(route.unwrap_or(&self.other));
        let id = id.filter(|_| position.is_some());
        Found { route, id, rules: (position, over) }
    }

    /// The open-ended row for a worker's path of which the tree knows only rows with other methods.
    fn below(&self, path: &str) -> Option<usize> {
        let mut segments = path.strip_prefix(WORKERS)?.split('/');
        let (id, rest) = (segments.next()?, segments.next()?);
        (!id.is_empty() && !rest.is_empty())
            .then(|| self.built_in.iter().position(|(_, route)| route.kind == RouteKind::WorkerOther))
            .flatten()
    }
}

/// What holds where no rule matches: an API key, and the origin's own word on caching.
fn other(document: &Document) -> Route {
    Route {
        pattern: "other".into(),
        kind: RouteKind::Proxy,
        auth: RouteAuth::ApiKey,
        cache: RouteCache::PerCredential { ttl_seconds: None, heuristic: false },
        limit: None,
        limit_factor: 1,
        timeout_ms: document.upstream.timeout_ms,
        retries: RETRIES,
        origin_path: None,
    }
}

/// The same, where nobody says how long an answer is fresh for so many seconds; a route that guesses goes on guessing.
fn lasting(cache: RouteCache, seconds: u32) -> RouteCache {
    let ttl_seconds = Some(seconds);
    match cache {
        RouteCache::PerCredential { ttl_seconds: None, heuristic: false } => {
            RouteCache::PerCredential { ttl_seconds, heuristic: false }
        }
        RouteCache::Shared { ttl_seconds: None, heuristic: false } => {
            RouteCache::Shared { ttl_seconds, heuristic: false }
        }
        said => said,
    }
}

/// A rule of the document over a built-in one. `named` says that it was written for that very path: a wildcard that
/// merely covers an admin path does not open it.
fn merge(under: &Route, rule: &RouteRule, named: bool) -> Route {
    let guarded = under.auth == RouteAuth::Admin && !named;
    Route {
        auth: rule.auth.filter(|_| !guarded).unwrap_or(under.auth),
        limit: rule.limit.or(under.limit),
        limit_factor: if rule.limit.is_some() { 1 } else { under.limit_factor },
        cache: rule.cache.unwrap_or(under.cache),
        timeout_ms: rule.timeout_ms.unwrap_or(under.timeout_ms),
        retries: rule.retries.unwrap_or(under.retries),
        ..under.clone()
    }
}

/// A pattern as the tree writes it; an open-ended one also stands at its own bare path.
fn tree_forms(pattern: &str) -> Vec<String> {
    match pattern.strip_suffix("/*") {
        // A worker's bare path is not one of the worker's own calls.
        Some(base) if base.ends_with('}') => alloc::vec![format!("{base}/{{*rest}}")],
        Some(base) => alloc::vec![base.into(), format!("{base}/{{*rest}}")],
        None => alloc::vec![pattern.into()],
    }
}

const WORKERS: &str = "/api/v1/workers/";
/// Further origins for idempotent requests: enough to step over a dead one and one that dies meanwhile.
const RETRIES: u32 = 2;
