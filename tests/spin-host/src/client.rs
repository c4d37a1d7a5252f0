//! Requests of the component to the outside, over pooled connections that all instances share, as in Spin.

use std::sync::Arc;

use http::uri::Scheme;
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::allowed::AllowedHosts;

/// What an instance sends through.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, WasiBody>,
    allowed: Arc<AllowedHosts>,
}

impl Client {
    /// For all instances.
    pub(crate) fn new(allowed: Arc<AllowedHosts>) -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).build_http(), allowed }
    }

    async fn send(self, mut request: http::Request<WasiBody>) -> Result<http::Response<WasiBody>, Error> {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or("https");
        if !self.allowed.allow(scheme, uri.host().unwrap_or_default(), uri.port_u16()) {
            return Err(Error::HttpRequestDenied);
        }
        if uri.scheme() != Some(&Scheme::HTTP) {
            eprintln!("acip-spin-host: `{uri}`: this host speaks no TLS; Spin does");
            return Err(Error::TlsProtocolError);
        }
        request.headers_mut().remove(http::header::HOST);
        let response = self.pool.request(request).await.map_err(|error| {
            if error.is_connect() { Error::ConnectionRefused } else { Error::HttpProtocolError }
        })?;
        Ok(response.map(|body| body.map_err(Error::from).boxed_unsync()))
    }
}

/// How the engine's HTTP reports what became of a request.
type Told = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Client {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Told,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Told), Error>> + Send> {
        let client = self.clone();
        Box::new(async move {
            let response = client.send(request).await?;
            Ok((response, Box::new(std::future::ready(Ok(()))) as Told))
        })
    }
}
