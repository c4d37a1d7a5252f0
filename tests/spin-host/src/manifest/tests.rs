use super::*;

const SPIN_TOML: &str = include_str!("../../../../spin.toml");

fn check(change: impl Fn(&str) -> String, expected: &str) {
    let text = change(SPIN_TOML);
    assert_ne!(text, SPIN_TOML, "the change fits the file");
    let error = Manifest::parse(&text).unwrap_err();
    assert!(error.contains(expected), "{expected}: {error}");
}

#[test]
fn ours_is_one() {
    let manifest = Manifest::parse(SPIN_TOML).unwrap();
    let component = manifest.component();
    assert!(component.build.is_some(), "`spin build` has something to do");
    assert!(!component.source().is_empty());
}

#[test]
fn what_spin_refuses() {
    check(|text| text.replace("spin_manifest_version = 2", "spin_manifest_version = 1"), "not 2");
    check(|text| text.replace("\nsource =", "\nsauce ="), "unknown field `sauce`");
    check(|text| text.replace("secret = true", "secrete = true"), "unknown field `secrete`");
    check(|text| text.replace("{ default = \"http://localhost:8000\" }", "{ }"), "either a default or");
    check(|text| text.replace("[component.gateway", "[component.Gate_Way"), "kebab-case");
    check(|text| text.replace("\nlog_level = {", "\nlog-level = {"), "lower_snake_case");
}

/// A variable that the manifest does not hand on never reaches the gateway, and one that the gateway does not know is a slip.
#[test]
fn the_gateways_variables_are_handed_on() {
    let manifest = Manifest::parse(SPIN_TOML).unwrap();
    let ours: Vec<_> = acip_core::config::scalars().collect();
    for (name, template) in &manifest.component().variables {
        assert_eq!(*template, format!("{{{{ {name} }}}}"), "{name} is what it is called");
        let variable = &manifest.variables[name];
        let Some(setting) = ours.iter().find(|setting| setting.env.eq_ignore_ascii_case(name)) else {
            assert_eq!(name, "gateway_config", "`{name}` is no variable of the gateway");
            continue;
        };
        assert!(!setting.secret || variable.secret, "{name} is marked as a secret");
    }
    for setting in ours.iter().filter(|setting| !NOT_HERE.contains(&setting.env)) {
        let name = setting.env.to_ascii_lowercase();
        assert!(manifest.component().variables.contains_key(&name), "{name} is missing from spin.toml");
    }
}

/// What the platform does in the gateway's place, what needs a process that lives, and a second name of something.
const NOT_HERE: [&str; 12] = [
    "GATEWAY_HOST",
    "GATEWAY_PORT",
    "GATEWAY_THREADS",
    "LOG_FORMAT",
    "MAX_CONNECTIONS",
    "OTEL_BSP_SCHEDULE_DELAY",
    "REDIS_REST_TOKEN",
    "ROUTER_HEALTH_CHECK_INTERVAL",
    "ROUTER_HEALTH_CHECK_PATH",
    "SHUTDOWN_GRACE_MS",
    "TLS_CERT",
    "TLS_KEY",
];
