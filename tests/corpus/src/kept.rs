//! What a case takes from an answer and says again in a later step: a key that was made a moment ago is known to nobody before.
//! Placeholders of this kind, `{{name}}`, are filled when a step is sent; all others when its file is read.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use crate::{case::Step, run::Seen, template::plain};

/// By name. Each target has its own, for each makes other keys.
#[derive(Debug, Default)]
pub(crate) struct Kept(BTreeMap<String, String>);

impl Kept {
    /// The step with what was kept in place of its placeholders.
    pub(crate) fn fill<'s>(&self, step: &'s Step) -> Cow<'s, Step> {
        if self.0.is_empty() {
            return Cow::Borrowed(step);
        }
        let mut step = step.clone();
        self.text(&mut step.request);
        step.headers.values_mut().chain(&mut step.json).for_each(|value| self.value(value));
        step.body.iter_mut().for_each(|body| self.text(body));
        Cow::Owned(step)
    }

    /// Takes from an answer what the step wants of it. A member that is not there is told as one that has another value would be:
    /// by the step that needs it.
    pub(crate) fn learn(&mut self, step: &Step, seen: &Seen) {
        if step.keeps.is_empty() {
            return;
        }
        let json: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        for (name, pointer) in &step.keeps {
            self.0.extend(json.pointer(pointer).map(|value| (name.clone(), plain(value))));
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(all) => all.iter_mut().for_each(|value| self.value(value)),
            Value::Object(members) => members.values_mut().for_each(|value| self.value(value)),
            _ => {}
        }
    }

    fn text(&self, text: &mut String) {
        for (name, value) in &self.0 {
            let place = format!("{{{{{name}}}}}");
            if text.contains(&place) {
                *text = text.replace(&place, value);
            }
        }
    }
}
