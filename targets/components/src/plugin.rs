//! The plugin that stands for a component.

use std::{borrow::Cow, path::Path, sync::Arc};

use acip_core::{
    Flow,
    plugin::{OnError, Plan, Plugin, Ruling},
    routes::RouteKind,
    store::Ask,
};
use serde_json::{Map, Value};

use crate::{
    engine::{Bounds, DECIDE, PLAN},
    file::Loaded,
    speak::{self, Outcome},
};

/// A component as a plugin.
pub struct Component {
    name: &'static str,
    on_error: OnError,
    callee: Arc<Callee>,
}

struct Callee {
    file: Arc<Loaded>,
    bounds: Bounds,
}

impl Component {
    /// Loads the component that `component` of the settings names. The other settings are its bounds: `fuel`,
    /// `memory_bytes`, `time_ms`, and `on_error`.
    ///
    /// # Errors
    /// What is wrong with settings or component.
    pub fn open(name: &'static str, config: &Map<String, Value>) -> Result<Self, String> {
        let known = ["component", "fuel", "memory_bytes", "time_ms", "on_error"];
        if let Some(key) = config.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("unknown key `config.{key}`: a component has {}", known.join(", ")));
        }
        let path =
            config.get("component").and_then(Value::as_str).ok_or("`config.component` must be a path")?;
        let number = |key: &str, default: u64, most: u64| match config.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| format!("`config.{key}` must be a whole number from 1 to {most}")),
        };
        let memory = number("memory_bytes", 16 << 20, 1 << 30)?;
        let bounds = Bounds {
            fuel: number("fuel", 10_000_000, 10_000_000_000)?,
            memory_bytes: usize::try_from(memory).map_err(|error| error.to_string())?,
            time_ms: number("time_ms", 200, 10_000)?,
        };
        let on_error = match config.get("on_error").map(|word| word.as_str().and_then(OnError::from_name)) {
            None => OnError::default(),
            Some(Some(on_error)) => on_error,
            Some(None) => return Err("`config.on_error` must be `allow` or `deny`".to_owned()),
        };
        let file = Loaded::open(Path::new(path))?;
        Ok(Self { name, on_error, callee: Arc::new(Callee { file, bounds }) })
    }
}

impl Plugin for Component {
    fn name(&self) -> &'static str {
        self.name
    }

    fn priority(&self) -> i32 {
        // After auth, so that the store's word on who asks is there when `decide` is called.
        95
    }

    fn version(&self) -> Cow<'static, str> {
        self.callee.file.program().version().to_owned().into()
    }

    fn fault(&self) -> Option<String> {
        self.callee.file.fault()
    }

    fn implementation(&self) -> &'static str {
        "component"
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn plan(&self, flow: &mut Flow, _ask: &mut Ask) -> Plan {
        // What an operator mends a component with is not for components to close.
        if flow.request.route.kind == RouteKind::Own {
            return Plan::Pass;
        }
        match self.callee.ask(flow, false) {
            Ok(Outcome::Pass) => Plan::Pass,
            Ok(Outcome::Refuse(refusal)) => Plan::Refuse(refusal),
            Ok(Outcome::Wait) => {
                let callee = Arc::clone(&self.callee);
                Plan::Judge(Box::new(move |flow, _| match callee.ask(flow, true) {
                    Ok(Outcome::Pass) => Ruling::Pass,
                    Ok(Outcome::Refuse(refusal)) => Ruling::Refuse(refusal),
                    Ok(Outcome::Wait) => Ruling::Failed("`decide` cannot answer `wait`".into()),
                    Err(why) => Ruling::Failed(why.into()),
                }))
            }
            Err(why) => Plan::Failed(why.into()),
        }
    }
}

impl Callee {
    fn ask(&self, flow: &mut Flow, decide: bool) -> Result<Outcome, String> {
        let program = self.file.program();
        let request = speak::request(flow);
        let answer = if decide {
            program.call(self.bounds, DECIDE, &[request, speak::identity(flow)])?
        } else {
            program.call(self.bounds, PLAN, &[request])?
        };
        speak::outcome(answer, flow)
    }
}
