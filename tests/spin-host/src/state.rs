//! What an instance sees of the world.

use std::{collections::BTreeMap, sync::Arc};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{allowed::AllowedHosts, client::Client};

/// The application, the same for all its instances.
pub(crate) struct App {
    /// The component's variables, filled in.
    pub(crate) variables: BTreeMap<String, String>,
    /// Where it may connect to.
    pub(crate) allowed: Arc<AllowedHosts>,
    /// Its environment.
    pub(crate) environment: BTreeMap<String, String>,
}

/// Of one instance.
pub(crate) struct State {
    pub(crate) app: Arc<App>,
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    client: Client,
}

impl State {
    /// Of a new instance. What it prints is printed here.
    pub(crate) fn new(app: &Arc<App>, client: &Client) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.inherit_stdout().inherit_stderr();
        for (name, value) in &app.environment {
            wasi.env(name, value);
        }
        Self {
            app: Arc::clone(app),
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            client: client.clone(),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.client }
    }
}
