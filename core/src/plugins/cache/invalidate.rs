//! What an unsafe request that succeeds makes invalid (RFC 9111 §4.4): the stored answer of its own path, and those that
//! the answer names in `Location` and `Content-Location`, of the same host.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use http::{HeaderMap, Method, Uri, header};

use super::{Settings, key, store_policy};
use crate::{flow::Flow, http::target, request::Request, routes::Table, store::Op};

/// Makes stored answers invalid.
#[derive(Clone)]
pub(super) struct Invalidation {
    pub(super) settings: Arc<Settings>,
    /// Tells an unsafe request what a GET of its path would be.
    pub(super) table: Arc<Table>,
}

impl Invalidation {
    /// Prepares it for a request.
    pub(super) fn plan(&self, flow: &mut Flow) {
        let this = self.clone();
        let own =
            self.key_of_get(&flow.request, &flow.request.head.uri, flow.outgoing.path_and_query.as_deref());
        flow.on_seal(Box::new(move |flow, draft| {
            let status = draft.head.status;
            if !status.is_success() && !status.is_redirection() {
                return;
            }
            let mut keys: Vec<String> = own.into_iter().collect();
            for uri in named(&flow.request, &draft.head.headers) {
                keys.extend(this.key_of_get(&flow.request, &uri, None));
            }
            keys.dedup();
            let home = this.settings.home();
            flow.writes.extend(keys.into_iter().map(|key| home.of(Op::Delete { key })));
        }));
    }

    /// Where this client's GET of a path would be stored; none where it never is.
    fn key_of_get(&self, request: &Request, uri: &Uri, chosen: Option<&str>) -> Option<String> {
        let path = target::read(uri).ok()?;
        let route = self.table.find(&Method::GET, &path).ok()?.route;
        let cache = store_policy::of_route(&route)?;
        let target = key::target(&route, uri, chosen);
        Some(key::key(&self.settings.prefix, cache, request, &target))
    }
}

/// The targets of this host that an answer names: as a path, or with the host that the client asked for. Another host's are
/// none of this answer's business.
fn named(request: &Request, answer: &HeaderMap) -> impl Iterator<Item = Uri> {
    let head = &request.head;
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = head.uri.authority().map(http::uri::Authority::as_str).or(host);
    let of_this_host = |uri: &Uri| {
        uri.authority().is_none_or(|other| host.is_some_and(|host| other.as_str().eq_ignore_ascii_case(host)))
    };
    [header::LOCATION, header::CONTENT_LOCATION]
        .into_iter()
        .filter_map(|name| answer.get(name)?.to_str().ok()?.parse::<Uri>().ok())
        .filter(|uri| uri.path().starts_with('/'))
        .filter(of_this_host)
        .filter_map(|uri| uri.path_and_query()?.as_str().parse().ok())
        .collect::<Vec<Uri>>()
        .into_iter()
}
