//! Tells of plugins that are not what their settings ask for ([`Plugin::fault`]), such as a component whose file changed for
//! the worse: once, to counters and listeners. Who has the fault knows best how to log it; pages ask the plugin themselves.
//! Failures that belong to requests are told with them.

use std::{collections::BTreeMap, time::Duration};

use acip_core::{event::Event, plugin::Plugin};
use tokio::time::sleep;

use crate::process::Process;

/// Looks until the process drains.
pub(crate) async fn rounds(process: &Process) {
    let mut known = Known::default();
    loop {
        let live = process.live.load_full();
        for event in known.news(live.gateway.plugins()) {
            process.tell(&live, &event);
        }
        sleep(PAUSE).await;
    }
}

/// Faults that were told of, by plugin: as many as plugins are active.
#[derive(Default)]
struct Known(BTreeMap<&'static str, String>);

impl Known {
    /// What there is to tell of these plugins.
    fn news<'p>(&mut self, plugins: impl Iterator<Item = &'p dyn Plugin>) -> Vec<Event> {
        let now: BTreeMap<_, _> =
            plugins.filter_map(|plugin| Some((plugin.name(), plugin.fault()?))).collect();
        let before = std::mem::replace(&mut self.0, now);
        let new = self.0.iter().filter(|(plugin, fault)| before.get(*plugin) != Some(*fault));
        let event =
            |(plugin, fault): (&&'static str, &String)| Event::PluginError { plugin, detail: fault.clone() };
        new.map(event).collect()
    }
}

/// A file is looked at once a second, and what is wrong with it is told within the next.
const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use acip_core::{Flow, plugin::Plan, store::Ask};

    use super::*;

    struct Faulty(Option<&'static str>);

    impl Plugin for Faulty {
        fn name(&self) -> &'static str {
            "faulty-plugin"
        }
        fn priority(&self) -> i32 {
            0
        }
        fn fault(&self) -> Option<String> {
            self.0.map(str::to_owned)
        }
        fn plan(&self, _: &mut Flow, _: &mut Ask) -> Plan {
            Plan::Pass
        }
    }

    #[test]
    fn a_fault_is_told_once_and_again_when_it_comes_back_or_is_another() {
        let mut known = Known::default();
        for (fault, told) in [
            (None, None),
            (Some("no file"), Some("no file")),
            (Some("no file"), None),
            (Some("no component"), Some("no component")),
            (None, None),
            (Some("no file"), Some("no file")),
        ] {
            let plugin = Faulty(fault);
            let news = known.news(std::iter::once(&plugin as &dyn Plugin));
            let told =
                told.map(|detail| Event::PluginError { plugin: "faulty-plugin", detail: detail.into() });
            assert_eq!(news, Vec::from_iter(told), "{fault:?}");
        }
    }
}
