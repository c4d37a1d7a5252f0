//! Variables of the application: their values, and the templates over them.

use std::collections::BTreeMap;

use crate::manifest::Manifest;

/// Values by name.
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// From the environment: `SPIN_VARIABLE_NAME` as with Spin, or the gateway's own name, or the default.
    ///
    /// # Errors
    /// One that is required is missing.
    pub(crate) fn read(
        manifest: &Manifest,
        environment: impl Fn(&str) -> Option<String>,
        own: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        for (name, variable) in &manifest.variables {
            let upper = name.to_ascii_uppercase();
            let own = || own.iter().find(|(own, _)| own == name).map(|(_, value)| (*value).to_owned());
            let value = environment(&format!("SPIN_VARIABLE_{upper}"))
                .or_else(|| environment(&upper))
                .or_else(own)
                .or_else(|| variable.default.clone())
                .ok_or_else(|| {
                    format!("required variable `{name}` is not set; set `SPIN_VARIABLE_{upper}`")
                })?;
            values.insert(name.clone(), value);
        }
        Ok(Self(values))
    }

    /// Fills a template in.
    ///
    /// # Errors
    /// It is malformed, or names no variable.
    pub(crate) fn fill(&self, template: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) =
                after.split_once("}}").ok_or_else(|| format!("`{template}` lacks closing braces"))?;
            let name = name.trim();
            let value =
                self.0.get(name).ok_or_else(|| format!("`{template}`: there is no variable `{name}`"))?;
            filled.push_str(before);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}
