//! `PATCH /gateway/plugins/{name}`.

use alloc::{boxed::Box, string::String, sync::Arc};

use super::{answer, config, invalid, object};
use crate::{
    control::{Change, PluginWish, Wish},
    gateway::Gateway,
    plugin::Plan,
    plugins::health,
    refusal::{ErrorCode, Refusal},
    store::Ask,
    verdict::Answer,
};

pub(super) fn patch(ask: &mut Ask, key: &str, name: String) -> Plan {
    let named = name.clone();
    let read = Box::new(move |gateway: &Arc<Gateway>, body| {
        if gateway.plugin(&named).is_none() {
            let message = "no plugin has this name; `GET /gateway/plugins` lists them";
            return Err(Refusal::new(ErrorCode::NotFound, "plugin", message));
        }
        let wish = PluginWish::read(&object(&body)?).map_err(|errors| invalid(&errors))?;
        Ok(Wish::Plugin { name: named, wish })
    });
    config::change(ask, key, read, Box::new(move |change: &Change| shown(change, &name)))
}

fn shown(change: &Change, name: &str) -> Answer {
    answer(&health::plugin_page(&change.gateway, name).unwrap_or_default())
}
